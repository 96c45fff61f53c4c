//! Webhooks, stored before they are acted on. Tables `webhook_inbox`, `customer_leases`, `billing_cursors`.
//!
//! Words: an *inbox event* is a hint that an object changed at billing. It is verified over its raw bytes, stored once
//! (unique by account and event id) and acknowledged; a worker then *fetches the object* and overwrites our projection,
//! so that order, repeats and delays do not matter. The row itself is the queue: there is no second place where an
//! event could be lost between "stored" and "to be done".
//!
//! Invariants:
//! - One customer at a time: whoever fetches holds the customer's lease, and every effect checks the lease's epoch in
//!   its own transaction. A fetch that is older than a stored one therefore cannot be written.
//! - An event is marked done in the transaction of its effect, never before.
//! - A failing event is tried again with growing, jittered pauses, then becomes a dead letter; it holds up nothing but
//!   its own object. An object that is gone at billing, or of no org of ours, is converged.
//! - With every webhook lost, [`reconcile`] finds the same objects in billing's list of events and subscriptions.

mod apply;
mod lease;
mod list;
mod process;
mod receive;
pub mod reconcile;
mod replay;
pub(crate) mod sql;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod worker;

pub(crate) use lease::{Lease, Lost};
pub use list::{Filter, InboxEvent, list, open};
pub use process::{Processed, process};
pub use receive::{Received, receive};
pub use replay::{Replay, Replayed, replay};

use tollgate_connectors::billing::SignatureError;

use crate::db;

/// What the inbox keeps in memory; nothing of it is lost with the process.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Who waits for which customer in this process.
    queues: lease::Queues,
    /// Rings when there is something to process.
    wake: tokio::sync::Notify,
}

/// Why the inbox could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The delivery is not signed with a secret of ours, or too long ago. Nothing was stored.
    #[error("the delivery is not believed: {0}")]
    BadSignature(#[from] SignatureError),
    /// The delivery is signed, but it is no event. Nothing was stored.
    #[error("the delivery is no event: {0}")]
    Malformed(String),
    /// No event has this id.
    #[error("no such event")]
    NotFound,
    /// The page's cursor is none of ours.
    #[error(transparent)]
    BadCursor(#[from] crate::paging::BadCursor),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Where an inbox event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be processed, or to be tried again.
    Pending,
    /// Its object is as billing says.
    Done,
    /// Given up; only a replay tries it again.
    Dead,
}

impl State {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Done => "done",
            State::Dead => "dead",
        }
    }

    /// Reads a state; nothing for a word we do not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<State> {
        [State::Pending, State::Done, State::Dead].into_iter().find(|state| state.as_str() == text)
    }
}

/// How an event became done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The projection changed.
    Applied,
    /// The projection was so already.
    Unchanged,
    /// The object does not exist at billing any more.
    Gone,
    /// The object is of no org of ours.
    Foreign,
    /// Nothing we keep depends on such an event.
    Ignored,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Unchanged => "unchanged",
            Outcome::Gone => "gone",
            Outcome::Foreign => "foreign",
            Outcome::Ignored => "ignored",
        }
    }
}
