//! Statements about sessions of operators.

use tollgate_rules::time::Timestamp;

use super::OperatorSession;
use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &LIVE, &SET_SEEN, &END, &FORGET];

/// A session that begins.
#[derive(Debug)]
pub(super) struct New {
    pub(super) session_id: String,
    pub(super) secret_hash: String,
    pub(super) label: String,
    pub(super) email: Option<String>,
    pub(super) now: Timestamp,
    pub(super) authenticated_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

const INSERT: Statement = Statement::new(
    "operators.insert_session",
    "INSERT INTO operator_sessions (session_id, secret_hash, label, email, created_at, last_seen_at, authenticated_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
);

pub(super) async fn insert(tx: &mut Tx, new: &New) -> Result<(), Error> {
    let args = [
        new.session_id.as_str().into(),
        new.secret_hash.as_str().into(),
        new.label.as_str().into(),
        new.email.as_deref().into(),
        new.now.into(),
        new.authenticated_at.into(),
        new.expires_at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const LIVE: Statement = Statement::new(
    "operators.live_session",
    "SELECT session_id, label, email, last_seen_at, authenticated_at, expires_at
     FROM operator_sessions
     WHERE secret_hash = $1 AND ended_at IS NULL",
);

/// The session with this secret that nobody ended, and when it was seen last.
pub(super) async fn live(
    connection: &mut Connection,
    secret_hash: &str,
) -> Result<Option<(OperatorSession, Timestamp)>, Error> {
    let Some(row) = connection.optional(&LIVE, &[secret_hash.into()]).await? else { return Ok(None) };
    let session = OperatorSession {
        session_id: row.text("session_id")?,
        label: row.text("label")?,
        email: row.opt_text("email")?,
        authenticated_at: row.time("authenticated_at")?,
        expires_at: row.time("expires_at")?,
    };
    Ok(Some((session, row.time("last_seen_at")?)))
}

const SET_SEEN: Statement = Statement::new(
    "operators.set_seen",
    "UPDATE operator_sessions SET last_seen_at = $2 WHERE session_id = $1 AND last_seen_at < $2",
);

pub(super) async fn set_seen(tx: &mut Tx, session_id: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SET_SEEN, &[session_id.into(), at.into()]).await.map(|_| ())
}

const END: Statement = Statement::new(
    "operators.end_session",
    "UPDATE operator_sessions SET ended_at = $2 WHERE secret_hash = $1 AND ended_at IS NULL RETURNING session_id",
);

/// Ends a session; answers which, when it was not over.
pub(super) async fn end(tx: &mut Tx, secret_hash: &str, at: Timestamp) -> Result<Option<String>, Error> {
    let row = tx.optional(&END, &[secret_hash.into(), at.into()]).await?;
    row.map(|row| row.text("session_id")).transpose()
}

const FORGET: Statement = Statement::new(
    "operators.forget_sessions",
    "DELETE FROM operator_sessions
     WHERE session_id IN (SELECT session_id FROM operator_sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
);

/// Deletes sessions that ended before a moment.
pub(crate) async fn forget(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET, &[before.into(), rows.into()]).await
}
