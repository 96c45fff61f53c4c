//! Takes a delivery in: verify the raw bytes, store once, acknowledge.

use tollgate_connectors::billing::{Billing, EventHint, ObjectKind};

use super::sql::{self, NewEvent, Origin};
use super::{Error, Outcome};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::fault;

/// A stored delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Billing's id of the event.
    pub event_id: String,
}

/// Stores a delivery that billing signed; the same one again is answered the same and stored once. What it changes is
/// found out later, by fetching its object.
///
/// # Errors
/// [`Error::BadSignature`] and [`Error::Malformed`]: nothing was stored. [`Error::Database`]: billing delivers again.
pub async fn receive(engine: &Engine, raw: &[u8], signature: &str) -> Result<Received, Error> {
    Billing::verify(raw, signature, &engine.webhook_secrets().current(), engine.now())?;
    let hint = Billing::read_event(raw).map_err(|error| Error::Malformed(error.to_string()))?;
    let payload = String::from_utf8(raw.to_vec()).map_err(|error| Error::Malformed(error.to_string()))?;
    let event_id = hint.event_id.clone();
    let (writer, kind) = (engine.clone(), hint.kind.clone());
    let new = engine.db().detached(async move { store(&writer, &hint, &payload).await }).await?;
    tracing::info!(event_id, kind, new, "a webhook was stored");
    engine.inbox().wake.notify_one();
    Ok(Received { event_id })
}

async fn store(engine: &Engine, hint: &EventHint, payload: &str) -> Result<bool, db::Error> {
    fault::point(engine, "inbox.receive.before_insert")?;
    let now = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    let new = NewEvent { hint, origin: Origin::Webhook, payload, outcome: at_once(hint), now };
    let inserted = sql::insert(&mut tx, &new).await?;
    tx.commit().await?;
    fault::point(engine, "inbox.receive.before_answer")?;
    Ok(inserted)
}

/// Events about objects that change nothing we keep are stored and done.
pub(super) fn at_once(hint: &EventHint) -> Option<Outcome> {
    (hint.object.kind == ObjectKind::Other || hint.object.id.is_empty()).then_some(Outcome::Ignored)
}
