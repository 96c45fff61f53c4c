//! Hands an org to another owner.

use serde_json::json;

use tollgate_rules::access::Role;
use tollgate_rules::ids::UserId;

use super::{Error, Member, lock_org, may_grant, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::{audit, identity, orgs};

/// Makes a member the owner, and the owner who acts an admin. The operator may hand over from anybody: then every other owner stays.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`], [`Error::OwnerElsewhere`].
pub async fn transfer(engine: &Engine, scope: &OrgScope, to: &UserId) -> Result<Member, Error> {
    if identity::is_elsewhere(engine) {
        return Err(Error::OwnerElsewhere);
    }
    let (task, of, user) = (engine.clone(), scope.clone(), to.clone());
    let member = engine.db().detached(async move { store(&task, &of, &user).await }).await?;
    engine.credentials().forget_user(to);
    if let Some(from) = scope.user_id() {
        engine.credentials().forget_user(from);
    }
    Ok(member)
}

async fn store(engine: &Engine, scope: &OrgScope, to: &UserId) -> Result<Member, Error> {
    may_grant(scope, Role::Owner)?;
    let mut tx = engine.begin_for(scope).await?;
    let org = lock_org(&mut tx, scope).await?;
    let heir = sql::by_user(&mut tx, scope, to).await?.ok_or(Error::NotFound)?;
    let now = engine.now();
    let from = scope.user_id().filter(|from| *from != to);
    sql::set_role(&mut tx, scope, to, Role::Owner, now).await?;
    if let Some(from) = from {
        sql::set_role(&mut tx, scope, from, Role::Admin, now).await?;
    }
    orgs::sql::set_owner(&mut tx, scope, to, now).await?;
    let entry = audit::Entry::of(scope, "members.transfer", to.as_str())
        .before(json!({ "ownerUserId": org.owner_user_id, "role": heir.role }))
        .after(json!({ "ownerUserId": to, "role": Role::Owner }));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok(Member { role: Role::Owner, ..heir })
}
