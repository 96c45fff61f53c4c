//! Reads jobs, newest first.

use tollgate_rules::time::Timestamp;

use super::{Kind, State, sql};
use crate::access::OperatorScope;
use crate::db::{Error, Row};
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// Which jobs; what is left out does not narrow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Of this kind.
    pub kind: Option<Kind>,
}

/// A job as it is shown to operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `job_…`.
    pub job_id: String,
    /// The kind's word (of a newer program too).
    pub kind: String,
    /// Its name within the kind.
    pub key: String,
    /// The state's word.
    pub state: String,
    /// When it runs next, or was to run, on the business clock.
    pub run_at: Timestamp,
    /// Tries so far.
    pub attempts: i64,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// The trace it continues.
    pub corr_id: String,
    /// When it was queued (wall clock).
    pub created_at: Timestamp,
    /// When it changed last (wall clock).
    pub updated_at: Timestamp,
}

/// One page of jobs.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: Filter,
    paging: &Paging,
) -> Result<Page<Listed>, ListError> {
    let mut connection = engine.db().read().await?;
    let rows = sql::list(&mut connection, &filter, paging).await?;
    let jobs = rows.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
    Ok(paging.page(jobs, |job| job.job_id.clone()))
}

pub(super) fn listed(row: &Row) -> Result<Listed, Error> {
    Ok(Listed {
        job_id: row.text("job_id")?,
        kind: row.text("kind")?,
        key: row.text("job_key")?,
        state: row.text("state")?,
        run_at: row.time("run_at")?,
        attempts: row.i64("attempts")?,
        last_error: row.opt_text("last_error")?,
        corr_id: row.text("corr_id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
