//! The proof that a permission was checked.

use tollgate_rules::access::{Permission, Role, role_grants, scopes_grant};
use tollgate_rules::ids::{KeyId, OrgId, OrgKey, UserId};

use super::{Caller, CallerKind, Membership, OrgRef, Session};
use crate::engine::Engine;
use crate::orgs;

/// The right to act for one org. Every function that touches tenant rows takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgScope {
    org_key: OrgKey,
    org_id: OrgId,
    actor: String,
    corr_id: String,
    operator: bool,
    role: Role,
    user_id: Option<UserId>,
    slice: Option<KeyId>,
    second_factor: bool,
}

/// The right to act for the whole server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorScope {
    actor: String,
    corr_id: String,
}

/// Why a caller may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no credential and one is needed.
    #[error("a credential is needed")]
    Unauthenticated,
    /// The credential lacks the scope or role.
    #[error("this credential lacks the permission {0}")]
    Forbidden(Permission),
    /// The org lets in only who gave a second factor.
    #[error("this org asks for a second factor")]
    SecondFactorNeeded,
    /// What is to be done asks for a fresh proof of who does it.
    #[error("this asks for a fresh sign-in")]
    StepUpNeeded,
    /// No such org, or not the caller's: the two look the same.
    #[error("no such org")]
    NotFound,
    /// Whoever may act for several orgs must say which.
    #[error("which org is meant must be said")]
    OrgNeeded,
    /// Cannot know: the database does not answer.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
}

impl OrgScope {
    /// The scope an operation or job was begun with, when a worker goes on with it.
    pub(crate) fn restored(org: OrgRef, actor: String, corr_id: String) -> OrgScope {
        let operator = actor.starts_with("operator:") || actor.starts_with("system:");
        let role = if operator { Role::Owner } else { Role::Member };
        OrgScope {
            org_key: org.key,
            org_id: org.id,
            actor,
            corr_id,
            operator,
            role,
            user_id: None,
            slice: None,
            second_factor: false,
        }
    }

    /// The org's internal key: what statements filter on.
    #[must_use]
    pub fn org_key(&self) -> OrgKey {
        self.org_key
    }

    /// The org's public id.
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.org_id
    }

    /// Who acts, for audit entries.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The trace id.
    #[must_use]
    pub fn corr_id(&self) -> &str {
        &self.corr_id
    }

    /// What the actor counts as among the org's members: the operator as an owner, an API key as an admin.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The user who acts, where it is one.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        self.user_id.as_ref()
    }

    /// The key that acts, where it may use a slice of the org's allowance only.
    #[must_use]
    pub fn slice(&self) -> Option<&KeyId> {
        self.slice.as_ref()
    }

    /// Whether a user acts who gave a second factor.
    #[must_use]
    pub(crate) fn second_factor(&self) -> bool {
        self.second_factor
    }

    /// Whether the operator acts (some fields only the operator may set).
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.operator
    }
}

impl OperatorScope {
    /// Who acts, for audit entries.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The trace id.
    #[must_use]
    pub fn corr_id(&self) -> &str {
        &self.corr_id
    }

    /// The scope of one org, for an operator's or a worker's use case that goes over several.
    #[must_use]
    pub(crate) fn scope_of(&self, org: OrgRef) -> OrgScope {
        OrgScope {
            org_key: org.key,
            org_id: org.id,
            actor: self.actor.clone(),
            corr_id: self.corr_id.clone(),
            operator: true,
            role: Role::Owner,
            user_id: None,
            slice: None,
            second_factor: false,
        }
    }
}

impl Caller {
    /// Checks that the caller may do this for this org; left out, the org the credential belongs to.
    ///
    /// # Errors
    /// [`Refused`]. A foreign org and a missing one are both [`Refused::NotFound`].
    pub async fn require(
        &self,
        engine: &Engine,
        permission: Permission,
        org: Option<&OrgId>,
    ) -> Result<OrgScope, Refused> {
        match &self.kind {
            CallerKind::Nobody => Err(Refused::Unauthenticated),
            CallerKind::Key { org: own, scopes, .. }
            | CallerKind::Site { org: own, scopes, .. }
            | CallerKind::OrgToken { org: own, scopes, .. } => {
                if org.is_some_and(|asked| *asked != own.id) {
                    return Err(Refused::NotFound);
                }
                if !scopes_grant(scopes, permission) {
                    return Err(Refused::Forbidden(permission));
                }
                Ok(self.scope(own.clone(), Role::Admin))
            }
            CallerKind::User { session, memberships, .. } => {
                let membership = member_of(memberships, session, org)?;
                if !role_grants(membership.role, permission) {
                    return Err(Refused::Forbidden(permission));
                }
                if membership.mfa_required && session.second_factor_at.is_none() {
                    return Err(Refused::SecondFactorNeeded);
                }
                Ok(self.scope(membership.org.clone(), membership.role))
            }
            CallerKind::Operator { .. } | CallerKind::System { .. } => {
                let asked = org.ok_or(Refused::OrgNeeded)?;
                let found = orgs::find(engine, asked).await.map_err(|error| Refused::Unavailable(error.to_string()))?;
                Ok(self.scope(found.ok_or(Refused::NotFound)?, Role::Owner))
            }
        }
    }

    /// Checks that the caller may do this for the whole server.
    ///
    /// # Errors
    /// [`Refused`]; only operators (and our own workers) pass.
    pub fn require_operator(&self, permission: Permission) -> Result<OperatorScope, Refused> {
        match &self.kind {
            CallerKind::Operator { .. } | CallerKind::System { .. } => {
                Ok(OperatorScope { actor: self.actor(), corr_id: self.corr_id.clone() })
            }
            CallerKind::Key { .. }
            | CallerKind::Site { .. }
            | CallerKind::OrgToken { .. }
            | CallerKind::User { .. } => Err(Refused::Forbidden(permission)),
            CallerKind::Nobody => Err(Refused::Unauthenticated),
        }
    }

    /// As [`Caller::require`], for what is dangerous: a person must have proved who they are within the last minutes, with
    /// the second factor where they have one.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::StepUpNeeded`] when the proof is too old.
    pub async fn require_fresh(
        &self,
        engine: &Engine,
        permission: Permission,
        org: Option<&OrgId>,
    ) -> Result<OrgScope, Refused> {
        let scope = self.require(engine, permission, org).await?;
        self.fresh(engine)?;
        Ok(scope)
    }

    /// Whether the caller proved who they are within the last minutes; only people grow stale.
    ///
    /// # Errors
    /// [`Refused::StepUpNeeded`].
    pub fn fresh(&self, engine: &Engine) -> Result<(), Refused> {
        let session = match &self.kind {
            CallerKind::User { session, .. } | CallerKind::Operator { session: Some(session), .. } => session,
            CallerKind::Operator { session: None, .. }
            | CallerKind::Key { .. }
            | CallerKind::Site { .. }
            | CallerKind::OrgToken { .. }
            | CallerKind::System { .. }
            | CallerKind::Nobody => return Ok(()),
        };
        let since = engine.clock().wall.now().minus(engine.limits().people.step_up_within);
        let factor = session.second_factor_at.unwrap_or(session.authenticated_at);
        if session.authenticated_at >= since && factor >= since { Ok(()) } else { Err(Refused::StepUpNeeded) }
    }

    fn scope(&self, org: OrgRef, role: Role) -> OrgScope {
        OrgScope {
            org_key: org.key,
            org_id: org.id,
            actor: self.actor(),
            corr_id: self.corr_id.clone(),
            operator: matches!(self.kind, CallerKind::Operator { .. } | CallerKind::System { .. }),
            role,
            user_id: self.user_id().cloned(),
            slice: self.slice().cloned(),
            second_factor: matches!(&self.kind, CallerKind::User { session, .. } if session.second_factor_at.is_some()),
        }
    }
}

/// The membership meant: of the org named, else of the one the session switched to, else the only one.
fn member_of<'m>(
    memberships: &'m [Membership],
    session: &Session,
    org: Option<&OrgId>,
) -> Result<&'m Membership, Refused> {
    if let Some(asked) = org {
        return memberships.iter().find(|membership| membership.org.id == *asked).ok_or(Refused::NotFound);
    }
    let active = memberships.iter().find(|membership| Some(membership.org.key) == session.active_org);
    match (active, memberships) {
        (Some(active), _) => Ok(active),
        (None, [only]) => Ok(only),
        (None, []) => Err(Refused::NotFound),
        (None, _) => Err(Refused::OrgNeeded),
    }
}
