//! What decides an org's rights, as the ledger reads it under the org's lock.

use std::collections::BTreeSet;

use tollgate_rules::entitlement::{OrgFacts, OrgStatus};
use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use crate::db::{Error, Tx};
use crate::engine::Engine;

/// The stored facts of an org.
pub(super) async fn facts(engine: &Engine, _tx: &mut Tx, org_key: OrgKey) -> Result<OrgFacts, Error> {
    if let Some(planted) = engine.ledger().planted(org_key) {
        return Ok(planted);
    }
    Ok(OrgFacts {
        org_status: OrgStatus::Active,
        subscription: None,
        has_default_payment_method: false,
        plan: None,
        trial_plan: None,
        metrics: BTreeSet::new(),
        overrides: Vec::new(),
        grants: Vec::new(),
        strict_quota: true,
    })
}

/// Remembers what was decided on.
pub(super) async fn remember(_tx: &mut Tx, _org_key: OrgKey, _facts: &OrgFacts, _now: Timestamp) -> Result<(), Error> {
    Ok(())
}
