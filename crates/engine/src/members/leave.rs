//! Leaves an org.

use super::{Error, Member, remove};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Ends the caller's own membership.
///
/// # Errors
/// [`Error::PeopleOnly`], [`Error::LastOwner`].
pub async fn leave(engine: &Engine, scope: &OrgScope) -> Result<Member, Error> {
    let user_id = scope.user_id().cloned().ok_or(Error::PeopleOnly)?;
    remove::end(engine, scope, &user_id, "members.leave").await
}
