//! From a signed-in session to a caller: who the user is, how freshly they proved it, and what they are in which org.
//!
//! Warm sessions cost one hash and two look-ups in memory. A session that ended, a membership that changed or an account that
//! was closed counts at once in this process, and within the time a key is remembered on every other node.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tollgate_rules::access::Role;
use tollgate_rules::ids::{OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use super::{AuthError, Caller, CallerKind, OrgRef};
use crate::db::{self, Kind};
use crate::engine::Engine;
use crate::secrets::{self, Fingerprint};
use crate::{accounts, members, operators};

/// What the secret of a cookie session begins with.
pub(crate) const COOKIE_PREFIX: &str = "tgs_";

/// How a user proved who they are, and in which org they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names the session; never a secret.
    pub session_id: String,
    /// When the password (or what stands for it) was given last, wall time.
    pub authenticated_at: Timestamp,
    /// When the second factor was given last, wall time; none when never.
    pub second_factor_at: Option<Timestamp>,
    /// The org the session switched to.
    pub active_org: Option<OrgKey>,
}

/// What a user is in one org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which org.
    pub org: OrgRef,
    /// What they are in it.
    pub role: Role,
    /// Whether the org lets in only who gave a second factor.
    pub mfa_required: bool,
}

/// A session that was read from the database.
#[derive(Debug)]
pub(crate) struct KnownSession {
    pub(crate) user_id: UserId,
    pub(crate) session: Session,
    /// Wall time from which it is not valid whatever is done.
    pub(crate) expires_at: Timestamp,
    /// Wall time of the last call in µs.
    pub(crate) last_seen: AtomicI64,
    /// What of `last_seen` is written down.
    pub(crate) written: AtomicI64,
    /// Monotonic time of the read.
    pub(crate) read_at: Duration,
}

/// Finds the user behind the secret of a cookie session; the operator behind one of theirs.
///
/// # Errors
/// [`AuthError::Invalid`] for a session that is unknown, ended, idle for too long or too old.
pub async fn authenticate_session(engine: &Engine, secret: &str) -> Result<Caller, AuthError> {
    if secret.starts_with(operators::PREFIX) {
        return operators::admit(engine, secret).await;
    }
    if !secrets::well_formed(COOKIE_PREFIX, secret) {
        return Err(AuthError::Invalid);
    }
    admit(engine, secrets::fingerprint(secret), Lookup::Secret).await
}

/// Finds the user behind a session named in a token that was verified already.
///
/// # Errors
/// As [`authenticate_session`].
pub(crate) async fn authenticate_session_id(engine: &Engine, session_id: &str) -> Result<Caller, AuthError> {
    admit(engine, secrets::fingerprint(session_id), Lookup::Id(session_id)).await
}

/// The caller of a user whose identity somebody else vouches for (another issuer), with the memberships we know.
///
/// # Errors
/// [`AuthError::Unavailable`].
pub(crate) async fn caller_of(engine: &Engine, user_id: UserId, session: Session) -> Result<Caller, AuthError> {
    let memberships = memberships(engine, &user_id).await.map_err(AuthError::Unavailable)?;
    Ok(Caller::new(CallerKind::User { user_id, session, memberships }))
}

/// What a form of ours carries, so that no other page can send it: known to the pages of this session only.
#[must_use]
pub fn form_token(engine: &Engine, session: &Session) -> String {
    engine.sealer().mac("forms", &session.session_id)
}

/// Whether a form was ours.
#[must_use]
pub fn form_token_fits(engine: &Engine, session: &Session, sent: &str) -> bool {
    secrets::same(&secrets::fingerprint(sent), &secrets::fingerprint(&form_token(engine, session)))
}

enum Lookup<'a> {
    Secret,
    Id(&'a str),
}

async fn admit(engine: &Engine, fingerprint: Fingerprint, by: Lookup<'_>) -> Result<Caller, AuthError> {
    let wall = engine.clock().wall.now();
    let found = match engine.credentials().known_session(&fingerprint).filter(|known| fresh(engine, known.read_at)) {
        Some(known) => Some(known),
        None => load(engine, fingerprint, by).await.map_err(AuthError::Unavailable)?,
    };
    let Some(known) = found else { return Err(AuthError::Invalid) };
    if !known.touch(wall, engine.limits().people.session_idle) {
        return Err(AuthError::Invalid);
    }
    caller_of(engine, known.user_id.clone(), known.session.clone()).await
}

impl KnownSession {
    /// Notes a call; false when the session is over by itself.
    fn touch(&self, wall: Timestamp, idle: Duration) -> bool {
        use std::sync::atomic::Ordering;
        let seen = Timestamp::from_micros(self.last_seen.load(Ordering::Relaxed));
        if wall >= self.expires_at || wall >= seen.plus(idle) {
            return false;
        }
        self.last_seen.fetch_max(wall.as_micros(), Ordering::Relaxed);
        true
    }
}

/// The embedded database has one process, which hears every change itself: what it knows does not age.
fn fresh(engine: &Engine, read_at: Duration) -> bool {
    engine.db().kind() == Kind::Sqlite
        || engine.clock().monotonic.now().saturating_sub(read_at) < engine.limits().key_cache_ttl
}

async fn load(
    engine: &Engine,
    fingerprint: Fingerprint,
    by: Lookup<'_>,
) -> Result<Option<Arc<KnownSession>>, db::Error> {
    let credentials = engine.credentials();
    let generation = credentials.generation();
    let read_at = engine.clock().monotonic.now();
    let mut connection = engine.db().read().await?;
    let found = match by {
        Lookup::Secret => accounts::sql::sessions::by_hash(&mut connection, &fingerprint).await?,
        Lookup::Id(session_id) => accounts::sql::sessions::live(&mut connection, session_id).await?,
    };
    let Some(row) = found else {
        credentials.forget_session(&fingerprint);
        return Ok(None);
    };
    let seen = row.last_seen_at.as_micros();
    let known = KnownSession {
        user_id: row.user_id,
        session: row.session,
        expires_at: row.expires_at,
        last_seen: AtomicI64::new(seen),
        written: AtomicI64::new(seen),
        read_at,
    };
    Ok(Some(credentials.remember_session(fingerprint, known, generation, engine.limits().key_cache_entries_max)))
}

async fn memberships(engine: &Engine, user_id: &UserId) -> Result<Arc<[Membership]>, db::Error> {
    let credentials = engine.credentials();
    if let Some((known, read_at)) = credentials.known_memberships(user_id)
        && fresh(engine, read_at)
    {
        return Ok(known);
    }
    let generation = credentials.generation();
    let read_at = engine.clock().monotonic.now();
    let mut connection = engine.db().read().await?;
    let rows = members::sql::of_user(&mut connection, user_id, engine.limits().page_rows_max).await?;
    let read: Arc<[Membership]> = rows.into();
    credentials.remember_memberships(user_id, &read, read_at, generation, engine.limits().key_cache_entries_max);
    Ok(read)
}
