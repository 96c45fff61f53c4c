//! Gives an org another public id; its ledger, keys and history stay.

use serde_json::json;

use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::OrgId;

use super::{Error, Org, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::db;
use crate::engine::Engine;

/// Changes the public id. The same again answers the same.
///
/// # Errors
/// [`Error::Taken`] when another org has the id, [`Error::Closed`].
pub async fn relink(engine: &Engine, scope: &OrgScope, new_id: OrgId) -> Result<Org, Error> {
    let (task, of) = (engine.clone(), scope.clone());
    let org = engine.db().detached(async move { store(&task, &of, new_id).await }).await?;
    engine.credentials().forget_org(scope.org_key());
    Ok(org)
}

async fn store(engine: &Engine, scope: &OrgScope, new_id: OrgId) -> Result<Org, Error> {
    let mut tx = engine.begin_for(scope).await?;
    let before = sql::lock(&mut tx, scope).await?.ok_or(Error::NotFound)?;
    if before.status == OrgStatus::Closed {
        return Err(Error::Closed);
    }
    if before.org_id == new_id {
        return Ok(before);
    }
    let after = Org { org_id: new_id, updated_at: engine.now(), ..before.clone() };
    match sql::relink(&mut tx, scope, &after).await {
        Err(db::Error::Conflict(_)) => return Err(Error::Taken),
        other => other?,
    }
    let entry = audit::Entry::of(scope, "orgs.relink", after.org_id.as_str())
        .before(json!({ "orgId": before.org_id }))
        .after(json!({ "orgId": after.org_id }));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok(after)
}
