//! Orgs: the operator's customers. Table `organizations`.
//!
//! Invariants: rows everywhere key on `org_key`, so the public id can change (`relink`) without touching the ledger;
//! an org is never deleted, only closed (its keys end) and, thirty days later, erased; every change has its audit entry.

mod create;
mod delete;
mod export;
mod find;
mod get;
mod list;
mod relink;
mod restore;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod update;

use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{InvalidId, OrgId, OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use crate::db;

pub use create::{Create, create};
pub use delete::delete;
pub(crate) use delete::{close, forget as forget_closed};
pub use export::{Export, export};
pub(crate) use find::{find, id_of};
pub use get::get;
pub use list::{Filter, list};
pub use relink::relink;
pub use restore::restore;
pub use update::{Update, update};

/// An org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    pub(crate) org_key: OrgKey,
    /// Its public id.
    pub org_id: OrgId,
    /// What people call it.
    pub name: String,
    /// Who owns it, as given.
    pub owner_user_id: UserId,
    /// Where invoices and notices go.
    pub email: Option<String>,
    /// IANA time zone of its pages, mails and invoices.
    pub timezone: String,
    /// Whether it may use anything.
    pub status: OrgStatus,
    /// Whether it lets in only people who gave a second factor.
    pub mfa_required: bool,
    /// Since when it is closed.
    pub closed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// Why a use case of orgs does nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id is taken by an org of another name or owner.
    #[error("this org id is taken")]
    Taken,
    /// A field breaks its rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which field, as the API spells it.
        field: &'static str,
        /// The rule, in words for the caller.
        rule: String,
    },
    /// Only the operator may set this field.
    #[error("only the operator may change {0}")]
    OperatorOnly(&'static str),
    /// Only people and the operator may set this field.
    #[error("an API key may not change {0}")]
    PeopleOnly(&'static str),
    /// A closed org stays closed.
    #[error("the org is closed")]
    Closed,
    /// What was closed thirty days ago is erased.
    #[error("the org was closed more than thirty days ago and cannot be opened again")]
    Erased,
    /// A subscription still runs.
    #[error("a subscription still runs")]
    Subscribed,
    /// No such org (it was relinked away in this instant).
    #[error("no such org")]
    NotFound,
    /// Whoever keeps the organizations did not do it.
    #[error("whoever keeps the organizations did not do it: {0}")]
    Elsewhere(crate::identity::Elsewhere),
    /// The caller may not.
    #[error(transparent)]
    Refused(#[from] crate::access::Refused),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}

fn invalid_id(field: &'static str, error: &InvalidId) -> Error {
    Error::Invalid { field, rule: error.rule.to_owned() }
}

/// A name: 1 to 200 bytes, no control characters, not only spaces.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(Error::Invalid { field, rule: "1 to 200 bytes without control characters".to_owned() });
    }
    Ok(())
}

/// An e-mail address as far as it can be known without sending: one `@` with something on both sides, no spaces.
pub(crate) fn check_email(email: &str) -> Result<(), Error> {
    let fits = email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if fits {
        Ok(())
    } else {
        Err(Error::Invalid { field: "email", rule: "an e-mail address of at most 254 bytes".to_owned() })
    }
}

/// A time zone of the IANA database (the copy in the binary), in its canonical spelling.
pub(crate) fn check_timezone(name: &str) -> Result<String, Error> {
    match jiff::tz::TimeZone::get(name) {
        Ok(zone) if name.is_ascii() => Ok(zone.iana_name().unwrap_or(name).to_owned()),
        _ => Err(Error::Invalid {
            field: "timezone",
            rule: "a time zone of the IANA database, such as Europe/Berlin".to_owned(),
        }),
    }
}
