//! Opens a closed org again while that can be undone.

use tollgate_rules::entitlement::OrgStatus;

use super::{Error, Org, sql, update};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::{audit, erasure, keys, ledger};

/// Opens the org again, with the keys that ended with it. The same again answers the same.
///
/// # Errors
/// [`Error::Erased`] once thirty days have passed.
pub async fn restore(engine: &Engine, scope: &OrgScope) -> Result<Org, Error> {
    let (task, of) = (engine.clone(), scope.clone());
    let org = engine.db().detached(async move { store(&task, &of).await }).await?;
    engine.credentials().forget_org(scope.org_key());
    engine.ledger().forget(scope.org_key());
    Ok(org)
}

async fn store(engine: &Engine, scope: &OrgScope) -> Result<Org, Error> {
    let mut tx = engine.begin_for(scope).await?;
    let before = sql::lock(&mut tx, scope).await?.ok_or(Error::NotFound)?;
    if before.status != OrgStatus::Closed {
        return Ok(before);
    }
    if !erasure::can_be_undone(engine, before.closed_at) {
        return Err(Error::Erased);
    }
    let after = Org { status: OrgStatus::Active, closed_at: None, updated_at: engine.now(), ..before.clone() };
    sql::update(&mut tx, scope, &after).await?;
    if let Some(at) = before.closed_at {
        keys::sql::revive_all(&mut tx, scope, at).await?;
    }
    ledger::refresh(engine, &mut tx, scope.org_key()).await?;
    let entry = audit::Entry::of(scope, "orgs.restore", after.org_id.as_str())
        .before(update::shown(&before))
        .after(update::shown(&after));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok(after)
}
