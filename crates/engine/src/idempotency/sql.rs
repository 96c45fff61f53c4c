//! Statements about idempotency keys.

use tollgate_rules::time::Timestamp;

use super::{Stored, Ticket};
use crate::db::{Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &LOCK, &TAKE, &FINISH, &ABANDON, &DELETE_OLD];

/// A run that wants a key.
pub(super) struct NewRun<'a> {
    pub(super) org_key: i64,
    pub(super) actor: &'a str,
    pub(super) key: &'a str,
    pub(super) request_hash: &'a str,
    pub(super) lease_until: Timestamp,
    pub(super) at: Timestamp,
}

const INSERT: Statement = Statement::new(
    "idempotency.insert",
    "INSERT INTO idempotency_keys (org_key, actor, idempotency_key, request_hash, epoch, lease_until, created_at)
     VALUES ($1, $2, $3, $4, 1, $5, $6)
     ON CONFLICT (org_key, actor, idempotency_key) DO NOTHING",
);

/// False when the key is there already.
pub(super) async fn insert(tx: &mut Tx, run: &NewRun<'_>) -> Result<bool, Error> {
    let args = [
        run.org_key.into(),
        run.actor.into(),
        run.key.into(),
        run.request_hash.into(),
        run.lease_until.into(),
        run.at.into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

/// What is known about a key.
pub(super) struct Found {
    pub(super) request_hash: String,
    pub(super) answer: Option<Stored>,
    pub(super) epoch: i64,
    pub(super) lease_until: Timestamp,
}

const LOCK: Statement = Statement::split(
    "idempotency.lock",
    "SELECT request_hash, status, content_type, body, epoch, lease_until
     FROM idempotency_keys
     WHERE org_key = $1 AND actor = $2 AND idempotency_key = $3",
    "SELECT request_hash, status, content_type, body, epoch, lease_until
     FROM idempotency_keys
     WHERE org_key = $1 AND actor = $2 AND idempotency_key = $3
     FOR UPDATE",
);

pub(super) async fn lock(tx: &mut Tx, org_key: i64, actor: &str, key: &str) -> Result<Option<Found>, Error> {
    let row = tx.optional(&LOCK, &[org_key.into(), actor.into(), key.into()]).await?;
    row.as_ref().map(found).transpose()
}

fn found(row: &Row) -> Result<Found, Error> {
    let answer = match row.opt_i64("status")? {
        None => None,
        Some(status) => Some(Stored {
            status: u16::try_from(status).map_err(|_| Error::Bug("a stored status".to_owned()))?,
            content_type: row.opt_text("content_type")?.unwrap_or_default(),
            body: row.opt_text("body")?.unwrap_or_default(),
        }),
    };
    Ok(Found {
        request_hash: row.text("request_hash")?,
        answer,
        epoch: row.i64("epoch")?,
        lease_until: row.time("lease_until")?,
    })
}

const TAKE: Statement = Statement::new(
    "idempotency.take",
    "UPDATE idempotency_keys
     SET epoch = $4, lease_until = $5
     WHERE org_key = $1 AND actor = $2 AND idempotency_key = $3 AND status IS NULL",
);

pub(super) async fn take(tx: &mut Tx, run: &NewRun<'_>, epoch: i64) -> Result<(), Error> {
    let args = [run.org_key.into(), run.actor.into(), run.key.into(), epoch.into(), run.lease_until.into()];
    tx.execute(&TAKE, &args).await.map(|_| ())
}

const FINISH: Statement = Statement::new(
    "idempotency.finish",
    "UPDATE idempotency_keys
     SET status = $5, content_type = $6, body = $7
     WHERE org_key = $1 AND actor = $2 AND idempotency_key = $3 AND epoch = $4 AND status IS NULL",
);

pub(super) async fn finish(tx: &mut Tx, ticket: &Ticket, answer: &Stored) -> Result<(), Error> {
    let args = [
        ticket.owner.org_key.into(),
        ticket.owner.actor.as_str().into(),
        ticket.key.as_str().into(),
        ticket.epoch.into(),
        i64::from(answer.status).into(),
        answer.content_type.as_str().into(),
        answer.body.as_str().into(),
    ];
    tx.execute(&FINISH, &args).await.map(|_| ())
}

const ABANDON: Statement = Statement::new(
    "idempotency.abandon",
    "DELETE FROM idempotency_keys
     WHERE org_key = $1 AND actor = $2 AND idempotency_key = $3 AND epoch = $4 AND status IS NULL",
);

pub(super) async fn abandon(tx: &mut Tx, ticket: &Ticket) -> Result<(), Error> {
    let args = [
        ticket.owner.org_key.into(),
        ticket.owner.actor.as_str().into(),
        ticket.key.as_str().into(),
        ticket.epoch.into(),
    ];
    tx.execute(&ABANDON, &args).await.map(|_| ())
}

const DELETE_OLD: Statement = Statement::split(
    "idempotency.delete_old",
    "DELETE FROM idempotency_keys
     WHERE rowid IN (SELECT rowid FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
    "DELETE FROM idempotency_keys
     WHERE ctid IN (SELECT ctid FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
);

pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), limit.into()]).await
}
