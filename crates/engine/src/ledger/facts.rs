//! What decides an org's rights, as the ledger reads it under the org's lock.

use tollgate_rules::entitlement::OrgFacts;
use tollgate_rules::ids::OrgKey;

use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::subscriptions;

/// The stored facts of an org.
pub(super) async fn facts(engine: &Engine, tx: &mut Tx, org_key: OrgKey) -> Result<OrgFacts, Error> {
    #[cfg(test)]
    if let Some(planted) = engine.ledger().planted(org_key) {
        return Ok(planted);
    }
    let facts = subscriptions::facts(engine, tx, org_key).await?;
    subscriptions::remember(tx, org_key, &facts, engine.now()).await?;
    Ok(facts)
}
