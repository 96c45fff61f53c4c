//! Takes a member out of an org.

use serde_json::json;

use tollgate_rules::ids::UserId;

use super::{Error, Member, keeps_an_owner, lock_org, may_grant, pass_on, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;
use crate::identity;
use crate::operations::Begun;

/// Removes the member: their next call for this org finds nothing.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`] for an owner removed by less, [`Error::LastOwner`].
pub async fn remove(engine: &Engine, scope: &OrgScope, user_id: &UserId) -> Result<Member, Error> {
    end(engine, scope, user_id, "members.remove").await
}

/// Ends a membership under the name of the use case that does.
pub(super) async fn end(
    engine: &Engine,
    scope: &OrgScope,
    user_id: &UserId,
    action: &'static str,
) -> Result<Member, Error> {
    let (task, of, user) = (engine.clone(), scope.clone(), user_id.clone());
    let (member, begun) = engine.db().detached(async move { store(&task, &of, &user, action).await }).await?;
    engine.credentials().forget_user(user_id);
    match begun {
        Some(begun) => match pass_on::tell(engine, begun).await {
            // Out here at once, whatever becomes of it there: the operation goes on, and says so where it was refused.
            Ok(()) | Err(Error::Pending(_) | Error::Elsewhere(_)) => Ok(member),
            Err(error) => Err(error),
        },
        None => Ok(member),
    }
}

async fn store(
    engine: &Engine,
    scope: &OrgScope,
    user_id: &UserId,
    action: &'static str,
) -> Result<(Member, Option<Begun>), Error> {
    let mut tx = engine.begin_for(scope).await?;
    lock_org(&mut tx, scope).await?;
    let member = sql::by_user(&mut tx, scope, user_id).await?.ok_or(Error::NotFound)?;
    if scope.user_id() != Some(user_id) {
        may_grant(scope, member.role)?;
    }
    keeps_an_owner(&mut tx, scope, &member).await?;
    sql::remove(&mut tx, scope, user_id, engine.now()).await?;
    let begun = if identity::is_elsewhere(engine) {
        Some(pass_on::begin(engine, &mut tx, scope, (user_id, None)).await?)
    } else {
        None
    };
    let entry = audit::Entry::of(scope, action, user_id.as_str()).before(json!({ "role": member.role }));
    audit::append(engine, &mut tx, entry).await?;
    tx.commit().await?;
    Ok((member, begun))
}
