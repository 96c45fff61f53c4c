//! Withdraws an invitation.

use serde_json::json;

use super::sql::invitations;
use super::{Error, Invitation, elsewhere, lock_org, may_grant};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;
use crate::identity;

/// Withdraws an invitation that was not accepted yet.
///
/// # Errors
/// [`Error::NotFound`] when it was accepted or withdrawn, [`Error::Escalation`].
pub async fn revoke(engine: &Engine, scope: &OrgScope, invitation_id: &str) -> Result<Invitation, Error> {
    if identity::is_elsewhere(engine) {
        return elsewhere::revoke(engine, scope, invitation_id).await;
    }
    let (task, of, invitation_id) = (engine.clone(), scope.clone(), invitation_id.to_owned());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        lock_org(&mut tx, &of).await?;
        let invitation = invitations::by_id(&mut tx, &of, &invitation_id).await?.ok_or(Error::NotFound)?;
        may_grant(&of, invitation.role)?;
        invitations::revoke(&mut tx, &of, &invitation_id, task.now()).await?;
        let before = json!({ "role": invitation.role });
        audit::append(&task, &mut tx, audit::Entry::of(&of, "invitations.revoke", invitation_id).before(before))
            .await?;
        tx.commit().await?;
        Ok::<_, Error>(invitation)
    };
    engine.db().detached(write).await
}
