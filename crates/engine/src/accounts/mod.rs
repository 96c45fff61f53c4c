//! Built-in accounts: people with a verified address, a password, perhaps a second factor, and the devices they signed in on.
//! Tables `users`, `user_recovery_codes`, `account_codes`, `sign_in_attempts`, `user_sessions`.
//!
//! Invariants: an account exists only once its address is verified (a sign-up waits beside its code until then, so nobody can
//! set a password for somebody else's address); passwords are stored as Argon2id hashes, sessions, codes and recovery codes as
//! hashes, second factors sealed; known and unknown addresses are answered alike after the same hashes and queries; a stranger
//! can slow an account down but never close it, also with many attempts at once; a code is used once; a step of a second factor is accepted once; a password
//! reset ends every session.

mod attempt;
mod budget;
mod close;
mod export;
mod forgot;
mod hashing;
mod me;
mod refresh;
mod reset;
mod second_factor;
mod sessions;
mod sign_in;
mod sign_up;
pub(crate) mod sql;
#[cfg(test)]
pub(crate) mod tests;
mod verify_email;

use std::time::Duration;

use secrecy::SecretString;

use tollgate_rules::ids::UserId;
use tollgate_rules::time::Timestamp;

use crate::access::Refused;
use crate::{db, tokens};

pub(crate) use budget::Budget;
pub use budget::{failed_try, may_try};
pub use close::{close, close_for, restore};
pub use export::{Export, Stay, export, export_of};
pub use forgot::forgot;
pub(crate) use hashing::Hashing;
pub use me::{Me, me, switch_org};
pub use refresh::refresh;
pub use reset::reset;
pub use second_factor::{Enrolled, confirm, disable, enroll};
pub(crate) use sessions::write_uses;
pub use sessions::{Device, end, list, sign_out};
pub use sign_in::{Mode, SignIn, SignedIn, sign_in};
pub use sign_up::{SignUp, sign_up};
pub use verify_email::verify_email;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `user_…`.
    pub user_id: UserId,
    /// The verified address.
    pub email: String,
    /// What the person is called.
    pub name: String,
    /// Whether signing in takes a second factor.
    pub mfa: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// The tokens of a session that is not kept in a cookie.
#[derive(Debug)]
pub struct Tokens {
    /// Presented as a bearer credential.
    pub access: SecretString,
    /// How long it is valid.
    pub lifetime: Duration,
    /// Presented for the next pair, once.
    pub refresh: SecretString,
}

/// Why a use case of accounts does nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Address or password is wrong, or the address is not verified: all the same.
    #[error("e-mail or password is wrong, or the address is not verified yet")]
    Credentials,
    /// The password is right; a code of the second factor is needed too.
    #[error("a code of the second factor is needed")]
    SecondFactorNeeded,
    /// The code of the second factor is wrong or was used.
    #[error("this code is wrong or was used already")]
    WrongCode,
    /// Too many failures: wait.
    #[error("too many attempts; wait {0:?}")]
    Slow(Duration),
    /// The code of a link is unknown, used or too old: all the same.
    #[error("this code is not valid (any more)")]
    InvalidCode,
    /// A field breaks its rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which field, as the API spells it.
        field: &'static str,
        /// The rule, in words for the caller.
        rule: String,
    },
    /// There is a second factor already, or none.
    #[error("{0}")]
    Conflict(&'static str),
    /// No such session of this user.
    #[error("no such session")]
    NotFound,
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked")]
    Overloaded,
    /// The caller may not.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The built-in issuer cannot sign.
    #[error(transparent)]
    Tokens(#[from] tokens::Error),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// What accounts keep in memory.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hashing: Hashing,
    pub(crate) budget: Budget,
}

impl Shared {
    pub(crate) fn new(limits: &crate::limits::Limits) -> Shared {
        Shared { hashing: Hashing::new(limits), budget: Budget::default() }
    }
}

/// The address as it is stored and compared.
fn address(email: &str) -> Result<String, Error> {
    crate::members::written(email)
        .map_err(|_| Error::Invalid { field: "email", rule: "an e-mail address of at most 254 bytes".to_owned() })
}

/// A password: 8 to 128 characters, none of the common ones, not the address itself. No other rules: length is what helps.
fn check_password(field: &'static str, password: &str, email: &str) -> Result<(), Error> {
    let length = password.chars().count();
    let rule = if !(8..=128).contains(&length) {
        "8 to 128 characters"
    } else if hashing::is_common(password) {
        "is one of the most common passwords; choose another"
    } else if password.eq_ignore_ascii_case(email) {
        "must not be the e-mail address"
    } else {
        return Ok(());
    };
    Err(Error::Invalid { field, rule: rule.to_owned() })
}
