//! Incidents for the operator, newest first, and their end by hand.

use tollgate_rules::time::Timestamp;

use super::{Kind, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::paging::{BadCursor, ListError, Page, Paging};

/// Which incidents; what is left out does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `open` or `closed`.
    pub state: Option<String>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this org.
    pub org_id: Option<String>,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// `inc_…`
    pub incident_id: String,
    /// Whose; none for the server itself.
    pub org_id: Option<String>,
    /// What kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// In words.
    pub detail: String,
    /// `open` or `closed`.
    pub state: String,
    /// How often its cause was seen.
    pub seen: i64,
    /// When it was opened, on the business clock.
    pub opened_at: Timestamp,
    /// When its cause was seen last.
    pub last_seen_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// One page of incidents.
///
/// # Errors
/// [`ListError`].
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<Incident>, ListError> {
    let before = paging.after().map(position).transpose()?;
    let mut connection = engine.db().read().await?;
    let items = sql::list(&mut connection, filter, before, paging.fetch()).await?;
    Ok(paging.page(items, |item| format!("{}:{}", item.opened_at.as_micros(), item.incident_id)))
}

fn position(cursor: &str) -> Result<(Timestamp, &str), BadCursor> {
    let (micros, id) = cursor.split_once(':').ok_or(BadCursor)?;
    Ok((Timestamp::from_micros(micros.parse().map_err(|_| BadCursor)?), id))
}

/// Why an incident was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// There is no open incident with this id.
    #[error("no open incident has this id")]
    NotFound,
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Closes an incident that was looked at. Should its cause come again, a new one opens.
///
/// # Errors
/// [`CloseError`].
pub async fn close_by_operator(
    engine: &Engine,
    scope: &OperatorScope,
    incident_id: &str,
    reason: &str,
) -> Result<(), CloseError> {
    let (task, by, id, why) = (engine.clone(), scope.clone(), incident_id.to_owned(), reason.to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if !sql::close_one(&mut tx, &id, task.now()).await? {
            return Err(CloseError::NotFound);
        }
        let entry = audit::Entry::server(&by, "incidents.close", &id);
        audit::append(&task, &mut tx, entry.after(serde_json::json!({ "reason": why }))).await?;
        tx.commit().await?;
        Ok(())
    };
    engine.db().detached(write).await
}
