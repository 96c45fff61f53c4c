//! Statements about the inbox, leases and cursors.

use tollgate_connectors::billing::{EventHint, ObjectKind};
use tollgate_rules::ids::CustomerId;
use tollgate_rules::time::Timestamp;

use super::{Filter, InboxEvent, Outcome, State};
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT,
    &BY_EVENT,
    &DUE,
    &NEWEST_PENDING,
    &FINISH,
    &FAIL,
    &OPEN_COUNT,
    &LIST,
    &MATCHING,
    &REVIVE,
    &FORGET_OLD,
    &LEASE_TAKE,
    &LEASE_HOLD,
    &LEASE_RELEASE,
    &LEASE_FREE_ALL,
    &CURSOR_READ,
    &CURSOR_WRITE,
    &KNOWN,
];

/// Where a stored event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Webhook,
    Events,
    Sweep,
}

impl Origin {
    const fn as_str(self) -> &'static str {
        match self {
            Origin::Webhook => "webhook",
            Origin::Events => "events",
            Origin::Sweep => "sweep",
        }
    }
}

/// An event as it is stored first.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) hint: &'a EventHint,
    pub(crate) origin: Origin,
    pub(crate) payload: &'a str,
    /// `None`: to be processed; else done at once.
    pub(crate) outcome: Option<Outcome>,
    /// Wall time.
    pub(crate) now: Timestamp,
}

/// What has to be fetched and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub(crate) object_kind: &'static str,
    pub(crate) object_id: String,
    pub(crate) customer_id: Option<CustomerId>,
}

const INSERT: Statement = Statement::new(
    "inbox.insert",
    "INSERT INTO webhook_inbox (account, event_id, kind, object_kind, object_id, customer_id, source, payload,
       happened_at, received_at, state, outcome, attempts, run_at, processed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $10, $13)
     ON CONFLICT (account, event_id) DO NOTHING",
);

/// Stores an event; false when it is known already.
pub(crate) async fn insert(tx: &mut Tx, new: &NewEvent<'_>) -> Result<bool, Error> {
    let hint = new.hint;
    let state = if new.outcome.is_some() { State::Done } else { State::Pending };
    let args: [Arg; 13] = [
        hint.account.as_str().into(),
        hint.event_id.as_str().into(),
        hint.kind.as_str().into(),
        object_word(hint.object.kind).into(),
        hint.object.id.as_str().into(),
        hint.customer_id.as_ref().map(CustomerId::as_str).into(),
        new.origin.as_str().into(),
        new.payload.into(),
        hint.created.into(),
        new.now.into(),
        state.as_str().into(),
        new.outcome.map(Outcome::as_str).into(),
        new.outcome.map(|_| new.now).into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

const KNOWN: Statement = Statement::new(
    "inbox.known",
    "SELECT COUNT(*) AS known
     FROM webhook_inbox
     WHERE account = $1 AND event_id = $2",
);

/// Whether an event is stored.
pub(crate) async fn known(connection: &mut Connection, hint: &EventHint) -> Result<bool, Error> {
    let args = [hint.account.as_str().into(), hint.event_id.as_str().into()];
    Ok(connection.one(&KNOWN, &args).await?.i64("known")? > 0)
}

const BY_EVENT: Statement = Statement::new(
    "inbox.by_event",
    "SELECT inbox_id, object_kind, object_id, customer_id, state, attempts, last_error
     FROM webhook_inbox
     WHERE event_id = $1
     ORDER BY inbox_id DESC
     LIMIT 1",
);

/// The stored event with this id: what it is about, where it stands, and its last error.
pub(crate) async fn by_event(
    connection: &mut Connection,
    event_id: &str,
) -> Result<Option<(Work, State, Option<String>)>, Error> {
    let Some(row) = connection.optional(&BY_EVENT, &[event_id.into()]).await? else { return Ok(None) };
    Ok(Some((work(&row)?, state(&row)?, row.opt_text("last_error")?)))
}

const DUE: Statement = Statement::new(
    "inbox.due",
    "SELECT object_kind, object_id, MAX(customer_id) AS customer_id, MIN(run_at) AS first_run_at
     FROM webhook_inbox
     WHERE state = 'pending' AND run_at <= $1
     GROUP BY object_kind, object_id
     ORDER BY MIN(run_at), object_id
     LIMIT $2",
);

/// Objects that have events due at `now`, longest waiting first.
pub(crate) async fn due(connection: &mut Connection, now: Timestamp, limit: i64) -> Result<Vec<Work>, Error> {
    let rows = connection.all(&DUE, &[now.into(), limit.into()]).await?;
    rows.iter().map(work).collect()
}

const NEWEST_PENDING: Statement = Statement::new(
    "inbox.newest_pending",
    "SELECT inbox_id, event_id, attempts
     FROM webhook_inbox
     WHERE state = 'pending' AND object_id = $1 AND object_kind = $2
     ORDER BY inbox_id DESC
     LIMIT 1",
);

/// The newest event that waits for an object; those before it are covered by the same fetch.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) up_to: i64,
    pub(crate) event_id: String,
    pub(crate) attempts: i64,
}

/// What waits for an object; `None` when nothing does.
pub(crate) async fn newest_pending(connection: &mut Connection, work: &Work) -> Result<Option<Waiting>, Error> {
    let args = [work.object_id.as_str().into(), work.object_kind.into()];
    let Some(row) = connection.optional(&NEWEST_PENDING, &args).await? else { return Ok(None) };
    let (up_to, attempts) = (row.i64("inbox_id")?, row.i64("attempts")?);
    Ok(Some(Waiting { up_to, event_id: row.text("event_id")?, attempts }))
}

const FINISH: Statement = Statement::new(
    "inbox.finish",
    "UPDATE webhook_inbox
     SET state = 'done', outcome = $4, processed_at = $5, last_error = NULL
     WHERE state = 'pending' AND object_id = $1 AND object_kind = $2 AND inbox_id <= $3",
);

/// Marks the events of an object done, up to the one that was stored before its fetch began.
pub(crate) async fn finish(
    tx: &mut Tx,
    work: &Work,
    up_to: i64,
    outcome: Outcome,
    now: Timestamp,
) -> Result<u64, Error> {
    let args =
        [work.object_id.as_str().into(), work.object_kind.into(), up_to.into(), outcome.as_str().into(), now.into()];
    tx.execute(&FINISH, &args).await
}

const FAIL: Statement = Statement::new(
    "inbox.fail",
    "UPDATE webhook_inbox
     SET attempts = attempts + 1, last_error = $4, run_at = $5,
       state = CASE WHEN attempts + 1 >= $6 THEN 'dead' ELSE 'pending' END
     WHERE state = 'pending' AND object_id = $1 AND object_kind = $2 AND inbox_id <= $3",
);

/// A failed try of an object's events.
#[derive(Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) error: &'a str,
    pub(crate) run_at: Timestamp,
    pub(crate) attempts_max: i64,
}

/// Writes a failed try down; the last one makes dead letters.
pub(crate) async fn fail(tx: &mut Tx, work: &Work, up_to: i64, failed: &Failed<'_>) -> Result<u64, Error> {
    let args = [
        work.object_id.as_str().into(),
        work.object_kind.into(),
        up_to.into(),
        failed.error.into(),
        failed.run_at.into(),
        failed.attempts_max.into(),
    ];
    tx.execute(&FAIL, &args).await
}

const OPEN_COUNT: Statement = Statement::new(
    "inbox.open_count",
    "SELECT COUNT(*) AS waiting
     FROM webhook_inbox
     WHERE state = 'pending'",
);

/// How many events wait.
pub(crate) async fn open_count(connection: &mut Connection) -> Result<i64, Error> {
    connection.one(&OPEN_COUNT, &[]).await?.i64("waiting")
}

const LIST: Statement = Statement::new(
    "inbox.list",
    "SELECT inbox_id, event_id, kind, object_id, customer_id, source, happened_at, received_at, processed_at, state,
       outcome, attempts, last_error
     FROM webhook_inbox
     WHERE (CAST($1 AS TEXT) IS NULL OR state = $1)
       AND (CAST($2 AS TEXT) IS NULL OR kind = $2)
       AND (CAST($3 AS TEXT) IS NULL OR event_id = $3)
       AND (CAST($4 AS TEXT) IS NULL OR customer_id = $4)
       AND (CAST($5 AS BIGINT) IS NULL OR received_at >= $5)
       AND (CAST($6 AS BIGINT) IS NULL OR received_at < $6)
       AND (CAST($7 AS BIGINT) IS NULL OR inbox_id < $7)
     ORDER BY inbox_id DESC
     LIMIT $8",
);

/// Events that fit a filter, newest first.
pub(crate) async fn list(
    connection: &mut Connection,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<InboxEvent>, Error> {
    let mut args = filter_args(filter).to_vec();
    args.extend([before.into(), limit.into()]);
    connection.all(&LIST, &args).await?.iter().map(inbox_event).collect()
}

const MATCHING: Statement = Statement::new(
    "inbox.matching",
    "SELECT event_id, inbox_id
     FROM webhook_inbox
     WHERE object_kind <> 'other'
       AND (CAST($1 AS TEXT) IS NULL OR state = $1)
       AND (CAST($2 AS TEXT) IS NULL OR kind = $2)
       AND (CAST($3 AS TEXT) IS NULL OR event_id = $3)
       AND (CAST($4 AS TEXT) IS NULL OR customer_id = $4)
       AND (CAST($5 AS BIGINT) IS NULL OR received_at >= $5)
       AND (CAST($6 AS BIGINT) IS NULL OR received_at < $6)
       AND inbox_id > $7
     ORDER BY inbox_id
     LIMIT $8",
);

/// Ids of events that can be processed and fit a filter, oldest first, after the given row.
pub(crate) async fn matching(
    connection: &mut Connection,
    filter: &Filter,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, Error> {
    let mut args = filter_args(filter).to_vec();
    args.extend([after.into(), limit.into()]);
    let rows = connection.all(&MATCHING, &args).await?;
    rows.iter().map(|row| Ok((row.i64("inbox_id")?, row.text("event_id")?))).collect()
}

const REVIVE: Statement = Statement::new(
    "inbox.revive",
    "UPDATE webhook_inbox
     SET state = 'pending', outcome = NULL, attempts = 0, last_error = NULL, processed_at = NULL, run_at = $2
     WHERE event_id = $1 AND object_kind <> 'other'",
);

/// Makes an event pending again, whatever became of it.
pub(crate) async fn revive(tx: &mut Tx, event_id: &str, now: Timestamp) -> Result<u64, Error> {
    tx.execute(&REVIVE, &[event_id.into(), now.into()]).await
}

const FORGET_OLD: Statement = Statement::new(
    "inbox.forget_old",
    "DELETE FROM webhook_inbox
     WHERE inbox_id IN (
       SELECT inbox_id
       FROM webhook_inbox
       WHERE received_at < $1 AND state <> 'pending'
       ORDER BY inbox_id
       LIMIT $2)",
);

/// Deletes events received before `before` that are over; the retention of the table.
pub(crate) async fn forget_old(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&FORGET_OLD, &[before.into(), limit.into()]).await
}

const LEASE_TAKE: Statement = Statement::new(
    "inbox.lease_take",
    "INSERT INTO customer_leases (customer_id, epoch, lease_until)
     VALUES ($1, 1, $3)
     ON CONFLICT (customer_id) DO UPDATE
     SET epoch = customer_leases.epoch + 1, lease_until = excluded.lease_until
     WHERE customer_leases.lease_until <= $2
     RETURNING epoch",
);

/// Takes a customer's lease until `until` unless somebody's is good beyond `free_before`; the new epoch.
pub(crate) async fn lease_take(
    tx: &mut Tx,
    lane: &str,
    free_before: Timestamp,
    until: Timestamp,
) -> Result<Option<i64>, Error> {
    let row = tx.optional(&LEASE_TAKE, &[lane.into(), free_before.into(), until.into()]).await?;
    row.map(|row| row.i64("epoch")).transpose()
}

const LEASE_HOLD: Statement = Statement::split(
    "inbox.lease_hold",
    "SELECT epoch FROM customer_leases WHERE customer_id = $1",
    "SELECT epoch FROM customer_leases WHERE customer_id = $1 FOR UPDATE",
);

/// The epoch in force, locked until the transaction ends.
pub(crate) async fn lease_epoch(tx: &mut Tx, lane: &str) -> Result<Option<i64>, Error> {
    tx.optional(&LEASE_HOLD, &[lane.into()]).await?.map(|row| row.i64("epoch")).transpose()
}

const LEASE_RELEASE: Statement = Statement::new(
    "inbox.lease_release",
    "UPDATE customer_leases
     SET lease_until = 0
     WHERE customer_id = $1 AND epoch = $2",
);

/// Gives a lease back.
pub(crate) async fn lease_release(tx: &mut Tx, lane: &str, epoch: i64) -> Result<u64, Error> {
    tx.execute(&LEASE_RELEASE, &[lane.into(), epoch.into()]).await
}

const LEASE_FREE_ALL: Statement = Statement::new(
    "inbox.lease_free_all",
    "UPDATE customer_leases
     SET lease_until = 0
     WHERE lease_until > 0",
);

/// Ends every lease: only where no other process can hold one.
pub(crate) async fn lease_free_all(tx: &mut Tx) -> Result<u64, Error> {
    tx.execute(&LEASE_FREE_ALL, &[]).await
}

const CURSOR_READ: Statement =
    Statement::new("inbox.cursor_read", "SELECT position FROM billing_cursors WHERE name = $1");

/// How far something was read.
pub(crate) async fn cursor(connection: &mut Connection, name: &str) -> Result<Option<i64>, Error> {
    connection.optional(&CURSOR_READ, &[name.into()]).await?.map(|row| row.i64("position")).transpose()
}

const CURSOR_WRITE: Statement = Statement::new(
    "inbox.cursor_write",
    "INSERT INTO billing_cursors (name, position, updated_at)
     VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE
     SET position = excluded.position, updated_at = excluded.updated_at
     WHERE excluded.position >= billing_cursors.position",
);

/// Remembers how far something was read; never goes back.
pub(crate) async fn move_cursor(tx: &mut Tx, name: &str, position: i64, now: Timestamp) -> Result<u64, Error> {
    tx.execute(&CURSOR_WRITE, &[name.into(), position.into(), now.into()]).await
}

fn filter_args(filter: &Filter) -> [Arg; 6] {
    [
        filter.state.map(State::as_str).into(),
        filter.kind.as_deref().into(),
        filter.event_id.as_deref().into(),
        filter.customer_id.as_deref().into(),
        filter.received_from.into(),
        filter.received_before.into(),
    ]
}

fn inbox_event(row: &Row) -> Result<InboxEvent, Error> {
    Ok(InboxEvent {
        inbox_id: row.i64("inbox_id")?,
        event_id: row.text("event_id")?,
        kind: row.text("kind")?,
        object_id: row.text("object_id")?,
        customer_id: row.opt_text("customer_id")?,
        source: row.text("source")?,
        happened_at: Timestamp::from_micros(row.i64("happened_at")?),
        received_at: Timestamp::from_micros(row.i64("received_at")?),
        processed_at: row.opt_i64("processed_at")?.map(Timestamp::from_micros),
        state: state(row)?,
        outcome: row.opt_text("outcome")?,
        attempts: row.i64("attempts")?,
        last_error: row.opt_text("last_error")?,
    })
}

fn work(row: &Row) -> Result<Work, Error> {
    let stored = row.text("object_kind")?;
    let customer = row.opt_text("customer_id")?;
    let customer_id = customer.map(|id| CustomerId::parse(&id)).transpose();
    Ok(Work {
        object_kind: object_word(object_kind(&stored)),
        object_id: row.text("object_id")?,
        customer_id: customer_id.map_err(|error| Error::Bug(format!("webhook_inbox.customer_id: {error}")))?,
    })
}

fn state(row: &Row) -> Result<State, Error> {
    let word = row.text("state")?;
    State::parse(&word).ok_or_else(|| Error::Bug(format!("webhook_inbox.state is {word}")))
}

/// An object's kind as stored.
pub(crate) const fn object_word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Customer => "customer",
        ObjectKind::Subscription => "subscription",
        ObjectKind::Invoice => "invoice",
        ObjectKind::PaymentMethod => "payment_method",
        ObjectKind::SetupIntent => "setup_intent",
        ObjectKind::Checkout => "checkout",
        ObjectKind::Refund => "refund",
        ObjectKind::Other => "other",
    }
}

/// The kind a stored word means.
pub(crate) fn object_kind(word: &str) -> ObjectKind {
    let known = [
        ObjectKind::Customer,
        ObjectKind::Subscription,
        ObjectKind::Invoice,
        ObjectKind::PaymentMethod,
        ObjectKind::SetupIntent,
        ObjectKind::Checkout,
        ObjectKind::Refund,
    ];
    known.into_iter().find(|kind| object_word(*kind) == word).unwrap_or(ObjectKind::Other)
}
