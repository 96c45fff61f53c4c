//! Closes an account, and opens it again while that can be undone.

use serde_json::json;

use tollgate_connectors::mail::Letter;
use tollgate_rules::access::Role;
use tollgate_rules::ids::UserId;

use super::sql::{self, sessions};
use super::{Error, me};
use crate::access::{Caller, OperatorScope, OrgScope};
use crate::db::{Lane, Tx};
use crate::engine::Engine;
use crate::{audit, erasure, mail, members};

/// Closes the caller's own account: every session ends, they leave their orgs, and after thirty days what is stored about them is
/// erased. Until then the operator can undo it.
///
/// # Errors
/// [`Error::Refused`] where the proof of who asks is too old; [`Error::Conflict`] for the last owner of an org, and for an account
/// that is kept elsewhere.
pub async fn close(engine: &Engine, caller: &Caller) -> Result<(), Error> {
    let (user_id, _) = me::who(caller)?;
    caller.fresh(engine)?;
    let by = By { actor: caller.actor(), corr_id: caller.corr_id().to_owned() };
    run(engine, user_id, by).await
}

/// Closes somebody's account for them.
///
/// # Errors
/// As [`close`], and [`Error::NotFound`].
pub async fn close_for(engine: &Engine, scope: &OperatorScope, user_id: &UserId) -> Result<(), Error> {
    let by = By { actor: scope.actor().to_owned(), corr_id: scope.corr_id().to_owned() };
    run(engine, user_id.clone(), by).await
}

/// Opens a closed account again, with the memberships that ended with it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`] once thirty days have passed.
pub async fn restore(engine: &Engine, scope: &OperatorScope, user_id: &UserId) -> Result<(), Error> {
    let (task, by, id) = (engine.clone(), scope.clone(), user_id.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let state = sql::state(&mut tx, &id).await?.ok_or(Error::NotFound)?;
        match state.status.as_str() {
            "active" => return Ok(()),
            "closed" if state.source == BUILT_IN && erasure::can_be_undone(&task, state.closed_at) => {}
            _ => return Err(Error::Conflict("this account cannot be opened again")),
        }
        let back = match state.closed_at {
            Some(at) => members::sql::restore_all(&mut tx, &id, at, task.now()).await?,
            None => 0,
        };
        sql::open_again(&mut tx, &id, task.now()).await?;
        let entry = audit::Entry::server(&by, "accounts.restore", id.as_str());
        audit::append(&task, &mut tx, entry.after(json!({ "memberships": back }))).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    engine.db().detached(write).await?;
    engine.credentials().forget_user(user_id);
    Ok(())
}

const BUILT_IN: &str = "builtin";

/// Who closes.
struct By {
    actor: String,
    corr_id: String,
}

async fn run(engine: &Engine, user_id: UserId, by: By) -> Result<(), Error> {
    let (task, id) = (engine.clone(), user_id.clone());
    engine.db().detached(async move { store(&task, &id, &by).await }).await?;
    engine.credentials().forget_user(&user_id);
    engine.wake_workers();
    Ok(())
}

async fn store(engine: &Engine, user_id: &UserId, by: &By) -> Result<(), Error> {
    let mut tx = engine.db().begin(Lane::Control).await?;
    let state = sql::state(&mut tx, user_id).await?.ok_or(Error::NotFound)?;
    if state.source != BUILT_IN {
        return Err(Error::Conflict("this account is kept elsewhere, and is closed there"));
    }
    if state.status != "active" {
        return Ok(());
    }
    let now = engine.now();
    leave_all(engine, &mut tx, user_id, by).await?;
    sql::close(&mut tx, user_id, now).await?;
    sessions::end_all(&mut tx, user_id, engine.clock().wall.now()).await?;
    let entry = audit::Entry::by_user(user_id, "accounts.close", user_id.as_str()).corr_id(&by.corr_id);
    audit::append(engine, &mut tx, entry.by(&by.actor)).await?;
    if let Some(email) = &state.email {
        sql::void_codes(&mut tx, email, "reset", now).await?;
        let letter = farewell();
        mail::queue(engine, &mut tx, &mail::Queued { to: email, org_key: None, letter: &letter, corr_id: &by.corr_id })
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends every membership at the same moment, by which they are found when the account is opened again.
async fn leave_all(engine: &Engine, tx: &mut Tx, user_id: &UserId, by: &By) -> Result<(), Error> {
    let now = engine.now();
    for own in members::sql::of_user(tx, user_id, engine.limits().page_rows_max).await? {
        let scope = OrgScope::restored(own.org, by.actor.clone(), by.corr_id.clone());
        crate::orgs::sql::lock(tx, &scope).await?;
        if own.role == Role::Owner && members::sql::owners(tx, &scope).await? <= 1 {
            return Err(Error::Conflict("this person is the last owner of an org: transfer or delete it first"));
        }
        members::sql::remove(tx, &scope, user_id, now).await?;
        let entry = audit::Entry::of(&scope, "members.leave", user_id.as_str()).before(json!({ "role": own.role }));
        audit::append(engine, tx, entry).await?;
    }
    Ok(())
}

fn farewell() -> Letter {
    Letter::new("Your account was closed")
        .line("Your account was closed, every device was signed out, and you have left the organizations you belonged to.")
        .line("What is stored about you is erased after 30 days. Until then the operator of this server can open the account again.")
        .closing("If it was not you, tell the operator at once.")
}
