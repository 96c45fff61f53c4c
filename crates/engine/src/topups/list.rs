//! Lists what an org bought, newest first.

use super::{Purchase, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// One page of the org's purchases; declined ones too.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Purchase>, ListError> {
    let before = paging.after().map(crate::overrides::cursor).transpose()?;
    let mut connection = engine.read_for(scope).await?;
    let found = sql::list(&mut connection, scope.org_key(), before, paging.fetch()).await?;
    Ok(paging.page(found, |one| format!("{} {}", one.created_at.as_micros(), one.topup_id)))
}
