//! Inviting people where somebody else keeps the members (Clerk): they send the letter and take the answer; our table follows.

use serde_json::json;

use super::sql::{self, invitations};
use super::{Error, Invitation, Invite, Issued, lock_org, may_grant, written};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;
use crate::identity;

/// Invites somebody there; what waited there for the same address is withdrawn first.
pub(super) async fn invite(engine: &Engine, scope: &OrgScope, wanted: &Invite) -> Result<Issued, Error> {
    let email = written(&wanted.email)?;
    may_grant(scope, wanted.role)?;
    let (org_name, waiting) = looked(engine, scope, &email).await?;
    if let Some(waiting) = waiting {
        replace(engine, scope, &waiting, &email).await?;
    }
    let told = identity::invite(engine, scope, &email, wanted.role).await.map_err(refused)?;
    let invitation = Invitation {
        invitation_id: told.invitation_id,
        org_id: told.org_id,
        org_name,
        email: told.email,
        role: wanted.role,
        invited_by: scope.actor().to_owned(),
        created_at: told.created_at,
        expires_at: told.expires_at,
    };
    noted(engine, scope, &invitation, "invitations.create").await?;
    Ok(Issued { invitation, code: None })
}

/// Withdraws the invitation there and makes another like it: that is how a letter is sent again.
pub(super) async fn resend(engine: &Engine, scope: &OrgScope, invitation_id: &str) -> Result<Issued, Error> {
    let former = known(engine, scope, invitation_id).await?;
    may_grant(scope, former.role)?;
    withdraw(engine, scope, &former.invitation_id).await?;
    invite(engine, scope, &Invite { email: former.email, role: former.role }).await
}

/// Takes an invitation back there.
pub(super) async fn revoke(engine: &Engine, scope: &OrgScope, invitation_id: &str) -> Result<Invitation, Error> {
    let former = known(engine, scope, invitation_id).await?;
    may_grant(scope, former.role)?;
    withdraw(engine, scope, &former.invitation_id).await?;
    noted(engine, scope, &former, "invitations.revoke").await?;
    Ok(former)
}

/// The org's name, and the invitation that waits for this address; refuses what would be refused here too.
async fn looked(engine: &Engine, scope: &OrgScope, email: &str) -> Result<(String, Option<String>), Error> {
    let (task, of, email) = (engine.clone(), scope.clone(), email.to_owned());
    let look = async move {
        let mut tx = task.begin_for(&of).await?;
        let org = lock_org(&mut tx, &of).await?;
        if sql::has_email(&mut tx, &of, &email).await? {
            return Err(Error::AlreadyMember);
        }
        let now = task.now();
        let many = sql::live_count(&mut tx, &of).await? + invitations::pending_count(&mut tx, &of, now).await?;
        if many >= task.limits().people.members_per_org_max {
            return Err(Error::TooMany(many));
        }
        let waiting = invitations::waiting_for(&mut tx, &of, &email).await?;
        tx.rollback().await?;
        Ok((org.name, waiting))
    };
    engine.db().detached(look).await
}

async fn known(engine: &Engine, scope: &OrgScope, invitation_id: &str) -> Result<Invitation, Error> {
    let mut connection = engine.read_for(scope).await?;
    invitations::by_id(&mut connection, scope, invitation_id).await?.ok_or(Error::NotFound)
}

async fn withdraw(engine: &Engine, scope: &OrgScope, invitation_id: &str) -> Result<(), Error> {
    identity::revoke_invitation(engine, scope, invitation_id).await.map(|_| ()).map_err(refused)
}

/// Withdraws what waits; one that is over there without our knowing is over here too.
async fn replace(engine: &Engine, scope: &OrgScope, invitation_id: &str, email: &str) -> Result<(), Error> {
    match withdraw(engine, scope, invitation_id).await {
        Err(Error::Elsewhere(identity::Elsewhere::Refused(_) | identity::Elsewhere::NotFound)) => {}
        other => return other,
    }
    let (task, of, email) = (engine.clone(), scope.clone(), email.to_owned());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        invitations::withdraw_pending(&mut tx, &of, &email, task.now()).await?;
        tx.commit().await
    };
    Ok(engine.db().detached(write).await?)
}

/// Who acted here; what came of it is told by the other side and has an entry of its own.
async fn noted(engine: &Engine, scope: &OrgScope, about: &Invitation, action: &'static str) -> Result<(), Error> {
    let (task, of, id) = (engine.clone(), scope.clone(), about.invitation_id.clone());
    let after = json!({ "role": about.role, "expiresAt": about.expires_at });
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        audit::append(&task, &mut tx, audit::Entry::of(&of, action, id).after(after)).await?;
        tx.commit().await
    };
    Ok(engine.db().detached(write).await?)
}

fn refused(error: identity::Error) -> Error {
    match error {
        identity::Error::Elsewhere(error) => Error::Elsewhere(error),
        identity::Error::Database(error) => Error::Database(error),
        identity::Error::BadSignature(_) | identity::Error::Malformed(_) => {
            Error::Database(crate::db::Error::Bug(error.to_string()))
        }
    }
}
