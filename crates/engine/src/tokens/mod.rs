//! Signed tokens: those we mint (sessions of built-in accounts, tokens of sites and org keys) and those we believe from others.
//! Tables `signing_keys`, `token_revocations`.
//!
//! Words: an *issuer* signs tokens and is chosen by its exact string before any key is touched; a *ring* holds the built-in
//! issuer's keys; a *refusal* is why a token is not believed, for logs and tests (callers hear one answer for all of them).
//!
//! Invariants:
//! - One verifier for all issuers, one allowed algorithm for each (EdDSA ours, RS256 Clerk's); keys come from our own sets only,
//!   never from a token's header.
//! - `exp`, `iat`, `nbf` and `sub` are required and typed; nothing is read twice (repeated names are refused).
//! - A warm check does no I/O. What ends a token early ([`refuse`]) is held in memory: at once here, within seconds on other nodes.
//! - Private keys are stored sealed; the next key is published long before it signs.

mod claims;
pub mod dpop;
mod foreign;
pub(crate) mod identity_token;
mod issuer;
mod jwks;
mod mint;
mod parse;
mod refusals;
mod ring;
mod rotate;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod verify;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, OrgId, UserId};
use tollgate_rules::time::Timestamp;

pub(crate) use foreign::Keys as ForeignKeys;
pub(crate) use issuer::Issuer;
pub use issuer::{Operators, Parties};
pub use jwks::jwks;
pub use mint::{MintOrg, MintSession, MintSite, Minted, mint_org, mint_session, mint_site};
pub(crate) use refusals::{hear, refuse, refuse_stored};
pub(crate) use rotate::job;
pub use rotate::rotate;
pub(crate) use verify::looks_like;
pub use verify::verify;

use crate::db;

/// What tokens keep in memory; all of it can be read again.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    ring: ring::Held,
    refusals: refusals::Refusals,
    proofs: dpop::Seen,
    foreign: Option<Issuer>,
}

impl Shared {
    /// Believes a foreign issuer too, where there is one.
    pub(crate) fn new(foreign: Option<Issuer>) -> Shared {
        Shared { foreign, ..Shared::default() }
    }

    pub(crate) fn foreign(&self) -> Option<&Issuer> {
        self.foreign.as_ref()
    }
}

/// Reads the ring and the refusals at start, and makes the first keys.
pub(crate) async fn open(engine: &crate::engine::Engine) -> Result<(), db::Error> {
    rotate::tend(engine).await?;
    refusals::hear(engine).await
}

/// Who vouches for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Our own accounts.
    BuiltIn,
    /// Clerk.
    Clerk,
}

/// What a believed token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// A signed-in user.
    Session(Session),
    /// A plugin on a customer's site.
    Site(SiteToken),
    /// A short-lived stand-in for an org's key.
    Org(OrgToken),
}

/// A signed-in user's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who vouches.
    pub provider: Provider,
    /// The user.
    pub user_id: UserId,
    /// The session, which can be ended before the token is.
    pub session_id: Option<String>,
    /// The org the user is working in.
    pub org: Option<ActiveOrg>,
    /// Minutes since the first and the second factor were checked, when the token was issued; -1 is never.
    pub factor_minutes: Option<(i64, i64)>,
    /// Who acts as this user (impersonation), to be audited beside them.
    pub impersonator: Option<String>,
    /// The issuer's operator claim is set, and the user is listed as an operator.
    pub operator: bool,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The org a session works in, as the token says; the mirror of memberships is the authority for what moves money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveOrg {
    /// The org's public id.
    pub id: OrgId,
    /// A readable name for addresses.
    pub slug: Option<String>,
    /// The role, with its prefix (`org:admin`).
    pub role: Option<String>,
    /// Custom permissions (`org:sites:read`).
    pub permissions: Vec<String>,
}

/// What a site's access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteToken {
    /// Whose customer the site is.
    pub org_id: OrgId,
    /// The site (`site_…`).
    pub site_id: String,
    /// Its host name.
    pub site: String,
    /// The line of refresh tokens it came from.
    pub family_id: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The thumbprint of the key it is bound to.
    pub jkt: Option<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its own id.
    pub token_id: String,
}

/// What an org's access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgToken {
    /// Whose it is.
    pub org_id: OrgId,
    /// The key it was made with.
    pub key_id: KeyId,
    /// What it may be used for: no more than the key.
    pub scopes: Vec<Scope>,
    /// Under which key the key's slice of the org's allowance is counted.
    pub slice: Option<KeyId>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its own id.
    pub token_id: String,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not three parts of base64url JSON, too large, or with repeated names.
    #[error("malformed")]
    Malformed,
    /// No issuer of ours has this name.
    #[error("issuer")]
    Issuer,
    /// Another algorithm than the issuer's one.
    #[error("algorithm")]
    Algorithm,
    /// The issuer has no such key.
    #[error("unknown_kid")]
    UnknownKey,
    /// The signature does not fit.
    #[error("signature")]
    Signature,
    /// A token of another kind.
    #[error("token_type")]
    TokenType,
    /// A required claim is missing or of the wrong type.
    #[error("claim {0}")]
    Claim(&'static str),
    /// Over.
    #[error("expired")]
    Expired,
    /// Not yet.
    #[error("not_active_yet")]
    NotActiveYet,
    /// From the future.
    #[error("iat_in_future")]
    IssuedInFuture,
    /// For somebody else.
    #[error("audience")]
    Audience,
    /// From a page that is none of ours.
    #[error("azp")]
    Party,
    /// The session has steps to finish first.
    #[error("pending")]
    Pending,
    /// The proof of possession does not fit: which part.
    #[error("proof {0}")]
    Proof(&'static str),
    /// The proof of possession lacks a nonce of ours that is good now.
    #[error("nonce")]
    Nonce,
    /// It was ended early.
    #[error("revoked")]
    Revoked,
    /// Cannot know: the issuer's keys cannot be had.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// Why a token could not be minted or the keys not tended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key that may sign is there: the server's secret was changed while another node signs.
    #[error("there is no key to sign with")]
    NoKey,
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(String),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}
