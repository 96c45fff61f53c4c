//! Webhooks to the operator's own systems. Tables `webhook_endpoints`, `webhook_messages`, `webhook_sequence`,
//! `webhook_deliveries`.
//!
//! Words: a *message* is one change of state, taken from the audit entry that tells of it, in the same transaction; the
//! *sequence* numbers messages in one order without gaps; a *delivery* is one message on its way to one *endpoint*.
//!
//! Messages get their sequence after the commit, by whoever holds the sequence's row: numbers given inside transactions
//! would be seen in another order than they were committed in, and a reader with a cursor would miss some.
//!
//! Invariants: a message that has a sequence never changes, so every attempt sends the same body under the same id; an
//! endpoint's deliveries are made one after the other in order of their sequence, each tried ten times over three days; a
//! slow or dead endpoint holds up nobody else; secrets are sealed at rest and shown once.

mod attempt;
mod deliveries;
mod endpoints;
mod render;
mod rotate;
mod sequence;
pub(crate) mod sql;
mod tell;
#[cfg(test)]
mod tests;
pub(crate) mod worker;

pub use deliveries::{DeliveryFilter, Listed, Pulled, Redeliver, deliveries, pull, redeliver};
pub use endpoints::{Change, Created, NewEndpoint, create, delete, list, update};
pub use render::Message;
pub use rotate::rotate;
pub use tell::KINDS;
pub(crate) use tell::{Told, tell};

use secrecy::SecretString;

use tollgate_connectors::outgoing::Refused;
use tollgate_rules::time::Timestamp;

use crate::db;
use crate::engine::Engine;
use crate::paging::BadCursor;

/// What the workers keep in memory.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Sends messages.
    sender: tollgate_connectors::outgoing::Sender,
}

impl Shared {
    pub(crate) fn new(sender: tollgate_connectors::outgoing::Sender) -> Shared {
        Shared { sender }
    }
}

/// Why something about endpoints was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none that webhooks go to.
    #[error("{0}")]
    BadUrl(#[from] Refused),
    /// There is no such kind of message.
    #[error("{0} is no kind of message")]
    BadKind(String),
    /// There are as many endpoints as there may be.
    #[error("there are {0} endpoints already, which is the most")]
    TooMany(i64),
    /// There is no such endpoint.
    #[error("no such endpoint")]
    NotFound,
    /// The cursor is none of ours.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Whether an endpoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Enabled,
    /// It is not: by the operator, because it said 410, or because it failed for days.
    Disabled,
}

impl State {
    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Enabled => "enabled",
            State::Disabled => "disabled",
        }
    }
}

/// An endpoint as it is stored, its secrets opened.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `we_…`
    pub endpoint_id: String,
    /// Where to.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which messages; all where there is none.
    pub kinds: Vec<String>,
    /// Whether it is told.
    pub state: State,
    pub(crate) secret: SecretString,
    /// The secret before, and until when it signs too (business clock).
    pub(crate) former: Option<(SecretString, Timestamp)>,
    /// Since when every attempt failed (business clock).
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before (business clock): it asked for less.
    pub held_until: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Endpoint {
    /// Until when the former secret signs too, where there is one.
    #[must_use]
    pub fn former_until(&self) -> Option<Timestamp> {
        self.former.as_ref().map(|(_, until)| *until)
    }

    /// Whether it wants messages of this kind.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.state == State::Enabled && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind))
    }
}

/// Makes a secret: `whsec_` and 32 random bytes.
fn new_secret(engine: &Engine) -> SecretString {
    use base64::Engine as _;
    let bytes = engine.clock().entropy.bytes::<32>();
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    SecretString::from(format!("{}{encoded}", tollgate_connectors::outgoing::signature::PREFIX))
}
