//! Lists overrides, newest first.

use tollgate_rules::ids::OrgId;

use super::{Override, sql};
use crate::access::OperatorScope;
use crate::engine::Engine;
use crate::paging::{BadCursor, ListError, Page, Paging};

/// One page of the overrides of an org, or of all orgs; cleared and ended ones too.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    org: Option<&OrgId>,
    paging: &Paging,
) -> Result<Page<Override>, ListError> {
    let before = paging.after().map(cursor).transpose()?;
    let mut connection = engine.db().read().await?;
    let rows = sql::list(&mut connection, org, before, paging.fetch()).await?;
    Ok(paging.page(rows, |one| format!("{} {}", one.created_at.as_micros(), one.override_id)))
}

/// Where a page ended: a time and an id.
pub(crate) fn cursor(text: &str) -> Result<(i64, &str), BadCursor> {
    let (at, id) = text.split_once(' ').ok_or(BadCursor)?;
    Ok((at.parse().map_err(|_| BadCursor)?, id))
}
