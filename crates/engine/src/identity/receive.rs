//! Takes a message in: verify the raw bytes, then store and apply it in one transaction.

use serde_json::json;
use tollgate_connectors::billing::{EventHint, ObjectKind, ObjectRef};
use tollgate_connectors::clerk::webhook::Signed;
use tollgate_connectors::identity::{Event, Identity};

use super::Error;
use super::apply::{self, After};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::inbox::sql as inbox;

/// Whose messages these are, in the inbox's column for accounts.
const ACCOUNT: &str = "clerk";

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The raw body.
    pub raw: &'a [u8],
    /// `svix-id`: the same over retries and replays.
    pub id: &'a str,
    /// `svix-timestamp`.
    pub timestamp: &'a str,
    /// `svix-signature`.
    pub signature: &'a str,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its id.
    pub event_id: String,
}

/// Stores and applies a message; the same one again is answered the same and changes nothing. What it says about people is
/// applied, not kept.
///
/// # Errors
/// [`Error::BadSignature`] and [`Error::Malformed`]: nothing was stored. [`Error::Database`]: it is delivered again.
pub async fn receive(engine: &Engine, delivery: &Delivery<'_>) -> Result<Received, Error> {
    let signed = Signed { id: delivery.id, timestamp: delivery.timestamp, signature: delivery.signature };
    let now = engine.now().as_micros().div_euclid(1_000_000);
    Identity::verify(delivery.raw, &signed, &engine.identity_webhook_secrets().current(), now)?;
    let event = Identity::read_event(delivery.raw).map_err(Error::Malformed)?;
    let event_id = delivery.id.to_owned();
    tracing::info!(event_id, kind = event.kind, "an identity message was taken in");
    let (task, id) = (engine.clone(), event_id.clone());
    let after = engine.db().detached(async move { store(&task, &id, &event).await }).await?;
    after.carry_out(engine);
    Ok(Received { event_id })
}

async fn store(engine: &Engine, event_id: &str, event: &Event) -> Result<After, db::Error> {
    let wall = engine.clock().wall.now();
    let hint = EventHint {
        event_id: event_id.to_owned(),
        account: ACCOUNT.to_owned(),
        kind: event.kind.clone(),
        created: wall,
        object: ObjectRef { kind: ObjectKind::Other, id: event.object_id.clone() },
        customer_id: None,
        api_version: None,
        live: true,
    };
    let mut tx = engine.db().begin(Lane::Control).await?;
    let payload = json!({ "type": event.kind, "id": event.object_id }).to_string();
    // Stored as done: if applying it fails, this row is undone with it, and the sender comes again.
    let outcome = Some(crate::inbox::Outcome::Applied);
    let new = inbox::NewEvent { hint: &hint, origin: inbox::Origin::Webhook, payload: &payload, outcome, now: wall };
    if !inbox::insert(&mut tx, &new).await? {
        return Ok(After::default());
    }
    let mut after = After::default();
    apply::apply(engine, &mut tx, &event.fact, &mut after).await?;
    tx.commit().await?;
    Ok(after)
}
