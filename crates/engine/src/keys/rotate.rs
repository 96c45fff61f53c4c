//! Follows a key by a new one; both are valid until the old one ends.

use std::time::Duration;

use tollgate_rules::ids::KeyId;

use super::create::NewKey;
use super::{Created, Error, create, sql};
use crate::access::OrgScope;
use crate::db::Lane;
use crate::engine::Engine;

/// How long the old key lives on, unless it is revoked or ends before.
pub(super) const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Makes a key of the same name, scopes and end; the old one ends after a day, so that callers can be moved one by one.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Ended`] when the key is revoked, expired, or rotated already (of one key two secrets live, never three).
pub async fn rotate(engine: &Engine, scope: &OrgScope, key_id: &KeyId) -> Result<Created, Error> {
    let (task, of, id) = (engine.clone(), scope.clone(), key_id.clone());
    let created = engine.db().detached(async move { store(&task, &of, &id).await }).await?;
    engine.credentials().forget_key(key_id.as_str());
    Ok(created)
}

async fn store(engine: &Engine, scope: &OrgScope, key_id: &KeyId) -> Result<Created, Error> {
    let now = engine.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    create::check_room(engine, &mut tx, scope).await?;
    let old = sql::by_id(&mut tx, scope, key_id).await?.ok_or(Error::NotFound)?;
    if old.revoked_at.is_some() {
        return Err(Error::Ended("revoked"));
    }
    if old.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::Ended("expired"));
    }
    if old.rotated_to.is_some() {
        return Err(Error::Ended("rotated already"));
    }
    let new = NewKey::make(engine, old.name, old.scopes, old.expires_at)?;
    new.store(engine, &mut tx, scope, "keys.rotate").await?;
    let overlap_end = now.plus(OVERLAP);
    let end = old.expires_at.map_or(overlap_end, |end| end.min(overlap_end));
    sql::set_rotated(&mut tx, scope, key_id, &new.key.key_id, end).await?;
    tx.commit().await?;
    Ok(new.into_created())
}
