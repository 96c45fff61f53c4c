//! Statements about sessions.

use tollgate_rules::ids::{OrgKey, UserId};
use tollgate_rules::time::Timestamp;

use crate::access::Session;
use crate::accounts::Device;
use crate::clock::hex;
use crate::db::{Connection, Error, Row, Statement, Tx};
use crate::secrets::Fingerprint;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &BY_HASH,
    &LIVE,
    &LOCK,
    &INSERT,
    &END_OLDEST,
    &ROTATE,
    &OF_USER,
    &END,
    &END_ALL,
    &SEEN,
    &SET_ORG,
    &SET_SECOND_FACTOR,
    &DELETE_OLD,
];

/// A session that did not end.
pub(crate) struct Live {
    pub(crate) user_id: UserId,
    pub(crate) session: Session,
    pub(crate) generation: i64,
    pub(crate) rotated_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

const BY_HASH: Statement = Statement::new(
    "sessions.by_hash",
    "SELECT s.session_id, s.user_id, s.generation, s.rotated_at, s.active_org_key, s.authenticated_at, s.second_factor_at,
            s.last_seen_at, s.expires_at
     FROM user_sessions s
     JOIN users u ON u.user_id = s.user_id
     WHERE s.secret_hash = $1 AND s.kind = 'cookie' AND s.ended_at IS NULL AND u.status = 'active'",
);

/// The one look-up by a cookie: it finds out who calls.
pub(crate) async fn by_hash(connection: &mut Connection, secret: &Fingerprint) -> Result<Option<Live>, Error> {
    let row = connection.optional(&BY_HASH, &[hex(secret).into()]).await?;
    row.as_ref().map(live_row).transpose()
}

const LIVE: Statement = Statement::new(
    "sessions.live",
    "SELECT s.session_id, s.user_id, s.generation, s.rotated_at, s.active_org_key, s.authenticated_at, s.second_factor_at,
            s.last_seen_at, s.expires_at
     FROM user_sessions s
     JOIN users u ON u.user_id = s.user_id
     WHERE s.session_id = $1 AND s.kind = 'token' AND s.ended_at IS NULL AND u.status = 'active'",
);

/// The session of an access token.
pub(crate) async fn live(connection: &mut Connection, session_id: &str) -> Result<Option<Live>, Error> {
    let row = connection.optional(&LIVE, &[session_id.into()]).await?;
    row.as_ref().map(live_row).transpose()
}

const LOCK: Statement = Statement::split(
    "sessions.lock",
    "SELECT session_id, user_id, generation, rotated_at, active_org_key, authenticated_at, second_factor_at,
            last_seen_at, expires_at
     FROM user_sessions
     WHERE session_id = $1 AND kind = 'token' AND ended_at IS NULL",
    "SELECT session_id, user_id, generation, rotated_at, active_org_key, authenticated_at, second_factor_at,
            last_seen_at, expires_at
     FROM user_sessions
     WHERE session_id = $1 AND kind = 'token' AND ended_at IS NULL
     FOR UPDATE",
);

/// The same, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, session_id: &str) -> Result<Option<Live>, Error> {
    let row = tx.optional(&LOCK, &[session_id.into()]).await?;
    row.as_ref().map(live_row).transpose()
}

const INSERT: Statement = Statement::new(
    "sessions.insert",
    "INSERT INTO user_sessions (session_id, user_id, kind, secret_hash, generation, rotated_at, device, authenticated_at,
                                second_factor_at, created_at, last_seen_at, expires_at)
     VALUES ($1, $2, $3, $4, 0, $7, $5, $7, $6, $7, $7, $8)",
);

/// A session that begins.
pub(crate) struct New<'a> {
    pub(crate) session_id: &'a str,
    pub(crate) user_id: &'a UserId,
    pub(crate) kind: &'static str,
    pub(crate) secret_hash: Option<String>,
    pub(crate) device: String,
    pub(crate) second_factor_at: Option<Timestamp>,
    pub(crate) at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

pub(crate) async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<(), Error> {
    let args = [
        new.session_id.into(),
        new.user_id.as_str().into(),
        new.kind.into(),
        new.secret_hash.clone().into(),
        new.device.as_str().into(),
        new.second_factor_at.into(),
        new.at.into(),
        new.expires_at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const END_OLDEST: Statement = Statement::new(
    "sessions.end_oldest",
    "UPDATE user_sessions SET ended_at = $3
     WHERE user_id = $1 AND ended_at IS NULL AND session_id NOT IN (
       SELECT session_id FROM user_sessions WHERE user_id = $1 AND ended_at IS NULL ORDER BY session_id DESC LIMIT $2)",
);

/// Ends what is more than a user may have.
pub(crate) async fn end_oldest(tx: &mut Tx, user_id: &UserId, keep: i64, at: Timestamp) -> Result<(), Error> {
    tx.execute(&END_OLDEST, &[user_id.as_str().into(), keep.into(), at.into()]).await.map(|_| ())
}

const ROTATE: Statement = Statement::new(
    "sessions.rotate",
    "UPDATE user_sessions SET generation = generation + 1, rotated_at = $2, last_seen_at = $2 WHERE session_id = $1",
);

/// The next generation of refresh tokens.
pub(crate) async fn rotate(tx: &mut Tx, session_id: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&ROTATE, &[session_id.into(), at.into()]).await.map(|_| ())
}

const OF_USER: Statement = Statement::new(
    "sessions.of_user",
    "SELECT session_id, device, created_at, last_seen_at, expires_at
     FROM user_sessions
     WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2
     ORDER BY session_id DESC
     LIMIT $3",
);

pub(crate) async fn of_user(
    connection: &mut Connection,
    user_id: &UserId,
    wall: Timestamp,
    limit: i64,
) -> Result<Vec<Device>, Error> {
    let rows = connection.all(&OF_USER, &[user_id.as_str().into(), wall.into(), limit.into()]).await?;
    let device = |row: &Row| {
        Ok(Device {
            session_id: row.text("session_id")?,
            device: row.text("device")?,
            created_at: row.time("created_at")?,
            last_seen_at: row.time("last_seen_at")?,
            expires_at: row.time("expires_at")?,
            current: false,
        })
    };
    rows.iter().map(device).collect()
}

const END: Statement = Statement::new(
    "sessions.end",
    "UPDATE user_sessions SET ended_at = $3 WHERE session_id = $2 AND user_id = $1 AND ended_at IS NULL",
);

/// Whether a session of this user ended now.
pub(crate) async fn end(tx: &mut Tx, user_id: &UserId, session_id: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&END, &[user_id.as_str().into(), session_id.into(), at.into()]).await? == 1)
}

const END_ALL: Statement = Statement::new(
    "sessions.end_all",
    "UPDATE user_sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL",
);

pub(crate) async fn end_all(tx: &mut Tx, user_id: &UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&END_ALL, &[user_id.as_str().into(), at.into()]).await.map(|_| ())
}

const SEEN: Statement = Statement::new(
    "sessions.seen",
    "UPDATE user_sessions SET last_seen_at = $2 WHERE session_id = $1 AND last_seen_at < $2",
);

pub(crate) async fn seen(tx: &mut Tx, session_id: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SEEN, &[session_id.into(), at.into()]).await.map(|_| ())
}

const SET_ORG: Statement =
    Statement::new("sessions.set_org", "UPDATE user_sessions SET active_org_key = $2 WHERE session_id = $1");

pub(crate) async fn set_org(tx: &mut Tx, session_id: &str, org_key: OrgKey) -> Result<(), Error> {
    tx.execute(&SET_ORG, &[session_id.into(), org_key.0.into()]).await.map(|_| ())
}

const SET_SECOND_FACTOR: Statement = Statement::new(
    "sessions.set_second_factor",
    "UPDATE user_sessions SET second_factor_at = $2 WHERE session_id = $1",
);

pub(crate) async fn set_second_factor(tx: &mut Tx, session_id: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SET_SECOND_FACTOR, &[session_id.into(), at.into()]).await.map(|_| ())
}

const DELETE_OLD: Statement = Statement::new(
    "sessions.delete_old",
    "DELETE FROM user_sessions WHERE session_id IN (
       SELECT session_id FROM user_sessions WHERE last_seen_at < $1 ORDER BY last_seen_at LIMIT $2)",
);

/// Forgets sessions not seen since `before`.
pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), rows.into()]).await
}

fn live_row(row: &Row) -> Result<Live, Error> {
    let user_id =
        UserId::parse(&row.text("user_id")?).map_err(|error| Error::Bug(format!("a stored user: {error}")))?;
    Ok(Live {
        user_id,
        session: Session {
            session_id: row.text("session_id")?,
            authenticated_at: row.time("authenticated_at")?,
            second_factor_at: row.opt_time("second_factor_at")?,
            active_org: row.opt_i64("active_org_key")?.map(OrgKey),
        },
        generation: row.i64("generation")?,
        rotated_at: row.time("rotated_at")?,
        last_seen_at: row.time("last_seen_at")?,
        expires_at: row.time("expires_at")?,
    })
}
