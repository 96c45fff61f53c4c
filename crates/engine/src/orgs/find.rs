//! From an org's public id to its internal key, from memory when it was asked lately.

use tollgate_rules::ids::{OrgId, OrgKey};

use super::sql;
use crate::access::OrgRef;
use crate::db::{Error, Kind};
use crate::engine::Engine;

/// The org with this public id, whatever its status.
pub(crate) async fn find(engine: &Engine, org_id: &OrgId) -> Result<Option<OrgRef>, Error> {
    let credentials = engine.credentials();
    let now = engine.clock().monotonic.now();
    if let Some((org, read_at)) = credentials.known_org(org_id) {
        let age = now.saturating_sub(read_at);
        if engine.db().kind() == Kind::Sqlite || age < engine.limits().key_cache_ttl {
            return Ok(Some(org));
        }
    }
    let generation = credentials.generation();
    let mut connection = engine.db().read().await?;
    let Some(key) = sql::org_key(&mut connection, org_id).await? else { return Ok(None) };
    let org = OrgRef { key, id: org_id.clone() };
    credentials.remember_org(&org, now, generation, engine.limits().key_cache_entries_max);
    Ok(Some(org))
}

/// The public id of an org that a row names by its key.
pub(crate) async fn id_of(engine: &Engine, org_key: OrgKey) -> Result<OrgId, Error> {
    let mut connection = engine.db().read().await?;
    sql::org_id(&mut connection, org_key).await
}
