//! What became of messages: deliveries listed and tried again, messages pulled by a cursor.

use tollgate_rules::time::Timestamp;

use super::render::Message;
use super::{Error, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::Lane;
use crate::engine::Engine;
use crate::paging::{Page, Paging};

/// Which deliveries.
#[derive(Debug, Clone)]
pub struct DeliveryFilter {
    /// To this endpoint.
    pub endpoint_id: String,
    /// `pending`, `done` or `dead`; any where nothing is said.
    pub state: Option<String>,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The message's place in the order.
    pub sequence: i64,
    /// The message.
    pub message_id: String,
    /// What happened.
    pub kind: String,
    /// `pending`, `done` or `dead`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i64,
    /// When it is tried next, or was to be (business clock).
    pub run_at: Timestamp,
    /// The last answer's status.
    pub last_status: Option<i64>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it ended (business clock).
    pub ended_at: Option<Timestamp>,
}

/// One page of deliveries, newest first.
///
/// # Errors
/// [`Error::NotFound`], [`Error::BadCursor`].
pub async fn deliveries(
    engine: &Engine,
    _scope: &OperatorScope,
    filter: &DeliveryFilter,
    paging: &Paging,
) -> Result<Page<Listed>, Error> {
    let before = paging.after_number()?;
    let mut connection = engine.db().read().await?;
    sql::endpoint(&mut connection, engine.sealer(), &filter.endpoint_id).await?.ok_or(Error::NotFound)?;
    let rows = sql::deliveries(&mut connection, filter, before, paging.fetch()).await?;
    Ok(paging.page(rows, |listed| listed.sequence.to_string()))
}

/// Which deliveries are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redeliver {
    /// All dead ones.
    Dead,
    /// This one, whatever became of it.
    One(i64),
}

/// Makes deliveries due again, with all their attempts; says how many.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn redeliver(
    engine: &Engine,
    scope: &OperatorScope,
    endpoint_id: &str,
    which: Redeliver,
) -> Result<u64, Error> {
    let (task, by, id) = (engine.clone(), scope.clone(), endpoint_id.to_owned());
    let write = async move {
        let now = task.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        sql::endpoint(&mut tx, task.sealer(), &id).await?.ok_or(Error::NotFound)?;
        let revived = match which {
            Redeliver::Dead => sql::revive_dead(&mut tx, &id, now).await?,
            Redeliver::One(sequence) => sql::revive_one(&mut tx, (&id, sequence), now).await?,
        };
        let entry = audit::Entry::server(&by, "webhooks.endpoints.redeliver", &id);
        audit::append(&task, &mut tx, entry.after(serde_json::json!({ "deliveries": revived }))).await?;
        tx.commit().await?;
        Ok::<_, Error>(revived)
    };
    engine.db().detached(write).await
}

/// Messages after a place in the order.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// In order of their sequence.
    pub messages: Vec<Message>,
    /// The sequence to pull after next time; the one asked with where there was nothing.
    pub cursor: i64,
}

/// Messages whose sequence is above `after`, oldest first: for systems that rather ask than be told. What was pulled once
/// is in the same place for as long as it is kept.
///
/// # Errors
/// The database's.
pub async fn pull(engine: &Engine, _scope: &OperatorScope, after: i64, limit: i64) -> Result<Pulled, Error> {
    super::sequence::sequence(engine).await?;
    let limit = limit.clamp(1, engine.limits().page_rows_max);
    let messages = sql::messages_after(&mut engine.db().read().await?, after, limit).await?;
    let cursor = messages.last().map_or(after, |message| message.sequence);
    Ok(Pulled { messages, cursor })
}
