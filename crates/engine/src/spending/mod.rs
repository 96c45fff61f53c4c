//! Spend caps: the most that an org lets overage cost in a quota period. Table `spend_caps`.
//!
//! Words: what overage *costs* is what billing is going to charge for units beyond the included ones, a begun block in full, held units
//! counted as used. The cap is resolved into the org's head, and the ledger decides under its lock.
//!
//! Invariants: without force overage never costs more than the cap in force; included and granted units pass whatever the cap is.

mod clear;
mod set;
mod show;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use tollgate_rules::ids::OrgKey;
use tollgate_rules::money::Money;
use tollgate_rules::time::Timestamp;

use crate::db::{self, Connection};

pub use clear::clear;
pub use set::set;
pub use show::show;

/// Where an org stands with what overage may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// The cap; nothing: none is set.
    pub cap: Option<Money>,
    /// Who set it, and when.
    pub set: Option<(String, Timestamp)>,
    /// What overage costs in the open period, in the plan's currency; nothing without access.
    pub spent: Option<Money>,
    /// When the period ends and it starts again at 0.
    pub reset_at: Option<Timestamp>,
}

/// Why a cap is not set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Below 0, or more than billing can charge.
    #[error("must be a whole number from 0 to 99999999999")]
    BadAmount,
    /// The org's plan is charged in another currency.
    #[error("the org's plan is charged in {0}")]
    OtherCurrency(String),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// The org's cap.
pub(crate) async fn cap(connection: &mut Connection, org_key: OrgKey) -> Result<Option<Money>, db::Error> {
    Ok(sql::cap(connection, org_key).await?.map(|cap| cap.amount))
}
