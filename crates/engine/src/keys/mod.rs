//! API keys of orgs and keys of the operator. Tables `api_keys`, `operator_keys`, `key_quotas`.
//!
//! Words: a *line* is a key and those that follow it by rotation, named by the first; a *quota* is how much of a metric a line may
//! use in a period (the ledger counts it and calls it a slice).
//!
//! Invariants: a secret is shown once and stored as its SHA-256 only; a revoked key is never admitted again, in this process at
//! once and on other nodes within five seconds; of one line two secrets live at most; when a key was last used is written behind, never on the way of a call.

mod create;
mod last_used;
mod list;
mod operator;
mod quota;
mod revoke;
mod rotate;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use secrecy::SecretString;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, Metric};
use tollgate_rules::time::Timestamp;

use crate::db;

pub use create::{Create, create};
pub(crate) use last_used::write_uses;
pub use list::{list, org_of};
pub use operator::{CreateOperator, CreatedOperator, OperatorKey, create_operator, list_operators, revoke_operator};
pub(crate) use quota::may_grant;
pub use revoke::revoke;
pub use rotate::rotate;

/// An org's key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `key_…`.
    pub key_id: KeyId,
    /// What people call it.
    pub name: String,
    /// The last four characters of the secret, to compare.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key that follows it.
    pub rotated_to: Option<KeyId>,
    /// When it was used last, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// The first key of its line.
    pub line: KeyId,
    /// What it may use of each metric in a period, and what it used in this one, with the others of its line.
    pub quota: BTreeMap<Metric, Share>,
}

/// A line's quota of one metric, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Units it may use in a period.
    pub units: i64,
    /// Units it used in this period.
    pub used: i64,
    /// Units its open holds hold.
    pub held: i64,
}

impl Share {
    /// What is left of it, never below 0.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.units.saturating_sub(self.used).saturating_sub(self.held).max(0)
    }
}

/// A new key with its secret, which is shown once.
#[derive(Debug, Clone)]
pub struct Created {
    /// The key.
    pub key: Key,
    /// The secret.
    pub secret: SecretString,
}

/// Why a use case of keys does nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such key in this org.
    #[error("no such key")]
    NotFound,
    /// A field breaks its rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which field, as the API spells it.
        field: &'static str,
        /// The rule, in words for the caller.
        rule: String,
    },
    /// Nobody grants more than they hold.
    #[error("a key cannot make one that may do more")]
    Escalation,
    /// The org has as many keys as one may have.
    #[error("the org has {0} keys, as many as it may; revoke some")]
    TooMany(i64),
    /// As many keys have a quota as may.
    #[error("{0} keys of the org have a quota, as many as may; revoke some")]
    TooManyQuotas(i64),
    /// The key is revoked, expired, or was rotated already.
    #[error("the key is {0}")]
    Ended(&'static str),
    /// The org is closed.
    #[error("the org is closed")]
    Closed,
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}
