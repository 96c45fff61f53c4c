//! Gives a member another role.

use serde_json::json;

use tollgate_rules::access::Role;
use tollgate_rules::ids::UserId;

use super::{Error, Member, keeps_an_owner, lock_org, may_grant, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;

/// Changes the role; the same again answers the same.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`] when either role is above the actor's own, [`Error::LastOwner`].
pub async fn change_role(engine: &Engine, scope: &OrgScope, user_id: &UserId, role: Role) -> Result<Member, Error> {
    let (task, of, user) = (engine.clone(), scope.clone(), user_id.clone());
    let member = engine.db().detached(async move { store(&task, &of, &user, role).await }).await?;
    engine.credentials().forget_user(user_id);
    Ok(member)
}

async fn store(engine: &Engine, scope: &OrgScope, user_id: &UserId, role: Role) -> Result<Member, Error> {
    let mut tx = engine.begin_for(scope).await?;
    lock_org(&mut tx, scope).await?;
    let before = sql::by_user(&mut tx, scope, user_id).await?.ok_or(Error::NotFound)?;
    may_grant(scope, before.role)?;
    may_grant(scope, role)?;
    if before.role == role {
        return Ok(before);
    }
    keeps_an_owner(&mut tx, scope, &before).await?;
    sql::set_role(&mut tx, scope, user_id, role, engine.now()).await?;
    let entry = audit::Entry::of(scope, "members.change-role", user_id.as_str())
        .before(json!({ "role": before.role }))
        .after(json!({ "role": role }));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok(Member { role, ..before })
}
