//! Follows a key by a new one; both are valid until the old one ends.

use std::time::Duration;

use serde_json::json;

use tollgate_rules::ids::KeyId;

use super::create::{NewKey, Wanted, may_hold};
use super::{Created, Error, create, sql};
use crate::access::{Caller, OrgScope};
use crate::audit;
use crate::db::Tx;
use crate::engine::Engine;
use crate::tokens;

/// How long the old key lives on, unless it is revoked or ends before.
pub(super) const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Makes a key of the same name, scopes, end and quota; the old one ends after a day, so that callers can be moved one by one.
/// What was still alive of the line before the old one ends now: of one line two secrets live, never three.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Ended`] when the key is revoked, expired, or rotated already; [`Error::Escalation`] where the caller
/// could not have made such a key.
pub async fn rotate(engine: &Engine, caller: &Caller, scope: &OrgScope, key_id: &KeyId) -> Result<Created, Error> {
    let (task, who, of, id) = (engine.clone(), caller.clone(), scope.clone(), key_id.clone());
    let written = engine.db().detached(async move { store(&task, &who, &of, &id).await });
    let (created, ended) = written.await?;
    engine.credentials().forget_key(key_id.as_str());
    for key_id in ended {
        engine.credentials().forget_key(&key_id);
        tokens::refuse(engine, &key_id);
    }
    Ok(created)
}

async fn store(
    engine: &Engine,
    caller: &Caller,
    scope: &OrgScope,
    key_id: &KeyId,
) -> Result<(Created, Vec<String>), Error> {
    let now = engine.now();
    let mut tx = engine.begin_for(scope).await?;
    create::check_room(engine, &mut tx, scope).await?;
    let old = sql::by_id(&mut tx, scope, key_id).await?.ok_or(Error::NotFound)?;
    // Its secret is handed to the caller: that is as good as making it.
    may_hold(caller, scope, &old.scopes)?;
    if caller.slice().is_some_and(|own| *own != old.line) {
        return Err(Error::Escalation);
    }
    if old.revoked_at.is_some() {
        return Err(Error::Ended("revoked"));
    }
    if old.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::Ended("expired"));
    }
    if old.rotated_to.is_some() {
        return Err(Error::Ended("rotated already"));
    }
    let ended = end_others(engine, &mut tx, scope, &old).await?;
    let quota = sql::quotas::of_lines(&mut tx, scope, &[&old.line], now).await?;
    let wanted = Wanted {
        name: old.name,
        scopes: old.scopes,
        expires_at: old.expires_at,
        line: Some(old.line),
        quota: quota.into_iter().map(|(_, metric, share)| (metric, share)).collect(),
    };
    let new = NewKey::make(engine, wanted)?;
    new.store(engine, &mut tx, scope, "keys.rotate").await?;
    let overlap_end = now.plus(OVERLAP);
    let end = old.expires_at.map_or(overlap_end, |end| end.min(overlap_end));
    sql::set_rotated(&mut tx, scope, key_id, &new.key.key_id, end).await?;
    tx.commit().await?;
    Ok((new.into_created(), ended))
}

/// Ends the live keys of the line but this one.
async fn end_others(engine: &Engine, tx: &mut Tx, scope: &OrgScope, keep: &super::Key) -> Result<Vec<String>, Error> {
    let ended = sql::end_others(tx, scope, keep, engine.now()).await?;
    for key_id in &ended {
        let after = json!({ "revokedAt": engine.now(), "reason": "its line was rotated again" });
        audit::append(engine, tx, audit::Entry::of(scope, "keys.revoke", key_id.as_str()).after(after)).await?;
        tokens::refuse_stored(engine, tx, key_id).await?;
    }
    Ok(ended)
}
