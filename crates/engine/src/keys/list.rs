//! Lists an org's keys, newest first.

use super::{Key, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// One page of the org's keys, revoked ones too.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Key>, ListError> {
    let mut connection = engine.db().read().await?;
    let keys = sql::list(&mut connection, scope, paging).await?;
    Ok(paging.page(keys, |key| key.key_id.as_str().to_owned()))
}
