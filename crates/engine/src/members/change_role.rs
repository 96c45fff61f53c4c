//! Gives a member another role.

use serde_json::json;

use tollgate_rules::access::Role;
use tollgate_rules::ids::UserId;

use super::{Error, Member, keeps_an_owner, lock_org, may_grant, pass_on, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;
use crate::identity;
use crate::operations::Begun;

/// Changes the role; the same again answers the same.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`] when either role is above the actor's own, [`Error::LastOwner`]; where somebody
/// else keeps the members [`Error::OwnerElsewhere`], [`Error::Busy`], [`Error::Pending`], [`Error::Elsewhere`].
pub async fn change_role(engine: &Engine, scope: &OrgScope, user_id: &UserId, role: Role) -> Result<Member, Error> {
    if identity::is_elsewhere(engine) && role == Role::Owner {
        return Err(Error::OwnerElsewhere);
    }
    let (task, of, user) = (engine.clone(), scope.clone(), user_id.clone());
    let (member, begun) = engine.db().detached(async move { store(&task, &of, &user, role).await }).await?;
    if let Some(begun) = begun {
        pass_on::tell(engine, begun).await?;
    }
    engine.credentials().forget_user(user_id);
    Ok(member)
}

/// The member as they are going to be, and what is to be told to whoever keeps them: there the role changes first.
async fn store(
    engine: &Engine,
    scope: &OrgScope,
    user_id: &UserId,
    role: Role,
) -> Result<(Member, Option<Begun>), Error> {
    let mut tx = engine.begin_for(scope).await?;
    lock_org(&mut tx, scope).await?;
    let before = sql::by_user(&mut tx, scope, user_id).await?.ok_or(Error::NotFound)?;
    may_grant(scope, before.role)?;
    may_grant(scope, role)?;
    if before.role == role {
        return Ok((before, None));
    }
    keeps_an_owner(&mut tx, scope, &before).await?;
    let begun = if identity::is_elsewhere(engine) {
        Some(pass_on::begin(engine, &mut tx, scope, (user_id, Some(role))).await?)
    } else {
        sql::set_role(&mut tx, scope, user_id, role, engine.now()).await?;
        None
    };
    let entry = audit::Entry::of(scope, "members.change-role", user_id.as_str())
        .before(json!({ "role": before.role }))
        .after(json!({ "role": role }));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok((Member { role, ..before }, begun))
}
