//! Lists an org's keys, newest first.

use tollgate_rules::ids::KeyId;

use super::{Key, sql};
use crate::access::OrgScope;
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
