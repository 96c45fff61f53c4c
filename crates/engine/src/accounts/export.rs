//! Everything that is stored about a person, for them to take.

use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgId, UserId};

use super::sql::{self, sessions};
use super::{Device, Error, User, me};
use crate::access::{Caller, OperatorScope};
use crate::audit::{self, Deed};
use crate::engine::Engine;
use crate::members::{self, Invitation};

/// What a person did that is told at most.
const DEEDS_MAX: i64 = 1_000;

/// What is stored about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The account; none where another keeper of accounts told us nothing.
    pub user: Option<User>,
    /// Who.
    pub user_id: UserId,
    /// Where they belong.
    pub memberships: Vec<Stay>,
    /// Their devices that are signed in.
    pub devices: Vec<Device>,
    /// Invitations that wait for their address.
    pub invitations: Vec<Invitation>,
    /// What they did, newest first.
    pub deeds: Vec<Deed>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// In which org.
    pub org_id: OrgId,
    /// As what.
    pub role: Role,
}

/// What is stored about the caller.
///
/// # Errors
/// Only people have an account.
pub async fn export(engine: &Engine, caller: &Caller) -> Result<Export, Error> {
    let (user_id, _) = me::who(caller)?;
    read(engine, user_id).await
}

/// What is stored about somebody, for the operator to hand over.
///
/// # Errors
/// [`Error::NotFound`] where nothing is.
pub async fn export_of(engine: &Engine, _scope: &OperatorScope, user_id: &UserId) -> Result<Export, Error> {
    let found = read(engine, user_id.clone()).await?;
    if found.user.is_none() && found.memberships.is_empty() { Err(Error::NotFound) } else { Ok(found) }
}

async fn read(engine: &Engine, user_id: UserId) -> Result<Export, Error> {
    let limits = engine.limits();
    let mut connection = engine.db().read().await?;
    let user = sql::by_id(&mut connection, &user_id).await?.map(|found| found.user);
    let memberships = members::sql::of_user(&mut connection, &user_id, limits.page_rows_max).await?;
    let wall = engine.clock().wall.now();
    let devices = sessions::of_user(&mut connection, &user_id, wall, limits.people.sessions_per_user_max).await?;
    let invitations = match &user {
        Some(user) => members::waiting_for(engine, &mut connection, &user.email).await?,
        None => Vec::new(),
    };
    let deeds = audit::deeds(&mut connection, &format!("user:{user_id}"), DEEDS_MAX).await?;
    let memberships = memberships.into_iter().map(|own| Stay { org_id: own.org.id, role: own.role }).collect();
    Ok(Export { user, user_id, memberships, devices, invitations, deeds })
}
