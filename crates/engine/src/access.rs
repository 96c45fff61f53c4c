//! Who is calling, and what they may do: the only maker of [`OrgScope`] and [`OperatorScope`], without which no use case runs.
//!
//! Words: a [`Caller`] is whoever presented a credential; a scope is the proof that a permission was checked.
//! A foreign org and a missing org are refused with the same answer.

mod authenticate;
mod credentials;
mod scope;
mod session;
mod token;

use std::sync::Arc;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, OrgId, OrgKey, UserId};

pub use authenticate::{AuthError, authenticate, authenticate_proven};
pub(crate) use credentials::Credentials;
pub use scope::{OperatorScope, OrgScope, Refused};
pub(crate) use session::{COOKIE_PREFIX, KnownSession, authenticate_session_id, caller_of};
pub use session::{Membership, Session, authenticate_session, form_token, form_token_fits};

/// An org as its credential knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgRef {
    /// The internal key that rows carry.
    pub key: OrgKey,
    /// The public id.
    pub id: OrgId,
}

/// Whoever is calling.
#[derive(Debug, Clone)]
pub struct Caller {
    kind: CallerKind,
    corr_id: String,
}

/// The kinds of callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// Runs this server: may do everything.
    Operator {
        /// Which operator key (`configured`, `local`, or the key's label), or which user.
        label: String,
        /// How they proved who they are, where the operator is a person; keys do not grow stale.
        session: Option<Session>,
    },
    /// An org's API key.
    Key {
        /// Whose key.
        org: OrgRef,
        /// Which key.
        key_id: KeyId,
        /// What it may be used for.
        scopes: Vec<Scope>,
        /// Under which key its slice of the org's allowance is counted; nothing where it has none.
        slice: Option<KeyId>,
    },
    /// A plugin on a customer's site, with an access token.
    Site {
        /// Whose customer the site is.
        org: OrgRef,
        /// Which site (`site_…`).
        site_id: String,
        /// Its host name.
        site: String,
        /// What it may be used for.
        scopes: Vec<Scope>,
    },
    /// A short-lived stand-in for an org's key.
    OrgToken {
        /// Whose it is.
        org: OrgRef,
        /// The key it was made with.
        key_id: KeyId,
        /// What it may be used for.
        scopes: Vec<Scope>,
        /// As the key's.
        slice: Option<KeyId>,
    },
    /// A person who signed in.
    User {
        /// Who.
        user_id: UserId,
        /// How they signed in.
        session: Session,
        /// What they are in which org.
        memberships: Arc<[Membership]>,
    },
    /// A worker of this server.
    System {
        /// Which worker.
        name: &'static str,
    },
    /// No credential.
    Nobody,
}

impl Caller {
    pub(crate) fn new(kind: CallerKind) -> Caller {
        Caller { kind, corr_id: String::new() }
    }

    /// Someone without a credential.
    #[must_use]
    pub fn nobody() -> Caller {
        Caller::new(CallerKind::Nobody)
    }

    /// The operator, known by having reached a door only the operator can reach (the admin socket, the command line, loopback in `dev`).
    #[must_use]
    pub fn local_operator() -> Caller {
        Caller::new(CallerKind::Operator { label: "local".to_owned(), session: None })
    }

    /// The same caller, with the trace id that audit, jobs and operations carry.
    #[must_use]
    pub fn with_corr_id(mut self, corr_id: impl Into<String>) -> Caller {
        self.corr_id = corr_id.into();
        self
    }

    /// What kind of caller.
    #[must_use]
    pub fn kind(&self) -> &CallerKind {
        &self.kind
    }

    /// The trace id; empty outside a request.
    #[must_use]
    pub fn corr_id(&self) -> &str {
        &self.corr_id
    }

    /// The user, where one signed in.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match &self.kind {
            CallerKind::User { user_id, .. } => Some(user_id),
            CallerKind::Operator { .. }
            | CallerKind::Key { .. }
            | CallerKind::Site { .. }
            | CallerKind::OrgToken { .. }
            | CallerKind::System { .. }
            | CallerKind::Nobody => None,
        }
    }

    /// The org that an API key belongs to.
    #[must_use]
    pub fn own_org(&self) -> Option<&OrgRef> {
        match &self.kind {
            CallerKind::Key { org, .. } | CallerKind::Site { org, .. } | CallerKind::OrgToken { org, .. } => Some(org),
            CallerKind::Operator { .. } | CallerKind::User { .. } | CallerKind::System { .. } | CallerKind::Nobody => {
                None
            }
        }
    }

    /// The scopes of a credential that belongs to one org; none for people, operators and workers.
    #[must_use]
    pub fn scopes(&self) -> Option<&[Scope]> {
        match &self.kind {
            CallerKind::Key { scopes, .. } | CallerKind::Site { scopes, .. } | CallerKind::OrgToken { scopes, .. } => {
                Some(scopes)
            }
            CallerKind::Operator { .. } | CallerKind::User { .. } | CallerKind::System { .. } | CallerKind::Nobody => {
                None
            }
        }
    }

    /// The key that a slice of the org's allowance is counted under; none for callers that may use all of it.
    #[must_use]
    pub fn slice(&self) -> Option<&KeyId> {
        match &self.kind {
            CallerKind::Key { slice, .. } | CallerKind::OrgToken { slice, .. } => slice.as_ref(),
            CallerKind::Operator { .. }
            | CallerKind::Site { .. }
            | CallerKind::User { .. }
            | CallerKind::System { .. }
            | CallerKind::Nobody => None,
        }
    }

    /// Whether this is the operator.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        matches!(self.kind, CallerKind::Operator { .. })
    }

    /// The name written into audit entries: no secrets, no personal data.
    #[must_use]
    pub fn actor(&self) -> String {
        match &self.kind {
            CallerKind::Operator { label, .. } => format!("operator:{label}"),
            CallerKind::Key { key_id, .. } => format!("key:{key_id}"),
            CallerKind::Site { site_id, .. } => format!("site:{site_id}"),
            CallerKind::OrgToken { key_id, .. } => format!("key:{key_id}"),
            CallerKind::User { user_id, .. } => format!("user:{user_id}"),
            CallerKind::System { name } => format!("system:{name}"),
            CallerKind::Nobody => "nobody".to_owned(),
        }
    }
}
