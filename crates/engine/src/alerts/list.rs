//! Lists an org's alerts and daily summaries, newest first.

use super::{Alert, Summary, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// One page of the org's alerts.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Alert>, ListError> {
    let before = paging.after().map(crate::overrides::cursor).transpose()?;
    let mut connection = engine.read_for(scope).await?;
    let rows = sql::list(&mut connection, scope, before, paging.fetch()).await?;
    Ok(paging.page(rows, |one| format!("{} {}/{}", one.raised_at.as_micros(), one.metric, one.kind.as_str())))
}

/// One page of the org's days, one row per metric.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn summaries(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Summary>, ListError> {
    let before = paging.after().map(crate::overrides::cursor).transpose()?;
    let mut connection = engine.read_for(scope).await?;
    let rows = sql::summaries(&mut connection, scope, before, paging.fetch()).await?;
    Ok(paging.page(rows, |one| format!("{} {}", one.day.as_micros(), one.metric)))
}
