//! Statements about outgoing webhooks.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use tollgate_rules::time::Timestamp;

use super::attempt::Due;
use super::render::Message;
use super::{DeliveryFilter, Endpoint, Listed, State};
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};
use crate::engine::Engine;
use crate::sealing::Sealer;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_ENDPOINT,
    &PUT_ENDPOINT,
    &ENDPOINTS,
    &ENDPOINT,
    &ENDPOINT_COUNT,
    &DELETE_DELIVERIES,
    &DELETE_ENDPOINT,
    &INSERT_MESSAGE,
    &UNSEQUENCED,
    &SEQUENCE_BEGIN,
    &SEQUENCE_LOCK,
    &SEQUENCE_MOVE,
    &NUMBER,
    &INSERT_DELIVERY,
    &DUE_ENDPOINTS,
    &NEXT_DUE,
    &DELIVERED,
    &FAILED,
    &DELIVERIES,
    &REVIVE_DEAD,
    &REVIVE_ONE,
    &MESSAGES_AFTER,
    &FORGET_DELIVERIES,
    &FORGET_MESSAGES,
];

/// What secrets are sealed for.
const PURPOSE: &str = "outgoing webhooks";

const INSERT_ENDPOINT: Statement = Statement::new(
    "outgoing.insert_endpoint",
    "INSERT INTO webhook_endpoints (endpoint_id, url, description, kinds, state, secret_sealed, former_secret_sealed,
       former_until, failing_since, held_until, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
);

pub(super) async fn insert_endpoint(tx: &mut Tx, engine: &Engine, endpoint: &Endpoint) -> Result<(), Error> {
    let mut args = columns(engine, endpoint).to_vec();
    args.insert(2, endpoint.description.as_deref().into());
    args.insert(10, endpoint.created_at.into());
    tx.execute(&INSERT_ENDPOINT, &args).await.map(drop)
}

const PUT_ENDPOINT: Statement = Statement::new(
    "outgoing.put_endpoint",
    "UPDATE webhook_endpoints
     SET url = $2, kinds = $3, state = $4, secret_sealed = $5, former_secret_sealed = $6, former_until = $7,
       failing_since = $8, held_until = $9, updated_at = $10
     WHERE endpoint_id = $1",
);

/// Overwrites an endpoint.
pub(super) async fn put_endpoint(tx: &mut Tx, engine: &Engine, endpoint: &Endpoint) -> Result<(), Error> {
    tx.execute(&PUT_ENDPOINT, &columns(engine, endpoint)).await.map(drop)
}

fn columns(engine: &Engine, endpoint: &Endpoint) -> [Arg; 10] {
    let entropy = &engine.clock().entropy;
    let sealed = |secret: &SecretString| {
        engine.sealer().seal(entropy, PURPOSE, &endpoint.endpoint_id, secret.expose_secret().as_bytes())
    };
    let former = endpoint.former.as_ref().map(|(secret, _)| sealed(secret));
    [
        endpoint.endpoint_id.as_str().into(),
        endpoint.url.as_str().into(),
        Value::from(endpoint.kinds.clone()).to_string().into(),
        endpoint.state.as_str().into(),
        sealed(&endpoint.secret).into(),
        former.into(),
        endpoint.former.as_ref().map(|(_, until)| *until).into(),
        endpoint.failing_since.into(),
        endpoint.held_until.into(),
        engine.now().into(),
    ]
}

const ENDPOINTS: Statement = Statement::new(
    "outgoing.endpoints",
    "SELECT endpoint_id, url, description, kinds, state, secret_sealed, former_secret_sealed, former_until, failing_since,
       held_until, created_at
     FROM webhook_endpoints
     ORDER BY created_at DESC, endpoint_id DESC
     LIMIT 1000",
);

/// Every endpoint, newest first.
pub(super) async fn endpoints(connection: &mut Connection, sealer: &Sealer) -> Result<Vec<Endpoint>, Error> {
    connection.all(&ENDPOINTS, &[]).await?.iter().map(|row| endpoint_of(row, sealer)).collect()
}

const ENDPOINT: Statement = Statement::new(
    "outgoing.endpoint",
    "SELECT endpoint_id, url, description, kinds, state, secret_sealed, former_secret_sealed, former_until, failing_since,
       held_until, created_at
     FROM webhook_endpoints
     WHERE endpoint_id = $1",
);

/// One endpoint.
pub(super) async fn endpoint(
    connection: &mut Connection,
    sealer: &Sealer,
    endpoint_id: &str,
) -> Result<Option<Endpoint>, Error> {
    let row = connection.optional(&ENDPOINT, &[endpoint_id.into()]).await?;
    row.map(|row| endpoint_of(&row, sealer)).transpose()
}

fn endpoint_of(row: &Row, sealer: &Sealer) -> Result<Endpoint, Error> {
    let endpoint_id = row.text("endpoint_id")?;
    let opened = |sealed: &str| {
        let bytes = sealer.open(PURPOSE, &endpoint_id, sealed).and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.map(SecretString::from).ok_or_else(|| Error::Bug("a webhook secret does not open".to_owned()))
    };
    let former = match (row.opt_text("former_secret_sealed")?, row.opt_i64("former_until")?) {
        (Some(sealed), Some(until)) => Some((opened(&sealed)?, Timestamp::from_micros(until))),
        _ => None,
    };
    let kinds = serde_json::from_str(&row.text("kinds")?).map_err(|error| Error::Bug(format!("kinds: {error}")))?;
    Ok(Endpoint {
        url: row.text("url")?,
        description: row.opt_text("description")?,
        kinds,
        state: if row.text("state")? == State::Enabled.as_str() { State::Enabled } else { State::Disabled },
        secret: opened(&row.text("secret_sealed")?)?,
        former,
        failing_since: row.opt_i64("failing_since")?.map(Timestamp::from_micros),
        held_until: row.time("held_until")?,
        created_at: row.time("created_at")?,
        endpoint_id,
    })
}

const ENDPOINT_COUNT: Statement =
    Statement::new("outgoing.endpoint_count", "SELECT COUNT(*) AS endpoints FROM webhook_endpoints");

pub(super) async fn endpoint_count(connection: &mut Connection) -> Result<i64, Error> {
    connection.one(&ENDPOINT_COUNT, &[]).await?.i64("endpoints")
}

const DELETE_DELIVERIES: Statement =
    Statement::new("outgoing.delete_deliveries", "DELETE FROM webhook_deliveries WHERE endpoint_id = $1");
const DELETE_ENDPOINT: Statement =
    Statement::new("outgoing.delete_endpoint", "DELETE FROM webhook_endpoints WHERE endpoint_id = $1");

/// Deletes an endpoint and what is on its way to it.
pub(super) async fn delete_endpoint(tx: &mut Tx, endpoint_id: &str) -> Result<(), Error> {
    tx.execute(&DELETE_DELIVERIES, &[endpoint_id.into()]).await?;
    tx.execute(&DELETE_ENDPOINT, &[endpoint_id.into()]).await.map(drop)
}

/// A message as it is stored first.
#[derive(Debug)]
pub(super) struct NewMessage<'a> {
    pub(super) message_id: &'a str,
    pub(super) kind: &'a str,
    pub(super) org_key: i64,
    pub(super) data: &'a str,
}

const INSERT_MESSAGE: Statement = Statement::new(
    "outgoing.insert_message",
    "INSERT INTO webhook_messages (message_id, kind, org_key, data, created_at)
     VALUES ($1, $2, $3, $4, $5)",
);

pub(super) async fn insert_message(tx: &mut Tx, new: &NewMessage<'_>, now: Timestamp) -> Result<(), Error> {
    let args = [new.message_id.into(), new.kind.into(), new.org_key.into(), new.data.into(), now.into()];
    tx.execute(&INSERT_MESSAGE, &args).await.map(drop)
}

const UNSEQUENCED: Statement = Statement::new(
    "outgoing.unsequenced",
    "SELECT message_id, kind
     FROM webhook_messages
     WHERE sequence IS NULL
     ORDER BY created_at, message_id
     LIMIT $1",
);

/// Messages without a sequence, oldest first: id and kind.
pub(super) async fn unsequenced(connection: &mut Connection, limit: i64) -> Result<Vec<(String, String)>, Error> {
    let rows = connection.all(&UNSEQUENCED, &[limit.into()]).await?;
    rows.iter().map(|row| Ok((row.text("message_id")?, row.text("kind")?))).collect()
}

const SEQUENCE_BEGIN: Statement = Statement::new(
    "outgoing.sequence_begin",
    "INSERT INTO webhook_sequence (name, last) VALUES ('messages', 0) ON CONFLICT (name) DO NOTHING",
);
const SEQUENCE_LOCK: Statement = Statement::split(
    "outgoing.sequence_lock",
    "SELECT last FROM webhook_sequence WHERE name = 'messages'",
    "SELECT last FROM webhook_sequence WHERE name = 'messages' FOR UPDATE",
);

/// The last sequence given, locked until the transaction ends.
pub(super) async fn last_sequence(tx: &mut Tx) -> Result<i64, Error> {
    tx.execute(&SEQUENCE_BEGIN, &[]).await?;
    tx.one(&SEQUENCE_LOCK, &[]).await?.i64("last")
}

const SEQUENCE_MOVE: Statement =
    Statement::new("outgoing.sequence_move", "UPDATE webhook_sequence SET last = $1 WHERE name = 'messages'");

pub(super) async fn move_sequence(tx: &mut Tx, last: i64) -> Result<(), Error> {
    tx.execute(&SEQUENCE_MOVE, &[last.into()]).await.map(drop)
}

const NUMBER: Statement = Statement::new(
    "outgoing.number",
    "UPDATE webhook_messages SET sequence = $2 WHERE message_id = $1 AND sequence IS NULL",
);

pub(super) async fn number(tx: &mut Tx, message_id: &str, sequence: i64) -> Result<(), Error> {
    tx.execute(&NUMBER, &[message_id.into(), sequence.into()]).await.map(drop)
}

const INSERT_DELIVERY: Statement = Statement::new(
    "outgoing.insert_delivery",
    "INSERT INTO webhook_deliveries (endpoint_id, sequence, state, attempts, run_at)
     VALUES ($1, $2, 'pending', 0, $3)",
);

pub(super) async fn insert_delivery(
    tx: &mut Tx,
    endpoint_id: &str,
    sequence: i64,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(&INSERT_DELIVERY, &[endpoint_id.into(), sequence.into(), now.into()]).await.map(drop)
}

const DUE_ENDPOINTS: Statement = Statement::new(
    "outgoing.due_endpoints",
    "SELECT e.endpoint_id
     FROM webhook_endpoints e
     WHERE e.state = 'enabled' AND e.held_until <= $1
       AND EXISTS (
         SELECT 1
         FROM webhook_deliveries d
         WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.run_at <= $1)
     ORDER BY e.endpoint_id
     LIMIT 1000",
);

/// Endpoints with a delivery that is due.
pub(super) async fn due_endpoints(connection: &mut Connection, now: Timestamp) -> Result<Vec<String>, Error> {
    let rows = connection.all(&DUE_ENDPOINTS, &[now.into()]).await?;
    rows.iter().map(|row| row.text("endpoint_id")).collect()
}

const NEXT_DUE: Statement = Statement::new(
    "outgoing.next_due",
    "SELECT d.attempts, m.message_id, m.sequence, m.kind, m.data, m.created_at, o.org_id
     FROM webhook_deliveries d
     JOIN webhook_messages m ON m.sequence = d.sequence
     LEFT JOIN organizations o ON o.org_key = m.org_key
     WHERE d.endpoint_id = $1 AND d.state = 'pending' AND d.run_at <= $2
     ORDER BY d.sequence
     LIMIT 1",
);

/// The delivery of an endpoint that is due, lowest sequence first.
pub(super) async fn next_due(
    connection: &mut Connection,
    endpoint_id: &str,
    now: Timestamp,
) -> Result<Option<Due>, Error> {
    let row = connection.optional(&NEXT_DUE, &[endpoint_id.into(), now.into()]).await?;
    row.map(|row| Ok(Due { message: message_of(&row)?, attempts: row.i64("attempts")? })).transpose()
}

fn message_of(row: &Row) -> Result<Message, Error> {
    let data = serde_json::from_str(&row.text("data")?).map_err(|error| Error::Bug(format!("message: {error}")))?;
    Ok(Message {
        message_id: row.text("message_id")?,
        sequence: row.i64("sequence")?,
        kind: row.text("kind")?,
        org_id: row.opt_text("org_id")?,
        data,
        created_at: row.time("created_at")?,
    })
}

const DELIVERED: Statement = Statement::new(
    "outgoing.delivered",
    "UPDATE webhook_deliveries
     SET state = 'done', attempts = attempts + 1, last_status = $3, last_error = NULL, ended_at = $4
     WHERE endpoint_id = $1 AND sequence = $2 AND state = 'pending'",
);

pub(super) async fn delivered(
    tx: &mut Tx,
    (endpoint_id, sequence): (&str, i64),
    status: i64,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(&DELIVERED, &[endpoint_id.into(), sequence.into(), status.into(), now.into()]).await.map(drop)
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failed<'a> {
    pub(super) status: Option<i64>,
    pub(super) error: &'a str,
    /// It was the last one.
    pub(super) dead: bool,
    pub(super) run_at: Timestamp,
    pub(super) now: Timestamp,
}

const FAILED: Statement = Statement::new(
    "outgoing.failed",
    "UPDATE webhook_deliveries
     SET state = CASE WHEN $3 = 1 THEN 'dead' ELSE 'pending' END, attempts = attempts + 1, run_at = $4, last_status = $5,
       last_error = $6, ended_at = CASE WHEN $3 = 1 THEN CAST($7 AS BIGINT) ELSE NULL END
     WHERE endpoint_id = $1 AND sequence = $2 AND state = 'pending'",
);

pub(super) async fn failed(
    tx: &mut Tx,
    (endpoint_id, sequence): (&str, i64),
    failed: &Failed<'_>,
) -> Result<(), Error> {
    let args = [
        endpoint_id.into(),
        sequence.into(),
        i64::from(failed.dead).into(),
        failed.run_at.into(),
        failed.status.into(),
        failed.error.into(),
        failed.now.into(),
    ];
    tx.execute(&FAILED, &args).await.map(drop)
}

const DELIVERIES: Statement = Statement::new(
    "outgoing.deliveries",
    "SELECT d.sequence, m.message_id, m.kind, d.state, d.attempts, d.run_at, d.last_status, d.last_error, d.ended_at
     FROM webhook_deliveries d
     JOIN webhook_messages m ON m.sequence = d.sequence
     WHERE d.endpoint_id = $1
       AND (CAST($2 AS TEXT) IS NULL OR d.state = $2)
       AND (CAST($3 AS BIGINT) IS NULL OR d.sequence < $3)
     ORDER BY d.sequence DESC
     LIMIT $4",
);

pub(super) async fn deliveries(
    connection: &mut Connection,
    filter: &DeliveryFilter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let args = [filter.endpoint_id.as_str().into(), filter.state.as_deref().into(), before.into(), limit.into()];
    connection.all(&DELIVERIES, &args).await?.iter().map(listed).collect()
}

fn listed(row: &Row) -> Result<Listed, Error> {
    Ok(Listed {
        sequence: row.i64("sequence")?,
        message_id: row.text("message_id")?,
        kind: row.text("kind")?,
        state: row.text("state")?,
        attempts: row.i64("attempts")?,
        run_at: row.time("run_at")?,
        last_status: row.opt_i64("last_status")?,
        last_error: row.opt_text("last_error")?,
        ended_at: row.opt_i64("ended_at")?.map(Timestamp::from_micros),
    })
}

const REVIVE_DEAD: Statement = Statement::new(
    "outgoing.revive_dead",
    "UPDATE webhook_deliveries
     SET state = 'pending', attempts = 0, run_at = $2, ended_at = NULL
     WHERE endpoint_id = $1 AND state = 'dead'",
);

pub(super) async fn revive_dead(tx: &mut Tx, endpoint_id: &str, now: Timestamp) -> Result<u64, Error> {
    tx.execute(&REVIVE_DEAD, &[endpoint_id.into(), now.into()]).await
}

const REVIVE_ONE: Statement = Statement::new(
    "outgoing.revive_one",
    "UPDATE webhook_deliveries
     SET state = 'pending', attempts = 0, run_at = $3, ended_at = NULL
     WHERE endpoint_id = $1 AND sequence = $2",
);

pub(super) async fn revive_one(
    tx: &mut Tx,
    (endpoint_id, sequence): (&str, i64),
    now: Timestamp,
) -> Result<u64, Error> {
    tx.execute(&REVIVE_ONE, &[endpoint_id.into(), sequence.into(), now.into()]).await
}

const MESSAGES_AFTER: Statement = Statement::new(
    "outgoing.messages_after",
    "SELECT m.message_id, m.sequence, m.kind, m.data, m.created_at, o.org_id
     FROM webhook_messages m
     LEFT JOIN organizations o ON o.org_key = m.org_key
     WHERE m.sequence > $1
     ORDER BY m.sequence
     LIMIT $2",
);

pub(super) async fn messages_after(connection: &mut Connection, after: i64, limit: i64) -> Result<Vec<Message>, Error> {
    connection.all(&MESSAGES_AFTER, &[after.into(), limit.into()]).await?.iter().map(message_of).collect()
}

const FORGET_DELIVERIES: Statement = Statement::new(
    "outgoing.forget_deliveries",
    "DELETE FROM webhook_deliveries
     WHERE sequence IN (
       SELECT sequence
       FROM webhook_messages
       WHERE created_at < $1 AND sequence IS NOT NULL
       ORDER BY created_at
       LIMIT $2)",
);
const FORGET_MESSAGES: Statement = Statement::new(
    "outgoing.forget_messages",
    "DELETE FROM webhook_messages
     WHERE message_id IN (
       SELECT message_id
       FROM webhook_messages
       WHERE created_at < $1 AND sequence IS NOT NULL
       ORDER BY created_at
       LIMIT $2)",
);

/// Deletes messages made before `before` with their deliveries; the retention of the tables.
pub(crate) async fn forget_old(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_DELIVERIES, &[before.into(), limit.into()]).await?;
    tx.execute(&FORGET_MESSAGES, &[before.into(), limit.into()]).await
}
