//! Everything stored that decides what an org may use.

use std::sync::Arc;

use tollgate_rules::catalog::Plan;
use tollgate_rules::entitlement::{OrgFacts, PendingPlan, SubscriptionState};
use tollgate_rules::ids::{OrgKey, PlanCode};
use tollgate_rules::subscription::{counting, live};

use super::mirror::Mirror;
use super::sql;
use crate::db::{Connection, Error};
use crate::engine::Engine;
use crate::{flags, grants, ledger, overrides, plans, spending};

/// What decides an org's rights, as stored; given to `rules::entitlement::resolve`. Inside a transaction that holds the org's lock,
/// this is what counts from its commit on.
pub(crate) async fn facts(engine: &Engine, connection: &mut Connection, org_key: OrgKey) -> Result<OrgFacts, Error> {
    let org =
        sql::org(connection, org_key).await?.ok_or_else(|| Error::Bug(format!("no org has the key {org_key}")))?;
    let mirrors = sql::mirrors(connection, org_key).await?;
    let mut facts = OrgFacts {
        org_status: org.status,
        subscription: None,
        has_default_payment_method: org.has_payment_method,
        plan: None,
        trial_plan: None,
        metrics: plans::catalog(engine).metrics.keys().cloned().collect(),
        overrides: overrides::facts(connection, org_key).await?,
        grants: grants::facts(connection, org_key).await?,
        debts: ledger::debts(connection, org_key).await?,
        spend_cap: spending::cap(connection, org_key).await?,
        strict_quota: flags::strict_quota(connection, org_key).await?,
    };
    if let Some(mirror) = chosen(&mirrors) {
        facts.has_default_payment_method |= mirror.default_payment_method.is_some();
        facts.plan = version(engine, connection, mirror.plan.as_ref()).await?;
        let trial = mirror.trial_plan_version.map(|version| (PlanCode::TRIAL.to_owned(), version));
        facts.trial_plan = version(engine, connection, trial.as_ref()).await?;
        facts.subscription = Some(state(engine, connection, mirror).await?);
    }
    Ok(facts)
}

/// The subscription that counts among an org's.
pub(super) fn chosen(mirrors: &[Mirror]) -> Option<&Mirror> {
    let candidates: Vec<_> = mirrors.iter().map(Mirror::candidate).collect();
    if live(&candidates) > 1 {
        tracing::warn!(subscriptions = candidates.len(), "an org has several live subscriptions; the newest counts");
    }
    let id = counting(&candidates)?;
    mirrors.iter().find(|mirror| mirror.subscription_id.as_str() == id)
}

async fn state(engine: &Engine, connection: &mut Connection, mirror: &Mirror) -> Result<SubscriptionState, Error> {
    let mut state = mirror.state();
    if let Some((price_id, at)) = &mirror.pending_price {
        let sold = plans::sql::plan_of_price(connection, price_id).await?;
        state.pending = version(engine, connection, sold.as_ref()).await?.map(|plan| PendingPlan { at: *at, plan });
    }
    Ok(state)
}

async fn version(
    engine: &Engine,
    connection: &mut Connection,
    sold: Option<&(String, u32)>,
) -> Result<Option<Arc<Plan>>, Error> {
    match sold {
        Some((code, version)) => plans::version(engine, connection, code, *version).await,
        None => Ok(None),
    }
}
