//! The JSON routes, one file per noun. Each file opens with its part of the route table.

pub(crate) mod accounts;
mod activation;
mod adjustment_answers;
mod adjustment_lists;
mod adjustments;
mod alerts;
mod billing;
pub(crate) mod clock;
mod devices;
mod endpoints;
mod entitlements;
mod erasure;
mod flags;
pub(crate) mod gate;
mod grants;
mod holds;
mod identity;
mod inbox;
mod incidents;
mod invitations;
mod invoice_explain;
mod keys;
pub(crate) mod ledger;
mod members;
mod migrate;
pub(crate) mod oauth;
mod operate;
mod operator_sign_in;
mod orgs;
mod overrides;
mod payments;
mod plan_changes;
mod plans;
mod quota;
mod quotas;
mod reconcile;
mod spending;
mod system;
mod tax;
mod topups;
pub(crate) mod usage;
mod usage_batch;
mod usage_event;
mod usage_lists;

use crate::routes::Route;

pub(crate) use activation::refused as refused_activation;
pub(crate) use quota::DENIALS;

/// Every JSON route, in the order of the documentation.
pub(crate) fn routes() -> Vec<Route> {
    let nouns = [
        orgs::routes(),
        accounts::routes(),
        operator_sign_in::routes(),
        erasure::routes(),
        members::routes(),
        invitations::routes(),
        keys::routes(),
        activation::routes(),
        oauth::routes(),
        devices::routes(),
        plans::routes(),
        plan_changes::routes(),
        billing::routes(),
        payments::routes(),
        adjustments::routes(),
        tax::routes(),
        topups::routes(),
        spending::routes(),
        entitlements::routes(),
        quota::routes(),
        usage::routes(),
        usage_batch::routes(),
        holds::routes(),
        usage_lists::routes(),
        alerts::routes(),
        inbox::routes(),
        identity::routes(),
        endpoints::routes(),
        incidents::routes(),
        invoice_explain::routes(),
        flags::routes(),
        quotas::routes(),
        overrides::routes(),
        grants::routes(),
        reconcile::routes(),
        migrate::routes(),
        operate::routes(),
        system::routes(),
        gate::routes(),
        clock::routes(),
    ];
    nouns.into_iter().flatten().collect()
}
