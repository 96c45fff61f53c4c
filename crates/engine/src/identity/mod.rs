//! Users, organizations and memberships that somebody else keeps (Clerk), and how our tables follow. Table `identity_marks`.
//!
//! Words: a *fact* is what was told about one object; a *mark* remembers how new what we know of it is, and that it is gone.
//!
//! Invariants: a message is stored and applied in one transaction, once; order does not matter, the newest `updated_at` wins; what
//! was deleted is not revived by a late message; with every message lost, reconciliation ends at the same state.

mod apply;
mod follow;
mod invite;
mod org;
mod receive;
mod reconcile;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

pub(crate) use follow::{know_gone, take_in, take_out};
pub use invite::{invite, revoke_invitation};
pub(crate) use org::{make_org, org_there};
pub use receive::{Delivery, Received, receive};
pub(crate) use reconcile::job;
pub use reconcile::{Reconciled, reconcile};

use tollgate_connectors::clerk::webhook;
use tollgate_connectors::identity;

pub use tollgate_connectors::identity::Error as Elsewhere;

use crate::db;

/// Whether somebody else keeps them.
#[must_use]
pub fn is_elsewhere(engine: &crate::Engine) -> bool {
    engine.identity().issuer().is_some()
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The delivery is not signed with a secret of ours, or too long ago. Nothing was stored.
    #[error("the delivery is not believed: {0}")]
    BadSignature(#[from] webhook::Error),
    /// The delivery is signed, but it is no event. Nothing was stored.
    #[error("the delivery is no event: {0}")]
    Malformed(String),
    /// Whoever keeps them did not do it.
    #[error(transparent)]
    Elsewhere(#[from] identity::Error),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}
