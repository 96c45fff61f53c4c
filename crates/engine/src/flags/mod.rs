//! Operator flags: a JSON map for all orgs and one per org. Table `operator_flags`.
//!
//! An org sees the global map with its own on top. `strict_quota` = false is shadow mode: decide, count, mark, let pass;
//! `usage_digest` = true is a daily letter.
//! Invariant: a change of a flag that decisions read takes effect with its transaction (the ledger's head is resolved anew).

mod decide_anew;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod write;

use serde_json::{Map, Value};

use tollgate_rules::ids::OrgKey;

use crate::access::OperatorScope;
use crate::db::{Connection, Error as DbError};
use crate::engine::Engine;

pub(crate) use decide_anew::decide_anew;
pub use write::write;

/// Decide strictly (the default), or only mark what would be denied.
pub const STRICT_QUOTA: &str = "strict_quota";

/// Whether owners and billing members get a letter about each day's usage (false when it is not set).
pub const USAGE_DIGEST: &str = "usage_digest";

/// The `org_key` of flags for all orgs.
pub(crate) const GLOBAL: i64 = 0;

/// Whose flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All orgs.
    Global,
    /// One org.
    Org(tollgate_rules::ids::OrgId),
}

/// Why flags are not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such org.
    #[error("no such org")]
    NotFound,
    /// A flag breaks its rule.
    #[error("flag {name}: {rule}")]
    Invalid {
        /// Which flag.
        name: String,
        /// The rule.
        rule: &'static str,
    },
    /// The database's.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// The flags of the subject itself (an org's own, without the global ones).
///
/// # Errors
/// [`Error::NotFound`], or the database's.
pub async fn read(engine: &Engine, scope: &OperatorScope, subject: &Subject) -> Result<Map<String, Value>, Error> {
    let org_key = write::key_of(engine, scope, subject).await?.map_or(GLOBAL, |of| of.org_key().0);
    let mut connection = engine.db().read().await?;
    Ok(sql::flags(&mut connection, org_key).await?)
}

/// Whether decisions for this org are strict: its own flag, else the global one, else yes.
pub(crate) async fn strict_quota(connection: &mut Connection, org_key: OrgKey) -> Result<bool, DbError> {
    for key in [org_key.0, GLOBAL] {
        if let Some(Value::Bool(strict)) = sql::flags(connection, key).await?.get(STRICT_QUOTA) {
            return Ok(*strict);
        }
    }
    Ok(true)
}
