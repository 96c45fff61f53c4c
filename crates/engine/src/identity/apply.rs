//! Writes a fact into our tables, if it is newer than what we know. The one door for messages and for reconciliation.

use serde_json::json;
use tollgate_connectors::identity::{Fact, InvitationFact, MembershipFact, OrgFact, UserFact};
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{OrgId, OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use super::sql::{self, Mark};
use crate::access::{OrgRef, OrgScope};
use crate::audit::{self, Entry};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::orgs::{self, Org};
use crate::tokens;

/// Who acts, in audit entries.
const ACTOR: &str = "clerk";

/// What must be forgotten in memory once the facts are committed.
#[derive(Debug, Default)]
pub(super) struct After {
    /// Sessions and users whose tokens are refused from now on.
    refused: Vec<String>,
    /// Users whose memberships changed.
    members: Vec<UserId>,
    /// Orgs that were closed.
    closed: Vec<OrgScope>,
    /// Whether anything changed.
    pub(super) changed: bool,
}

impl After {
    /// After the commit: no decision may be taken on what was known before.
    pub(super) fn carry_out(&self, engine: &Engine) {
        for subject in &self.refused {
            tokens::refuse(engine, subject);
        }
        for user_id in &self.members {
            engine.credentials().forget_user(user_id);
        }
        for scope in &self.closed {
            orgs::forget_closed(engine, scope);
        }
    }
}

/// Applies one fact in the caller's transaction.
pub(super) async fn apply(engine: &Engine, tx: &mut Tx, fact: &Fact, after: &mut After) -> Result<(), Error> {
    match fact {
        Fact::User(user) => apply_user(tx, user, after).await,
        Fact::UserGone(user_id) => user_gone(engine, tx, user_id, after).await,
        Fact::Org(org) => apply_org(engine, tx, org, after).await.map(|_| ()),
        Fact::OrgGone(org_id) => org_gone(engine, tx, org_id, after).await,
        Fact::Membership(membership) => apply_membership(engine, tx, membership, after).await,
        Fact::MembershipGone(membership) => membership_gone(engine, tx, membership, after).await,
        Fact::Invitation(invitation) => apply_invitation(engine, tx, invitation, after).await,
        Fact::SessionEnded(session_id) => {
            tokens::refuse_stored(engine, tx, session_id).await?;
            after.refused.push(session_id.clone());
            after.changed = true;
            Ok(())
        }
        Fact::Other => Ok(()),
    }
}

async fn newer(tx: &mut Tx, kind: &'static str, id: &str, about: &str, updated_at: Timestamp) -> Result<bool, Error> {
    sql::mark(tx, &Mark { kind, object_id: id, about, updated_at, gone: false }).await
}

async fn gone(tx: &mut Tx, kind: &'static str, id: &str, about: &str, at: Timestamp) -> Result<bool, Error> {
    sql::mark(tx, &Mark { kind, object_id: id, about, updated_at: at, gone: true }).await
}

async fn apply_user(tx: &mut Tx, user: &UserFact, after: &mut After) -> Result<(), Error> {
    if newer(tx, "user", user.user_id.as_str(), "", user.updated_at).await? {
        sql::put_user(tx, user).await?;
        after.changed = true;
    }
    Ok(())
}

async fn user_gone(engine: &Engine, tx: &mut Tx, user_id: &UserId, after: &mut After) -> Result<(), Error> {
    if gone(tx, "user", user_id.as_str(), "", engine.now()).await? {
        sql::close_user(tx, user_id, engine.clock().wall.now()).await?;
        sql::remove_everywhere(tx, user_id, engine.now()).await?;
        tokens::refuse_stored(engine, tx, user_id.as_str()).await?;
        after.refused.push(user_id.to_string());
        after.members.push(user_id.clone());
        after.changed = true;
    }
    Ok(())
}

/// The org's key; none where it is gone.
async fn apply_org(engine: &Engine, tx: &mut Tx, told: &OrgFact, after: &mut After) -> Result<Option<OrgScope>, Error> {
    let is_newer = newer(tx, "org", told.org_id.as_str(), "", told.updated_at).await?;
    if sql::is_gone(tx, "org", told.org_id.as_str()).await? {
        return Ok(None);
    }
    if let Some(org_key) = orgs::sql::org_key(tx, &told.org_id).await? {
        let scope = scope_of(org_key, &told.org_id);
        if is_newer && sql::rename_org(tx, &scope, &told.name, engine.now()).await? {
            after.changed = true;
            let entry = Entry::by_system(ACTOR, org_key, "orgs.update", told.org_id.as_str());
            audit::append(engine, tx, entry.after(json!({ "name": told.name }))).await?;
        }
        return Ok(Some(scope));
    }
    let owner = told.created_by.clone().unwrap_or(nobody()?);
    let org = Org {
        org_key: OrgKey(0),
        org_id: told.org_id.clone(),
        name: name_of(&told.name),
        owner_user_id: owner,
        email: None,
        timezone: "UTC".to_owned(),
        status: OrgStatus::Active,
        mfa_required: false,
        closed_at: None,
        created_at: engine.now(),
        updated_at: engine.now(),
    };
    let Some(org_key) = orgs::sql::insert(tx, &org).await? else { return Ok(None) };
    after.changed = true;
    let entry = Entry::by_system(ACTOR, org_key, "orgs.create", told.org_id.as_str());
    audit::append(engine, tx, entry.after(json!({ "orgId": told.org_id, "name": org.name }))).await?;
    Ok(Some(scope_of(org_key, &told.org_id)))
}

/// Names there may be longer than ours.
fn name_of(name: &str) -> String {
    let mut kept: String = name.chars().filter(|c| !c.is_control()).collect();
    while kept.len() > 200 {
        kept.pop();
    }
    if kept.trim().is_empty() { "organization".to_owned() } else { kept }
}

fn nobody() -> Result<UserId, Error> {
    UserId::parse("clerk").map_err(|error| Error::Bug(error.to_string()))
}

pub(super) fn scope_of(org_key: OrgKey, org_id: &OrgId) -> OrgScope {
    OrgScope::restored(OrgRef { key: org_key, id: org_id.clone() }, format!("system:{ACTOR}"), String::new())
}

async fn org_gone(engine: &Engine, tx: &mut Tx, org_id: &OrgId, after: &mut After) -> Result<(), Error> {
    if !gone(tx, "org", org_id.as_str(), "", engine.now()).await? {
        return Ok(());
    }
    let Some(org_key) = orgs::sql::org_key(tx, org_id).await? else { return Ok(()) };
    let scope = scope_of(org_key, org_id);
    orgs::close(engine, tx, &scope).await.map_err(|error| match error {
        orgs::Error::Database(error) => error,
        other => Error::Bug(other.to_string()),
    })?;
    after.closed.push(scope);
    after.changed = true;
    Ok(())
}

fn about(membership: &MembershipFact) -> String {
    format!("{}/{}", membership.org.org_id, membership.user_id)
}

async fn apply_membership(
    engine: &Engine,
    tx: &mut Tx,
    membership: &MembershipFact,
    after: &mut After,
) -> Result<(), Error> {
    let Some(scope) = apply_org(engine, tx, &membership.org, after).await? else { return Ok(()) };
    let id = &membership.membership_id;
    if sql::is_gone(tx, "user", membership.user_id.as_str()).await?
        || !newer(tx, "membership", id, &about(membership), membership.updated_at).await?
    {
        return Ok(());
    }
    if sql::put_membership(tx, &scope, membership, engine.now()).await? {
        after.changed = true;
        after.members.push(membership.user_id.clone());
        let entry = Entry::of(&scope, "members.put", membership.user_id.as_str());
        audit::append(engine, tx, entry.after(json!({ "role": membership.role }))).await?;
    }
    Ok(())
}

async fn membership_gone(
    engine: &Engine,
    tx: &mut Tx,
    membership: &MembershipFact,
    after: &mut After,
) -> Result<(), Error> {
    let about = about(membership);
    let first = gone(tx, "membership", &membership.membership_id, &about, membership.updated_at).await?;
    // Who left and came back is a member by the newer membership.
    if !first || sql::is_there(tx, "membership", &about).await? {
        return Ok(());
    }
    let Some(org_key) = orgs::sql::org_key(tx, &membership.org.org_id).await? else { return Ok(()) };
    remove(engine, tx, &scope_of(org_key, &membership.org.org_id), &membership.user_id, after).await
}

/// Takes a member out; their next call is refused.
pub(super) async fn remove(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    user_id: &UserId,
    after: &mut After,
) -> Result<(), Error> {
    if sql::remove_membership(tx, scope, user_id, engine.now()).await? {
        after.changed = true;
        after.members.push(user_id.clone());
        audit::append(engine, tx, Entry::of(scope, "members.remove", user_id.as_str())).await?;
    }
    Ok(())
}

async fn apply_invitation(engine: &Engine, tx: &mut Tx, told: &InvitationFact, after: &mut After) -> Result<(), Error> {
    if !newer(tx, "invitation", &told.invitation_id, "", told.updated_at).await? {
        return Ok(());
    }
    let Some(org_key) = orgs::sql::org_key(tx, &told.org_id).await? else { return Ok(()) };
    let scope = scope_of(org_key, &told.org_id);
    sql::put_invitation(tx, &scope, told, engine.now()).await?;
    after.changed = true;
    let entry = Entry::of(&scope, "invitations.put", told.invitation_id.clone());
    audit::append(engine, tx, entry.after(json!({ "role": told.role, "state": format!("{:?}", told.state) }))).await
}
