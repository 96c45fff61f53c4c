//! Usage to money: what was used beyond metered allowances is told to billing, exactly once. Table `meter_reports`.
//!
//! Words: a *report* is something billing is told (units to a meter, a report taken back, an invoice item); it is *frozen* as a row
//! with its identifier before it is sent, and sent again under the same identifier until billing has it. A period's invoice is
//! *open* for most of an hour after the period, so that the last units reach it; what comes later becomes an invoice item.
//!
//! Invariants: the sum of what was told is what the catalog charges for the counters' overage; a report that may have arrived and whose
//! identifier billing may have forgotten is read back before it is sent again; what can no longer be told is a dead letter and an alarm.

mod at_stripe;
mod freeze;
mod job;
mod reconcile;
mod send;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tollgate_connectors::billing;

use crate::{db, plans};

pub(crate) use at_stripe::{ensure_prices, moved_items};
pub(crate) use job::{flush, flush_after, job, report};
pub(crate) use reconcile::job as reconcile_job;
pub use reconcile::{OrgDrift, Reconcile, Reconciled, reconcile};

/// How long after its period an invoice still takes units: Stripe makes it final an hour after.
const INVOICE_OPEN: Duration = Duration::from_secs(50 * 60);

/// How long billing knows an identifier or key for certain; longer ago, it is read back first.
const IDENTIFIER_KNOWN: Duration = Duration::from_secs(23 * 3600);

/// How old units may be when they are reported.
const AGE_MAX: Duration = Duration::from_secs(35 * 24 * 3600);

/// Why something was not told now; it is told later.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Billing cannot answer or refuses.
    #[error(transparent)]
    Billing(#[from] billing::Error),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl From<plans::Error> for Error {
    fn from(error: plans::Error) -> Error {
        match error {
            plans::Error::Billing(error) => error.into(),
            plans::Error::Database(error) => error.into(),
        }
    }
}

impl From<Error> for plans::Error {
    fn from(error: Error) -> plans::Error {
        match error {
            Error::Billing(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}

fn key(text: &str) -> Result<billing::IdempotencyKey, billing::Error> {
    billing::IdempotencyKey::parse(text).map_err(|error| billing::Error::Refused(error.to_string()))
}
