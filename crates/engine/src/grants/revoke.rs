//! Ends a grant early: what was drawn from it stays, the rest is gone.

use serde_json::json;

use super::{Error, Grant, book, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::{audit, ledger};

/// Ends a grant of the org now.
///
/// # Errors
/// [`Error::NotFound`] when there is none that is open, or the database's.
pub async fn revoke(engine: &Engine, scope: &OrgScope, grant_id: &str, reason: &str) -> Result<Grant, Error> {
    let (task, by) = (engine.clone(), scope.clone());
    let (id, reason) = (grant_id.to_owned(), reason.to_owned());
    let ended = engine.db().detached(async move { store(&task, &by, &id, &reason).await }).await?;
    engine.ledger().forget(scope.org_key());
    Ok(ended)
}

async fn store(engine: &Engine, scope: &OrgScope, grant_id: &str, reason: &str) -> Result<Grant, Error> {
    let now = engine.now();
    let mut tx = engine.begin_for(scope).await?;
    // Under the lock, with everything drawn until now written down.
    ledger::refresh(engine, &mut tx, scope.org_key()).await?;
    let open = sql::open(&mut tx, scope.org_key()).await?;
    let mut grant = open.into_iter().find(|grant| grant.grant_id == grant_id).ok_or(Error::NotFound)?;
    if grant.ends_at.is_some_and(|ends| ends <= now) {
        return Err(Error::NotFound);
    }
    grant.used = book::used(&mut tx, scope.org_key()).await?.get(grant_id).copied().unwrap_or(0);
    sql::end(&mut tx, scope.org_key(), grant_id, now).await?;
    let entry = audit::Entry::of(scope, "grants.revoke", grant_id)
        .before(json!({ "units": grant.units, "used": grant.used, "expiresAt": grant.ends_at }))
        .after(json!({ "expiresAt": now, "reason": reason }));
    audit::append(engine, &mut tx, entry).await?;
    ledger::refresh(engine, &mut tx, scope.org_key()).await?;
    tx.commit().await?;
    grant.ends_at = Some(now);
    Ok(grant)
}
