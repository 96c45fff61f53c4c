//! Overrides: an operator's exceptions for one org. Table `overrides`.
//!
//! An override replaces what the plan says about one metric (included units, policy) or one feature. It has an end or is permanent
//! because somebody said so. Of several in force, the one made last counts; one that is made for at least as long as an older
//! one about the same thing replaces it.
//!
//! Invariants: a change takes effect with its transaction (the ledger's head is resolved anew) and writes one audit entry; an override
//! is never deleted, only cleared, so that any past moment can be explained.

mod clear;
mod list;
mod set;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use tollgate_rules::catalog::{FeatureValue, OveragePolicy};
use tollgate_rules::entitlement;
use tollgate_rules::ids::{FeatureCode, Metric, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::db::{self, Connection};

pub use clear::{Clear, clear};
pub(crate) use list::cursor;
pub use list::list;
pub use set::{Set, set};

/// What an override is about, and what it says instead of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A metric: at least one of the two.
    Metric {
        /// Which.
        metric: Metric,
        /// Included units instead of the plan's; the inner nothing: no limit.
        included: Option<Option<i64>>,
        /// What happens beyond them instead.
        policy: Option<OveragePolicy>,
    },
    /// A feature.
    Feature {
        /// Which.
        feature: FeatureCode,
        /// Its value instead.
        value: FeatureValue,
    },
}

/// An override as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub(crate) org_key: OrgKey,
    /// Whose.
    pub org_id: OrgId,
    /// `ovr_…`.
    pub override_id: String,
    /// About what.
    pub subject: Subject,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when; nothing: permanent.
    pub ends_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub actor: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back or replaced; nothing: it was not.
    pub cleared_at: Option<Timestamp>,
}

impl Override {
    /// In the words of the rules: one change each for units and policy.
    fn changes(self) -> Vec<entitlement::Override> {
        use entitlement::OverrideChange;
        let changes = match self.subject {
            Subject::Metric { metric, included, policy } => {
                let units = included.map(|units| OverrideChange::Included { metric: metric.clone(), units });
                let policy = policy.map(|policy| OverrideChange::Policy { metric, policy });
                units.into_iter().chain(policy).collect()
            }
            Subject::Feature { feature, value } => vec![OverrideChange::Feature { feature, value }],
        };
        let change = |change| entitlement::Override {
            id: self.override_id.clone(),
            change,
            from: self.starts_at,
            until: self.ends_at,
            reason: self.reason.clone(),
        };
        changes.into_iter().map(change).collect()
    }
}

/// The org's exceptions that are not cleared, as the rules take them.
pub(crate) async fn facts(
    connection: &mut Connection,
    org_key: OrgKey,
) -> Result<Vec<entitlement::Override>, db::Error> {
    let open = sql::open(connection, org_key).await?;
    Ok(open.into_iter().flat_map(Override::changes).collect())
}

/// Why an override is not set or cleared.
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
    /// No override of this org that is not cleared is meant.
    #[error("no such override")]
    NotFound,
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}
