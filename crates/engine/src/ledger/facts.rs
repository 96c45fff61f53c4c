//! What decides an org's rights, as the ledger reads it under the org's lock.

use tollgate_rules::entitlement::OrgFacts;
use tollgate_rules::ids::OrgKey;

use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::{grants, subscriptions};

/// The stored facts of an org.
pub(super) async fn facts(engine: &Engine, tx: &mut Tx, org_key: OrgKey) -> Result<OrgFacts, Error> {
    grants::write_draws(tx, org_key, engine.now()).await?;
    #[cfg(test)]
    if let Some(mut planted) = engine.ledger().planted(org_key) {
        planted.grants.extend(grants::facts(tx, org_key).await?);
        planted.debts = super::debts(tx, org_key).await?;
        planted.spend_cap = crate::spending::cap(tx, org_key).await?;
        return Ok(planted);
    }
    let facts = subscriptions::facts(engine, tx, org_key).await?;
    subscriptions::remember(tx, org_key, &facts, engine.now()).await?;
    Ok(facts)
}
