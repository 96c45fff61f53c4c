//! Telling the plan mirror (Stigg) which org is on which plan. Told, never asked. Table `mirrored_subscriptions`.
//!
//! Order of effects: Stripe, then our database, then the mirror. It is told through an operation, so that a crash
//! half-way is resumed with the same keys; no decision ever waits for it. While a subscription is on trial, the mirror
//! is told the plan that is being tried. A subscription that was told of once is followed from then on: every change
//! of its plan, interval or trial, and its end, is told by itself.

mod follow;
pub(crate) mod sql;
mod steps;
mod stigg;
#[cfg(test)]
mod tests;

pub(crate) use follow::{follow, notice};
pub(crate) use steps::steps;
pub use stigg::{Provision, stigg};

use tollgate_rules::ids::OperationId;

use crate::{db, operations, orgs};

/// Why the mirror was not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No mirror is configured.
    #[error("no plan mirror is configured")]
    MirrorOff,
    /// An id or the plan is not this org's; names the fields as the caller spelled them.
    #[error("not this org's: {}", .0.join(", "))]
    NotThisOrgs(Vec<&'static str>),
    /// The mirror refuses what we tell it; a person must look.
    #[error("the plan mirror refused: {0}")]
    Refused(String),
    /// The mirror does not answer; it is told by itself later.
    #[error("the plan mirror does not answer; operation {operation_id} completes by itself")]
    Pending {
        /// What to ask for.
        operation_id: OperationId,
    },
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl From<operations::Error> for Error {
    fn from(error: operations::Error) -> Error {
        match error {
            operations::Error::Refused(refusal) if refusal.code == operations::Code::Off => Error::MirrorOff,
            operations::Error::Refused(refusal) => Error::Refused(refusal.message),
            operations::Error::Pending { operation_id } => Error::Pending { operation_id },
            operations::Error::Database(error) => Error::Database(error),
        }
    }
}

impl From<orgs::Error> for Error {
    fn from(error: orgs::Error) -> Error {
        match error {
            orgs::Error::Database(error) => Error::Database(error),
            other => Error::Database(db::Error::Bug(format!("reading an org: {other}"))),
        }
    }
}
