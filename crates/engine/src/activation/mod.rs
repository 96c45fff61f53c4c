//! How a plugin on a customer's site gets tokens. Tables `sites`, `activation_codes`, `device_codes`,
//! `token_families`, `refresh_tokens`.
//!
//! Words: a *site* is a domain a plugin was activated on; an *activation code* is typed into the plugin and exchanged once; a
//! *family* is a line of refresh tokens, each used once and followed by the next.
//!
//! Invariants:
//! - A code is used once: one conditional update decides, however many ask. Whatever is wrong with a code, the answer is the same.
//! - Two refreshes with one token give one successor. A lost answer can be asked for again during the grace; a later use of a
//!   used token ends its family, and no other. A stated domain that is another one (a copied site) is refused, and ends nothing.
//! - A family that began with a proof of possession goes on only with proofs of the same key; whoever lacks it ends nothing.
//! - Nothing usable is stored: codes as keyed hash, refresh tokens as SHA-256, a successor sealed under the token it follows.

mod client_credentials;
mod create_code;
pub mod device;
mod domain;
mod guesses;
mod introspect;
mod redeem;
mod refresh;
mod revoke;
mod sites;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod verify_site;

use secrecy::SecretString;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;

use crate::db;
use crate::tokens;

pub use client_credentials::{OrgGrant, client_credentials};
pub use create_code::{Code, create_code};
pub use domain::site_domain;
pub(crate) use guesses::Guesses;
pub use introspect::{Introspected, introspect};
pub use redeem::{Redeem, redeem};
pub use refresh::{Refresh, refresh};
pub use revoke::revoke;
pub use sites::{list_sites, revoke_site};
pub use verify_site::{Proof, verify_site};

/// What a site is given: an access token, and the refresh token that gets the next one.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The access token, with its end.
    pub access: tokens::Minted,
    /// The refresh token (`tgr_…`), for one use.
    pub refresh: SecretString,
    /// What the tokens may be used for.
    pub scopes: Vec<Scope>,
    /// The site.
    pub site_id: String,
    /// Its host name.
    pub site: String,
    /// Whose customer it is.
    pub org_id: OrgId,
    /// The thumbprint of the key that the access token is bound to.
    pub jkt: Option<String>,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `site_…`.
    pub site_id: String,
    /// Its host name, in the form of names on the wire (IDNA).
    pub domain: String,
    /// When the org proved that the domain is its own.
    pub verified_at: Option<Timestamp>,
    /// What proves it: served at `/.well-known/tollgate-activation/<challenge>`, or a TXT record of `_tollgate-activation.<domain>`.
    pub challenge: String,
    /// When it was activated first.
    pub created_at: Timestamp,
    /// Whether a plugin there can get tokens now.
    pub active: bool,
}

/// Why nothing is granted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown, used, expired, revoked, or for another site: all the same to the caller.
    #[error("this code or token is not valid")]
    InvalidGrant,
    /// The proof of possession was used already, on this node or another.
    #[error("this proof of possession was used already")]
    ProofUsed,
    /// The token is bound to another domain: this is a copy of the site. Its tokens are untouched.
    #[error("this token belongs to another site; activate this one with a code of its own")]
    OtherSite,
    /// The client is not who it says, or its key is not valid.
    #[error("this client is not known")]
    InvalidClient,
    /// This kind of client gets no such tokens.
    #[error("only a key of an org gets tokens this way")]
    UnauthorizedClient,
    /// More was asked for than the key may.
    #[error("the key does not have the scope {0}")]
    InvalidScope(String),
    /// The caller holds none of the rights a site gets.
    #[error("a credential cannot grant more than it holds")]
    Escalation,
    /// A text that is no domain a site can have.
    #[error("a domain name such as shop.example, without port or path")]
    BadDomain,
    /// Nobody approved the device yet.
    #[error("nobody has approved this yet")]
    Pending,
    /// The device asks too often.
    #[error("asked too soon; wait {0} seconds between two questions")]
    SlowDown(u64),
    /// A member turned the device away.
    #[error("this was turned away")]
    Denied,
    /// The device waited for too long.
    #[error("this code is over; begin again")]
    CodeExpired,
    /// Too many devices wait, from this address or from all.
    #[error("too many devices wait for approval; try again in {0} seconds")]
    TooManyDevices(u64),
    /// Too many unknown codes from this address, or from all.
    #[error("too many unknown codes; try again in {0} seconds")]
    TooManyGuesses(u64),
    /// No such site in this org.
    #[error("no such site")]
    NotFound,
    /// The proof was not found at the domain.
    #[error("the domain is not proven: {0}")]
    NotProven(String),
    /// The org is closed.
    #[error("the org is closed")]
    Closed,
    /// The page's cursor is none of ours.
    #[error(transparent)]
    BadCursor(#[from] crate::paging::BadCursor),
    /// Signing failed.
    #[error(transparent)]
    Tokens(#[from] tokens::Error),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Scopes as they are stored and written in tokens.
pub(crate) fn words(scopes: &[Scope]) -> String {
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    words.join(" ")
}

/// Reads stored scopes; one of a newer program grants nothing.
pub(crate) fn read_words(words: &str) -> Vec<Scope> {
    words.split(' ').filter_map(Scope::parse).collect()
}
