//! The proof that a permission was checked.

use tollgate_rules::access::{Permission, scopes_grant};
use tollgate_rules::ids::{OrgId, OrgKey};

use super::{Caller, CallerKind, OrgRef};
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
    /// No such org, or not the caller's: the two look the same.
    #[error("no such org")]
    NotFound,
    /// The operator must say which org.
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
        OrgScope { org_key: org.key, org_id: org.id, actor, corr_id, operator }
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
                Ok(self.scope(own.clone()))
            }
            CallerKind::Operator { .. } | CallerKind::System { .. } => {
                let asked = org.ok_or(Refused::OrgNeeded)?;
                let found = orgs::find(engine, asked).await.map_err(|error| Refused::Unavailable(error.to_string()))?;
                Ok(self.scope(found.ok_or(Refused::NotFound)?))
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
            CallerKind::Key { .. } | CallerKind::Site { .. } | CallerKind::OrgToken { .. } => {
                Err(Refused::Forbidden(permission))
            }
            CallerKind::Nobody => Err(Refused::Unauthenticated),
        }
    }

    fn scope(&self, org: OrgRef) -> OrgScope {
        OrgScope {
            org_key: org.key,
            org_id: org.id,
            actor: self.actor(),
            corr_id: self.corr_id.clone(),
            operator: matches!(self.kind, CallerKind::Operator { .. } | CallerKind::System { .. }),
        }
    }
}
