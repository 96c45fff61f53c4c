//! Invites people where identities are kept elsewhere: the other side sends the letter and answers it; our table follows.

use tollgate_connectors::identity::{Fact, InvitationFact, Invite};
use tollgate_rules::access::Role;

use super::{Error, follow};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Invites somebody into the scope's org.
///
/// # Errors
/// [`Error::Elsewhere`]: it was refused, or whoever keeps identities is not reachable.
pub async fn invite(engine: &Engine, scope: &OrgScope, email: &str, role: Role) -> Result<InvitationFact, Error> {
    let inviter = scope.actor().strip_prefix("user:");
    let told = engine.identity().invite(&Invite { org_id: scope.org_id(), email, role, inviter }).await?;
    follow::write(engine, Fact::Invitation(told.clone())).await?;
    Ok(told)
}

/// Takes an invitation of the scope's org back.
///
/// # Errors
/// [`Error::Elsewhere`].
pub async fn revoke_invitation(
    engine: &Engine,
    scope: &OrgScope,
    invitation_id: &str,
) -> Result<InvitationFact, Error> {
    let told = engine.identity().revoke_invitation(scope.org_id(), invitation_id).await?;
    follow::write(engine, Fact::Invitation(told.clone())).await?;
    Ok(told)
}
