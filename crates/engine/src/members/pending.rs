//! Invitations that wait.

use super::sql::invitations;
use super::{Error, Invitation};
use crate::access::{Caller, OrgScope};
use crate::accounts;
use crate::db::{self, Connection};
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// One page of an org's invitations that can still be accepted, newest first.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn pending(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Invitation>, ListError> {
    let mut connection = engine.read_for(scope).await?;
    let rows = invitations::pending(&mut connection, scope, engine.now(), paging.after(), paging.fetch()).await?;
    Ok(paging.page(rows, |invitation| invitation.invitation_id.clone()))
}

/// What waits for the signed-in user's own verified address, at most a page.
///
/// # Errors
/// [`Error::PeopleOnly`].
pub async fn mine(engine: &Engine, caller: &Caller) -> Result<Vec<Invitation>, Error> {
    let user_id = caller.user_id().ok_or(Error::PeopleOnly)?;
    let mut connection = engine.db().read().await?;
    let Some(email) = accounts::sql::verified_email(&mut connection, user_id).await? else { return Ok(Vec::new()) };
    Ok(waiting_for(engine, &mut connection, &email).await?)
}

/// What waits for an address, at most a page.
pub(crate) async fn waiting_for(
    engine: &Engine,
    connection: &mut Connection,
    email: &str,
) -> Result<Vec<Invitation>, db::Error> {
    invitations::pending_for(connection, email, engine.now(), engine.limits().page_rows_max).await
}
