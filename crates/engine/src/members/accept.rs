//! Accepts an invitation.

use serde_json::json;

use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, UserId};

use super::sql::{self, invitations};
use super::{Error, invite, lock_org};
use crate::access::{Caller, CallerKind, OrgScope, Refused};
use crate::engine::Engine;
use crate::{accounts, audit, checkouts, orgs, secrets};

/// Where somebody is a member now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// In this org.
    pub org_id: OrgId,
    /// What it is called.
    pub org_name: String,
    /// As this.
    pub role: Role,
}

/// Uses an invitation up: the signed-in user becomes a member. Whoever is one already keeps the higher of the two roles.
///
/// # Errors
/// [`Error::InvalidCode`] for every code that this user cannot use, [`Error::PeopleOnly`].
pub async fn accept(engine: &Engine, caller: &Caller, code: &str) -> Result<Accepted, Error> {
    let user_id = match caller.kind() {
        CallerKind::User { user_id, .. } => user_id.clone(),
        CallerKind::Nobody => return Err(Error::Refused(Refused::Unauthenticated)),
        CallerKind::Operator { .. }
        | CallerKind::Key { .. }
        | CallerKind::Site { .. }
        | CallerKind::OrgToken { .. }
        | CallerKind::System { .. } => return Err(Error::PeopleOnly),
    };
    if !secrets::well_formed(invite::CODE_PREFIX, code) {
        return Err(Error::InvalidCode);
    }
    let hash = crate::clock::hex(&secrets::fingerprint(code));
    let found = {
        let mut connection = engine.db().read().await?;
        invitations::org_of_code(&mut connection, &hash).await?
    };
    let org = found.ok_or(Error::InvalidCode)?;
    let scope = OrgScope::restored(org, caller.actor(), caller.corr_id().to_owned());
    let (task, user) = (engine.clone(), user_id.clone());
    let accepted = engine.db().detached(async move { store(&task, &scope, &user, &hash).await }).await?;
    engine.credentials().forget_user(&user_id);
    Ok(accepted)
}

async fn store(engine: &Engine, scope: &OrgScope, user_id: &UserId, hash: &str) -> Result<Accepted, Error> {
    let now = engine.now();
    let mut tx = engine.begin_for(scope).await?;
    let org = match lock_org(&mut tx, scope).await {
        Err(Error::Closed) => return Err(Error::InvalidCode),
        other => other?,
    };
    let email = accounts::sql::verified_email(&mut tx, user_id).await?.ok_or(Error::InvalidCode)?;
    let used = invitations::accept(&mut tx, scope, hash, (user_id, &email), now).await?;
    let (invitation_id, invited) = used.ok_or(Error::InvalidCode)?;
    let before = sql::by_user(&mut tx, scope, user_id).await?.map(|member| member.role);
    // Roles are ordered from the highest to the lowest.
    let role = before.map_or(invited, |held| held.min(invited));
    if before != Some(role) {
        sql::put(&mut tx, scope, user_id, role, now).await?;
    }
    // An org that a checkout made has nobody's name on it until its owner comes.
    if role == Role::Owner && org.owner_user_id.as_str().starts_with(checkouts::PREFIX) {
        orgs::sql::set_owner(&mut tx, scope, user_id, now).await?;
    }
    let entry = audit::Entry::of(scope, "invitations.accept", invitation_id)
        .before(json!({ "userId": user_id, "role": before }))
        .after(json!({ "userId": user_id, "role": role }));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok(Accepted { org_id: org.org_id, org_name: org.name, role })
}
