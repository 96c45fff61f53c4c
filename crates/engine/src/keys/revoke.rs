//! Ends a key at once.

use serde_json::json;

use tollgate_rules::ids::KeyId;

use super::{Error, Key, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;
use crate::tokens;

/// Revokes the key. The same again answers the same.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn revoke(engine: &Engine, scope: &OrgScope, key_id: &KeyId) -> Result<Key, Error> {
    let (task, of, id) = (engine.clone(), scope.clone(), key_id.clone());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        let mut key = sql::by_id(&mut tx, &of, &id).await?.ok_or(Error::NotFound)?;
        let quota = sql::quotas::of_lines(&mut tx, &of, &[&key.line], task.now()).await?;
        key.quota = quota.into_iter().map(|(_, metric, share)| (metric, share)).collect();
        if key.revoked_at.is_some() {
            return Ok(key);
        }
        let now = task.now();
        // Another call may have revoked it between the two statements: theirs has the entry then.
        if sql::revoke(&mut tx, &of, &id, now).await? {
            let entry = audit::Entry::of(&of, "keys.revoke", id.as_str()).after(json!({ "revokedAt": now }));
            audit::append(&task, &mut tx, entry).await?;
            tokens::refuse_stored(&task, &mut tx, id.as_str()).await?;
        }
        tx.commit().await?;
        Ok::<_, Error>(Key { revoked_at: Some(now), ..key })
    };
    let key = engine.db().detached(write).await?;
    engine.credentials().forget_key(key_id.as_str());
    tokens::refuse(engine, key_id.as_str());
    Ok(key)
}
