//! Closes an org: its keys end at once, its ledger and journal stay.

use tollgate_rules::entitlement::OrgStatus;

use super::{Error, Org, sql, update};
use crate::access::OrgScope;
use crate::audit;
use crate::db::Tx;
use crate::engine::Engine;
use crate::{keys, ledger, subscriptions, tokens};

/// Closes the org. The same again answers the same. After thirty days it is erased; until then the operator can undo it.
///
/// # Errors
/// [`Error::Subscribed`]: an owner ends the subscription first, so that nobody is charged for what is closed.
pub async fn delete(engine: &Engine, scope: &OrgScope) -> Result<Org, Error> {
    if !scope.is_operator() && subscriptions::living(engine, scope).await?.is_some() {
        return Err(Error::Subscribed);
    }
    let (task, of) = (engine.clone(), scope.clone());
    let org = engine.db().detached(async move { store(&task, &of).await }).await?;
    forget(engine, scope);
    Ok(org)
}

/// Forgets what is known of a closed org, so that nobody is let in on it.
pub(crate) fn forget(engine: &Engine, scope: &OrgScope) {
    engine.credentials().forget_org(scope.org_key());
    engine.ledger().forget(scope.org_key());
    tokens::refuse(engine, scope.org_id().as_str());
}

async fn store(engine: &Engine, scope: &OrgScope) -> Result<Org, Error> {
    let mut tx = engine.begin_for(scope).await?;
    let after = close(engine, &mut tx, scope).await?;
    tx.commit().await?;
    Ok(after)
}

/// Closes the org in the caller's transaction; [`forget`] what is known of it once that is committed.
pub(crate) async fn close(engine: &Engine, tx: &mut Tx, scope: &OrgScope) -> Result<Org, Error> {
    let before = sql::lock(tx, scope).await?.ok_or(Error::NotFound)?;
    if before.status == OrgStatus::Closed {
        return Ok(before);
    }
    let now = engine.now();
    let after = Org { status: OrgStatus::Closed, closed_at: Some(now), updated_at: now, ..before.clone() };
    sql::update(tx, scope, &after).await?;
    keys::sql::revoke_all(tx, scope, now).await?;
    tokens::refuse_stored(engine, tx, scope.org_id().as_str()).await?;
    ledger::refresh(engine, tx, scope.org_key()).await?;
    let entry = audit::Entry::of(scope, "orgs.delete", after.org_id.as_str())
        .before(update::shown(&before))
        .after(update::shown(&after));
    audit::append(engine, tx, entry).await?;
    Ok(after)
}
