//! A user's devices: list them, end one, end the one that asks.

use std::sync::atomic::Ordering;

use tollgate_rules::time::Timestamp;

use super::sql::sessions;
use super::{Error, me};
use crate::access::Caller;
use crate::audit;
use crate::db::{self, Lane};
use crate::engine::Engine;

/// A device somebody signed in on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Names the session.
    pub session_id: String,
    /// What the device says it is.
    pub device: String,
    /// When it was signed in, wall time.
    pub created_at: Timestamp,
    /// When it called last, to about a minute.
    pub last_seen_at: Timestamp,
    /// When it is over whatever is done.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// The caller's devices, newest first.
///
/// # Errors
/// Only people have devices.
pub async fn list(engine: &Engine, caller: &Caller) -> Result<Vec<Device>, Error> {
    let (user_id, own) = me::who(caller)?;
    let wall = engine.clock().wall.now();
    let mut connection = engine.db().read().await?;
    let rows = sessions::of_user(&mut connection, &user_id, wall, engine.limits().people.sessions_per_user_max).await?;
    Ok(rows.into_iter().map(|row| Device { current: row.session_id == own, ..row }).collect())
}

/// Ends one of the caller's sessions: its next call is refused.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn end(engine: &Engine, caller: &Caller, session_id: &str) -> Result<(), Error> {
    let (user_id, _) = me::who(caller)?;
    let (task, of, session_id) = (engine.clone(), user_id.clone(), session_id.to_owned());
    let corr_id = caller.corr_id().to_owned();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if !sessions::end(&mut tx, &of, &session_id, task.clock().wall.now()).await? {
            return Err(Error::NotFound);
        }
        let entry = audit::Entry::by_user(&of, "accounts.sign-out", session_id).corr_id(&corr_id);
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    engine.db().detached(write).await?;
    engine.credentials().forget_user(&user_id);
    Ok(())
}

/// Ends the session that asks.
///
/// # Errors
/// Only people are signed in.
pub async fn sign_out(engine: &Engine, caller: &Caller) -> Result<(), Error> {
    let (_, own) = me::who(caller)?;
    match end(engine, caller, &own).await {
        Err(Error::NotFound) => Ok(()),
        other => other,
    }
}

/// Writes down when sessions called last.
pub(crate) async fn write_uses(engine: &Engine) -> Result<(), db::Error> {
    for session in engine.credentials().sessions_seen() {
        let seen = session.last_seen.load(Ordering::Relaxed);
        let (task, session_id) = (engine.clone(), session.session.session_id.clone());
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            sessions::seen(&mut tx, &session_id, Timestamp::from_micros(seen)).await?;
            tx.commit().await
        };
        engine.db().detached(write).await?;
        session.written.store(seen, Ordering::Relaxed);
    }
    Ok(())
}
