//! Lists an org's keys, newest first.

use tollgate_rules::ids::{KeyId, OrgId};

use super::{Error, Key, sql};
use crate::access::{OperatorScope, OrgScope};
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// One page of the org's keys, revoked ones too.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Key>, ListError> {
    let mut connection = engine.read_for(scope).await?;
    let mut keys = sql::list(&mut connection, scope, paging).await?;
    let lines: Vec<&KeyId> = keys.iter().map(|key| &key.line).collect();
    let quotas = sql::quotas::of_lines(&mut connection, scope, &lines, engine.now()).await?;
    for key in &mut keys {
        let own = quotas.iter().filter(|(line, _, _)| *line == key.line);
        key.quota = own.map(|(_, metric, share)| (metric.clone(), *share)).collect();
    }
    Ok(paging.page(keys, |key| key.key_id.as_str().to_owned()))
}

/// Whose key this is: an operator names a key without its org.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Database`].
pub async fn org_of(engine: &Engine, _: &OperatorScope, key_id: &KeyId) -> Result<OrgId, Error> {
    let mut connection = engine.db().read().await?;
    sql::org_of(&mut connection, key_id).await?.ok_or(Error::NotFound)
}
