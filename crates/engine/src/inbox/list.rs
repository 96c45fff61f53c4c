//! Looks at the inbox.

use tollgate_rules::time::Timestamp;

use super::{Error, State, sql};
use crate::access::OperatorScope;
use crate::db;
use crate::engine::Engine;
use crate::paging::{Page, Paging};

/// Which events are meant; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Where they stand.
    pub state: Option<State>,
    /// Their kind, for example `invoice.paid`.
    pub kind: Option<String>,
    /// Their id at billing.
    pub event_id: Option<String>,
    /// Whose object they are about.
    pub customer_id: Option<String>,
    /// Received at this time or later.
    pub received_from: Option<Timestamp>,
    /// Received before this time.
    pub received_before: Option<Timestamp>,
}

/// An event in the inbox. Its payload stays inside: it may hold personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEvent {
    /// Its place in the inbox.
    pub inbox_id: i64,
    /// Its id at billing.
    pub event_id: String,
    /// For example `invoice.paid`.
    pub kind: String,
    /// The object it is about.
    pub object_id: String,
    /// Whose object it is, when the event says so.
    pub customer_id: Option<String>,
    /// `webhook`, `events` (found in billing's list) or `sweep` (found by comparing).
    pub source: String,
    /// When it happened at billing.
    pub happened_at: Timestamp,
    /// When it was stored.
    pub received_at: Timestamp,
    /// When it was done.
    pub processed_at: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
    /// How it became done: `applied`, `unchanged`, `gone`, `foreign` or `ignored`.
    pub outcome: Option<String>,
    /// Failed tries.
    pub attempts: i64,
    /// What the last failed try said.
    pub last_error: Option<String>,
}

/// One page of the inbox, newest first.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Database`].
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<InboxEvent>, Error> {
    let before = paging.after_number()?;
    let mut connection = engine.db().read().await?;
    let events = sql::list(&mut connection, filter, before, paging.fetch()).await?;
    Ok(paging.page(events, |event| event.inbox_id.to_string()))
}

/// How many events wait to be processed.
///
/// # Errors
/// The database cannot answer.
pub async fn open(engine: &Engine) -> Result<i64, db::Error> {
    sql::open_count(&mut engine.db().read().await?).await
}
