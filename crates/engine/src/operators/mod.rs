//! Operators who sign in as people, at an OpenID Connect provider of the settings. Table `operator_sessions`.
//!
//! Words: a *flow* is one sign-in on its way: what must come back unchanged travels sealed in a cookie of the browser that began it, so
//! that nothing is stored for whoever only begins.
//!
//! Invariants: authorization code with PKCE, state and nonce; an identity token is believed from the configured issuer, for us, for this
//! flow, and for a person the settings allow; a session is stored as a hash, ends after half an hour without a call and after twelve
//! hours whatever is done; it is as fresh as the provider says that the proof was (`auth_time`), and never where it does not say; who signed in and out is in the audit journal without personal data.

mod begin;
mod finish;
mod session;
pub(crate) mod sql;

use serde::{Deserialize, Serialize};

pub use tollgate_connectors::oidc::Proof;
use tollgate_connectors::oidc::{self, Provider};
use tollgate_rules::time::Timestamp;

pub use begin::{Begun, begin};
pub use finish::{SignedIn, finish};
pub use session::{OperatorSession, form_token, form_token_fits, session, sign_out};
pub(crate) use session::{PREFIX, admit};

use crate::db;
use crate::tokens::{self, Refusal};

/// Who signs operators in, and whom.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The provider.
    pub provider: Provider,
    /// Verified addresses that may, in lower case.
    pub emails: Vec<String>,
    /// Path of a claim that may too when it is `true`; none when empty.
    pub claim: String,
}

/// What one sign-in must find again when the browser comes back.
#[derive(Debug, Serialize, Deserialize)]
struct Flow {
    state: String,
    nonce: String,
    verifier: String,
    /// Where the browser goes afterwards: a path of ours.
    next: String,
    /// Wall time in µs.
    began_at: i64,
    /// Whether the provider was to ask for a proof again.
    #[serde(default)]
    anew: bool,
}

/// What flows are sealed for.
const PURPOSE: &str = "operator sign-in";

/// Why an operator is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No provider is configured.
    #[error("operators do not sign in here")]
    Off,
    /// This browser began no sign-in, or too long ago, or another one.
    #[error("this sign-in was not begun here, or too long ago; begin again")]
    OtherFlow,
    /// The provider turned them away.
    #[error("the provider did not sign you in")]
    TurnedAway,
    /// What the provider said is not believed; why is for the log.
    #[error("what the provider says is not believed")]
    NotBelieved(Refusal),
    /// They are nobody whom the settings allow.
    #[error("you are not one of the operators")]
    NotAllowed,
    /// The provider.
    #[error(transparent)]
    Provider(#[from] oidc::Error),
    /// The database's.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Where the provider sends the browser back to.
fn redirect_uri(engine: &crate::Engine) -> String {
    format!("{}/auth/operator/callback", engine.public_base_url())
}

impl SignIn {
    /// Whether the settings allow whom these claims are about.
    fn admits(&self, claims: &tokens::identity_token::Claims) -> bool {
        let listed = claims.verified_email.as_ref().is_some_and(|email| self.emails.contains(email));
        listed || !self.claim.is_empty() && claims.is_true(&self.claim)
    }
}

/// Flows live as long as a person takes to type a password and a code.
const FLOW_SECONDS_MAX: i64 = 600;

fn is_over(began_at: i64, now: Timestamp) -> bool {
    now.as_micros().saturating_sub(began_at) > FLOW_SECONDS_MAX * 1_000_000
}
