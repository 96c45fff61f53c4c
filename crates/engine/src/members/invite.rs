//! Invites somebody, or sends an invitation again.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use tollgate_connectors::mail::{self as carrier, Letter};
use tollgate_rules::access::Role;

use super::sql::{self, invitations};
use super::{Error, Invitation, Issued, elsewhere, lock_org, may_grant};
use crate::access::OrgScope;
use crate::db::Tx;
use crate::engine::Engine;
use crate::{audit, identity, mail, orgs, secrets};

/// What invitation codes begin with.
pub(super) const CODE_PREFIX: &str = "tgi_";

/// Whom to invite as what.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The address; only an account with this verified address can accept.
    pub email: String,
    /// What they will be.
    pub role: Role,
}

/// Invites somebody by letter, with a code; what waited for the same address before is withdrawn. Where somebody else keeps the members,
/// they invite.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Escalation`], [`Error::AlreadyMember`], [`Error::TooMany`], [`Error::Closed`],
/// [`Error::Elsewhere`].
pub async fn invite(engine: &Engine, scope: &OrgScope, invite: Invite) -> Result<Issued, Error> {
    if identity::is_elsewhere(engine) {
        return elsewhere::invite(engine, scope, &invite).await;
    }
    let (task, of) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        let issued = invite_in(&task, &mut tx, &of, &invite).await?;
        tx.commit().await?;
        Ok::<_, Error>(issued)
    };
    let issued = engine.db().detached(write).await?;
    engine.wake_workers();
    Ok(issued)
}

/// The same inside a use case that invites besides doing something else (a checkout invites the org's first owner).
///
/// # Errors
/// As [`invite`].
pub async fn invite_in(engine: &Engine, tx: &mut Tx, scope: &OrgScope, invite: &Invite) -> Result<Issued, Error> {
    let email = written(&invite.email)?;
    may_grant(scope, invite.role)?;
    let org = lock_org(tx, scope).await?;
    if sql::has_email(tx, scope, &email).await? {
        return Err(Error::AlreadyMember);
    }
    let now = engine.now();
    invitations::withdraw_pending(tx, scope, &email, now).await?;
    let many = sql::live_count(tx, scope).await? + invitations::pending_count(tx, scope, now).await?;
    if many >= engine.limits().people.members_per_org_max {
        return Err(Error::TooMany(many));
    }
    let invitation = Invitation {
        invitation_id: engine.new_id("inv_"),
        org_id: org.org_id.clone(),
        org_name: org.name.clone(),
        email,
        role: invite.role,
        invited_by: scope.actor().to_owned(),
        created_at: now,
        expires_at: now.plus(engine.limits().people.invitation_life),
    };
    let code = secrets::generate(CODE_PREFIX, &engine.clock().entropy);
    invitations::insert(tx, scope, &invitation, &secrets::stored(&code)).await?;
    let after = json!({ "role": invitation.role, "expiresAt": invitation.expires_at });
    let entry = audit::Entry::of(scope, "invitations.create", invitation.invitation_id.as_str()).after(after);
    audit::append(engine, tx, entry).await?;
    post(engine, tx, scope, &invitation, &code).await?;
    Ok(Issued { invitation, code: Some(code) })
}

/// Sends an invitation again, with another code and a new end; the code before is void.
///
/// # Errors
/// [`Error::NotFound`] when it was accepted or withdrawn, [`Error::Escalation`].
pub async fn resend(engine: &Engine, scope: &OrgScope, invitation_id: &str) -> Result<Issued, Error> {
    if identity::is_elsewhere(engine) {
        return elsewhere::resend(engine, scope, invitation_id).await;
    }
    let (task, of, invitation_id) = (engine.clone(), scope.clone(), invitation_id.to_owned());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        lock_org(&mut tx, &of).await?;
        let mut invitation = invitations::by_id(&mut tx, &of, &invitation_id).await?.ok_or(Error::NotFound)?;
        may_grant(&of, invitation.role)?;
        invitation.expires_at = task.now().plus(task.limits().people.invitation_life);
        let code = secrets::generate(CODE_PREFIX, &task.clock().entropy);
        invitations::renew(&mut tx, &of, &invitation_id, &secrets::stored(&code), invitation.expires_at).await?;
        let after = json!({ "expiresAt": invitation.expires_at });
        let entry = audit::Entry::of(&of, "invitations.resend", invitation_id.as_str()).after(after);
        audit::append(&task, &mut tx, entry).await?;
        post(&task, &mut tx, &of, &invitation, &code).await?;
        tx.commit().await?;
        Ok::<_, Error>(Issued { invitation, code: Some(code) })
    };
    let issued = engine.db().detached(write).await?;
    engine.wake_workers();
    Ok(issued)
}

/// The address as it is stored and compared: without spaces around it, in lower case.
pub(crate) fn written(email: &str) -> Result<String, Error> {
    let email = email.trim().to_lowercase();
    let fits = orgs::check_email(&email).is_ok() && carrier::is_address(&email);
    if fits {
        Ok(email)
    } else {
        Err(Error::Invalid { field: "email", rule: "an e-mail address of at most 254 bytes".to_owned() })
    }
}

async fn post(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    invitation: &Invitation,
    code: &SecretString,
) -> Result<(), Error> {
    let (org, code) = (&invitation.org_name, code.expose_secret());
    let letter = Letter::new(format!("You are invited to {org}"))
        .line(format!("You are invited to join {org} as {}.", described(invitation.role)))
        .line(format!(
            "Sign in with this e-mail address at {}, or sign up with it first, and enter this code before {}.",
            engine.public_base_url(),
            invitation.expires_at
        ))
        .code(code)
        .closing("If you do not know why you are invited, you need not do anything.");
    let queued = mail::Queued {
        to: &invitation.email,
        org_key: Some(scope.org_key()),
        letter: &letter,
        corr_id: scope.corr_id(),
    };
    Ok(mail::queue(engine, tx, &queued).await?)
}

fn described(role: Role) -> &'static str {
    match role {
        Role::Owner => "an owner",
        Role::Admin => "an admin",
        Role::Billing => "a billing contact",
        Role::Member => "a member",
    }
}
