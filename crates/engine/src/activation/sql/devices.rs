//! Statements about plugins that wait for approval.

use std::time::Duration;

use tollgate_rules::access::Scope;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use crate::access::OrgScope;
use crate::activation::device::{Decision, Device};
use crate::activation::{read_words, words};
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &WAITING, &PENDING, &LOCK, &NOTE_POLL, &DECIDE, &SET_USED, &FORGET];

/// A plugin that begins to wait.
#[derive(Debug)]
pub(in crate::activation) struct New {
    pub(in crate::activation) device_hash: String,
    pub(in crate::activation) user_hash: String,
    pub(in crate::activation) domain: String,
    pub(in crate::activation) scopes: Vec<Scope>,
    pub(in crate::activation) asked_from: Option<String>,
    pub(in crate::activation) now: Timestamp,
    pub(in crate::activation) expires_at: Timestamp,
    pub(in crate::activation) interval: Duration,
}

const INSERT: Statement = Statement::new(
    "activation.insert_device",
    "INSERT INTO device_codes (device_hash, user_hash, domain, scopes, asked_from, created_at, expires_at, interval_seconds, state)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')",
);

pub(in crate::activation) async fn insert(tx: &mut Tx, new: &New) -> Result<(), Error> {
    let args = [
        new.device_hash.as_str().into(),
        new.user_hash.as_str().into(),
        new.domain.as_str().into(),
        words(&new.scopes).into(),
        new.asked_from.as_deref().into(),
        new.now.into(),
        new.expires_at.into(),
        seconds(new.interval).into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

/// How many wait.
pub(in crate::activation) struct Waiting {
    pub(in crate::activation) all: i64,
    pub(in crate::activation) from_address: i64,
}

const WAITING: Statement = Statement::new(
    "activation.devices_waiting",
    "SELECT COUNT(*) AS found, COUNT(CASE WHEN asked_from = $2 THEN 1 END) AS from_address
     FROM device_codes
     WHERE expires_at > $1 AND state = 'pending'",
);

/// How many wait at a moment: all, and those that asked from one address.
pub(in crate::activation) async fn waiting(
    tx: &mut Tx,
    now: Timestamp,
    address: Option<&str>,
) -> Result<Waiting, Error> {
    let row = tx.one(&WAITING, &[now.into(), address.into()]).await?;
    Ok(Waiting { all: row.i64("found")?, from_address: row.i64("from_address")? })
}

const PENDING: Statement = Statement::new(
    "activation.pending_device",
    "SELECT domain, asked_from, scopes, created_at, expires_at
     FROM device_codes
     WHERE user_hash = $1 AND state = 'pending' AND expires_at > $2",
);

/// The plugin that waits with a user code.
pub(in crate::activation) async fn pending(
    connection: &mut Connection,
    user_hash: &str,
    now: Timestamp,
) -> Result<Option<Device>, Error> {
    let row = connection.optional(&PENDING, &[user_hash.into(), now.into()]).await?;
    let read = |row: Row| {
        Ok(Device {
            domain: row.text("domain")?,
            asked_from: row.opt_text("asked_from")?,
            scopes: read_words(&row.text("scopes")?),
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    row.map(read).transpose()
}

/// Where a plugin is on its way.
#[derive(Debug, Clone, Copy)]
pub(in crate::activation) enum State {
    Pending,
    Approved(OrgKey),
    Denied,
    Used,
}

/// A plugin under its lock.
#[derive(Debug)]
pub(in crate::activation) struct Locked {
    pub(in crate::activation) state: State,
    pub(in crate::activation) domain: String,
    pub(in crate::activation) scopes: Vec<Scope>,
    pub(in crate::activation) expires_at: Timestamp,
    pub(in crate::activation) polled_at: Option<Timestamp>,
    pub(in crate::activation) interval: Duration,
}

const LOCK: Statement = Statement::split(
    "activation.lock_device",
    "SELECT domain, scopes, expires_at, polled_at, interval_seconds, state, org_key
     FROM device_codes
     WHERE device_hash = $1",
    "SELECT domain, scopes, expires_at, polled_at, interval_seconds, state, org_key
     FROM device_codes
     WHERE device_hash = $1
     FOR UPDATE",
);

/// The plugin with a device code, locked until the transaction ends.
pub(in crate::activation) async fn lock(tx: &mut Tx, device_hash: &str) -> Result<Option<Locked>, Error> {
    let Some(row) = tx.optional(&LOCK, &[device_hash.into()]).await? else { return Ok(None) };
    let state = match (row.text("state")?.as_str(), row.opt_i64("org_key")?) {
        ("pending", _) => State::Pending,
        ("approved", Some(org_key)) => State::Approved(OrgKey(org_key)),
        ("denied", _) => State::Denied,
        ("used", _) => State::Used,
        (other, _) => return Err(Error::Bug(format!("a device cannot be {other}"))),
    };
    Ok(Some(Locked {
        state,
        domain: row.text("domain")?,
        scopes: read_words(&row.text("scopes")?),
        expires_at: row.time("expires_at")?,
        polled_at: row.opt_time("polled_at")?,
        interval: Duration::from_secs(u64::try_from(row.i64("interval_seconds")?).unwrap_or(0)),
    }))
}

const NOTE_POLL: Statement = Statement::new(
    "activation.note_poll",
    "UPDATE device_codes SET polled_at = $2, interval_seconds = $3 WHERE device_hash = $1",
);

/// Remembers when a plugin asked, and how long it must wait until it asks again.
pub(in crate::activation) async fn note_poll(
    tx: &mut Tx,
    device_hash: &str,
    at: Timestamp,
    interval: Duration,
) -> Result<(), Error> {
    tx.execute(&NOTE_POLL, &[device_hash.into(), at.into(), seconds(interval).into()]).await.map(|_| ())
}

const DECIDE: Statement = Statement::new(
    "activation.decide_device",
    "UPDATE device_codes
     SET state = $3, org_key = $2, decided_at = $4
     WHERE user_hash = $1 AND state = 'pending' AND expires_at > $4",
);

/// Decides about a plugin that still waits; false when it does not.
pub(in crate::activation) async fn decide(
    tx: &mut Tx,
    scope: &OrgScope,
    (user_hash, decision): (&str, Decision),
    at: Timestamp,
) -> Result<bool, Error> {
    let state = match decision {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
    };
    let args = [user_hash.into(), scope.org_key().0.into(), state.into(), at.into()];
    Ok(tx.execute(&DECIDE, &args).await? == 1)
}

const SET_USED: Statement =
    Statement::new("activation.set_device_used", "UPDATE device_codes SET state = 'used' WHERE device_hash = $1");

/// A plugin got its tokens.
pub(in crate::activation) async fn set_used(tx: &mut Tx, device_hash: &str) -> Result<(), Error> {
    tx.execute(&SET_USED, &[device_hash.into()]).await.map(|_| ())
}

const FORGET: Statement = Statement::new(
    "activation.forget_devices",
    "DELETE FROM device_codes
     WHERE device_hash IN (SELECT device_hash FROM device_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
);

/// Deletes plugins that ended to wait before a moment.
pub(crate) async fn forget(tx: &mut Tx, before: Timestamp, rows: i64) -> Result<u64, Error> {
    tx.execute(&FORGET, &[before.into(), rows.into()]).await
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
