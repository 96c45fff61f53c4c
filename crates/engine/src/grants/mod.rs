//! Grants: extra units of a metric for one org. Tables `grants grant_draws`.
//!
//! Words: what a period used beyond its included units is *drawn* from the grants in force, by priority, then earliest expiry
//! (`rules::entitlement::draw`). Draws are written under the lock of the org's head, by whoever resolves its rights anew: when a period
//! opens, when a grant begins or ends, when anything is changed. Between two of these the counter's `granted` decides alone, so
//! a record costs nothing more because there are grants.
//!
//! Invariants: no grant gives more than its units, over all periods together; a grant that has ended gives nothing new; what was drawn
//! in the open period stays within the limit.

mod book;
mod create;
mod list;
mod revoke;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use tollgate_rules::ids::{Metric, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::db;

pub(crate) use book::{count_in, facts, write_draws};
pub use create::{Create, Lasts, create};
pub(crate) use create::{NewGrant, insert};
pub use list::list;
pub use revoke::revoke;
pub(crate) use sql::current_period;

/// Where a grant came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An operator gave it.
    Operator,
    /// What a period left over.
    Rollover,
    /// It was bought.
    Topup,
}

impl Source {
    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Operator => "operator",
            Source::Rollover => "rollover",
            Source::Topup => "topup",
        }
    }

    fn parse(word: &str) -> Option<Source> {
        [Source::Operator, Source::Rollover, Source::Topup].into_iter().find(|source| source.as_str() == word)
    }
}

/// A grant as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub(crate) org_key: OrgKey,
    /// Whose.
    pub org_id: OrgId,
    /// `grant_…`.
    pub grant_id: String,
    /// Of what.
    pub metric: Metric,
    /// How many units were given.
    pub units: i64,
    /// How many of them were used.
    pub used: i64,
    /// Lower is used first.
    pub priority: i64,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when; nothing: for good.
    pub ends_at: Option<Timestamp>,
    /// The only period it counts in, by its start.
    pub only_in: Option<Timestamp>,
    /// Where it came from.
    pub source: Source,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub actor: String,
    /// When it was given.
    pub created_at: Timestamp,
    pub(crate) open: bool,
    pub(crate) counted_in: Option<i64>,
}

/// Why a grant is not given or taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalog has no such metric.
    #[error("no such metric")]
    UnknownMetric,
    /// A field breaks its rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// The org has no open period that the grant could be limited to.
    #[error("the org has no open period")]
    NoPeriod,
    /// The org has no such grant, or it has ended.
    #[error("no such grant")]
    NotFound,
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}
