//! Lists orgs, newest first.

use tollgate_rules::entitlement::OrgStatus;

use super::{Org, sql};
use crate::access::OperatorScope;
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// Which orgs; what is left out does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this status.
    pub status: Option<OrgStatus>,
    /// Whose name or id contains this text (letter case of ASCII does not count).
    pub search: Option<String>,
}

/// One page of orgs.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<Org>, ListError> {
    let before_key = paging.after_number()?.unwrap_or(i64::MAX);
    let mut connection = engine.db().read().await?;
    let orgs = sql::list(&mut connection, filter, before_key, paging).await?;
    Ok(paging.page(orgs, |org| org.org_key.0.to_string()))
}
