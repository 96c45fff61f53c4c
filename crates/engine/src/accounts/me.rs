//! Who is signed in, and in which org they work.

use tollgate_rules::ids::{OrgId, UserId};

use super::sql::{self, sessions};
use super::{Error, User};
use crate::access::{Caller, CallerKind, Membership, Refused, Session};
use crate::db::Lane;
use crate::engine::Engine;

/// The signed-in user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The account; none where another issuer vouches for the user and told us nothing of them.
    pub user: Option<User>,
    /// Who.
    pub user_id: UserId,
    /// The session.
    pub session: Session,
    /// What they are in which org.
    pub memberships: Vec<Membership>,
}

/// The signed-in user with their orgs.
///
/// # Errors
/// Only people are signed in.
pub async fn me(engine: &Engine, caller: &Caller) -> Result<Me, Error> {
    let CallerKind::User { user_id, session, memberships } = caller.kind() else {
        return Err(Error::Refused(Refused::Unauthenticated));
    };
    let mut connection = engine.db().read().await?;
    let user = sql::by_id(&mut connection, user_id).await?.map(|found| found.user);
    Ok(Me { user, user_id: user_id.clone(), session: session.clone(), memberships: memberships.to_vec() })
}

/// Switches the session to another org of the user's: the one meant where none is named.
///
/// # Errors
/// [`Refused::NotFound`] for an org the user is no member of.
pub async fn switch_org(engine: &Engine, caller: &Caller, org_id: &OrgId) -> Result<Membership, Error> {
    let CallerKind::User { user_id, session, memberships } = caller.kind() else {
        return Err(Error::Refused(Refused::Unauthenticated));
    };
    let found = memberships.iter().find(|membership| membership.org.id == *org_id).cloned();
    let membership = found.ok_or(Error::Refused(Refused::NotFound))?;
    let (task, session_id, key) = (engine.clone(), session.session_id.clone(), membership.org.key);
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        sessions::set_org(&mut tx, &session_id, key).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    engine.db().detached(write).await?;
    engine.credentials().forget_user(user_id);
    Ok(membership)
}

/// The user and the session behind the call.
pub(super) fn who(caller: &Caller) -> Result<(UserId, String), Error> {
    match caller.kind() {
        CallerKind::User { user_id, session, .. } => Ok((user_id.clone(), session.session_id.clone())),
        _ => Err(Error::Refused(Refused::Unauthenticated)),
    }
}
