//! Statements about operations.

use serde_json::Value;

use tollgate_rules::ids::{OperationId, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use super::{Code, Kind, Operation, Refusal, State};
use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] =
    &[&INSERT, &RUNNING, &BY_ID, &ORG_OF, &STORE_STEPS, &DONE, &FAILED, &RELEASE, &TAKE, &OPEN, &DELETE_OLD];

const INSERT: Statement = Statement::new(
    "operations.insert",
    "INSERT INTO operations
       (org_key, operation_id, kind, dedupe_key, body, state, steps, attempts, epoch, lease_until, actor, corr_id, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, 'running', '{}', 0, $6, $7, $8, $9, $10, $10)
     ON CONFLICT (org_key, kind, dedupe_key) WHERE state = 'running' DO NOTHING",
);

/// False when the same operation runs already.
pub(super) async fn insert(tx: &mut Tx, operation: &Operation, dedupe_key: &str) -> Result<bool, Error> {
    let args = [
        operation.org_key.0.into(),
        operation.operation_id.as_str().into(),
        operation.kind.as_str().into(),
        dedupe_key.into(),
        operation.body.to_string().into(),
        operation.epoch.into(),
        operation.lease_until.into(),
        operation.actor.as_str().into(),
        operation.corr_id.as_str().into(),
        operation.created_at.into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

const RUNNING: Statement = Statement::new(
    "operations.running",
    "SELECT org_key, operation_id, kind, body, steps, state, outcome, error_code, error, attempts, epoch, lease_until, actor,
            corr_id, created_at
     FROM operations
     WHERE org_key = $1 AND kind = $2 AND dedupe_key = $3 AND state = 'running'",
);

pub(super) async fn running(
    connection: &mut Connection,
    org_key: OrgKey,
    kind: Kind,
    dedupe_key: &str,
) -> Result<Option<Operation>, Error> {
    let row = connection.optional(&RUNNING, &[org_key.0.into(), kind.as_str().into(), dedupe_key.into()]).await?;
    row.as_ref().map(operation).transpose()
}

const BY_ID: Statement = Statement::new(
    "operations.by_id",
    "SELECT org_key, operation_id, kind, body, steps, state, outcome, error_code, error, attempts, epoch, lease_until, actor,
            corr_id, created_at
     FROM operations
     WHERE org_key = $1 AND operation_id = $2",
);

pub(super) async fn by_id(
    connection: &mut Connection,
    org_key: OrgKey,
    operation_id: &OperationId,
) -> Result<Option<Operation>, Error> {
    let row = connection.optional(&BY_ID, &[org_key.0.into(), operation_id.as_str().into()]).await?;
    row.as_ref().map(operation).transpose()
}

const ORG_OF: Statement = Statement::new(
    "operations.org_of",
    "SELECT o.org_id FROM operations p JOIN organizations o ON o.org_key = p.org_key WHERE p.operation_id = $1",
);

/// Whose operation this is.
pub(super) async fn org_of(connection: &mut Connection, operation_id: &OperationId) -> Result<Option<OrgId>, Error> {
    let row = connection.optional(&ORG_OF, &[operation_id.as_str().into()]).await?;
    row.map(|row| OrgId::parse(&row.text("org_id")?).map_err(|_| Error::Bug("a stored org id is none".to_owned())))
        .transpose()
}

pub(super) async fn is_running(
    connection: &mut Connection,
    org_key: OrgKey,
    operation_id: &OperationId,
) -> Result<bool, Error> {
    Ok(by_id(connection, org_key, operation_id).await?.is_some_and(|operation| operation.state == State::Running))
}

const STORE_STEPS: Statement = Statement::new(
    "operations.store_steps",
    "UPDATE operations
     SET steps = $4, lease_until = $5, updated_at = $6
     WHERE org_key = $1 AND operation_id = $2 AND epoch = $3 AND state = 'running'",
);

pub(super) async fn store_steps(tx: &mut Tx, operation: &Operation, at: Timestamp) -> Result<bool, Error> {
    let args = [
        operation.org_key.0.into(),
        operation.operation_id.as_str().into(),
        operation.epoch.into(),
        Value::from(operation.steps.clone()).to_string().into(),
        operation.lease_until.into(),
        at.into(),
    ];
    Ok(tx.execute(&STORE_STEPS, &args).await? == 1)
}

const DONE: Statement = Statement::new(
    "operations.done",
    "UPDATE operations
     SET state = 'done', outcome = $4, lease_until = 0, attempts = attempts + 1, updated_at = $5
     WHERE org_key = $1 AND operation_id = $2 AND epoch = $3 AND state = 'running'",
);

pub(super) async fn done(tx: &mut Tx, operation: &Operation, outcome: &Value, at: Timestamp) -> Result<bool, Error> {
    let args = [
        operation.org_key.0.into(),
        operation.operation_id.as_str().into(),
        operation.epoch.into(),
        outcome.to_string().into(),
        at.into(),
    ];
    Ok(tx.execute(&DONE, &args).await? == 1)
}

const FAILED: Statement = Statement::new(
    "operations.failed",
    "UPDATE operations
     SET state = 'failed', error_code = $4, error = $5, lease_until = 0, attempts = attempts + 1, updated_at = $6
     WHERE org_key = $1 AND operation_id = $2 AND epoch = $3 AND state = 'running'",
);

pub(super) async fn failed(
    tx: &mut Tx,
    operation: &Operation,
    refusal: &Refusal,
    at: Timestamp,
) -> Result<bool, Error> {
    let args = [
        operation.org_key.0.into(),
        operation.operation_id.as_str().into(),
        operation.epoch.into(),
        refusal.code.as_str().into(),
        refusal.message.as_str().into(),
        at.into(),
    ];
    Ok(tx.execute(&FAILED, &args).await? == 1)
}

const RELEASE: Statement = Statement::new(
    "operations.release",
    "UPDATE operations
     SET lease_until = 0, attempts = attempts + 1, updated_at = $4
     WHERE org_key = $1 AND operation_id = $2 AND epoch = $3 AND state = 'running'",
);

pub(super) async fn release(tx: &mut Tx, operation: &Operation, at: Timestamp) -> Result<bool, Error> {
    let args = [operation.org_key.0.into(), operation.operation_id.as_str().into(), operation.epoch.into(), at.into()];
    Ok(tx.execute(&RELEASE, &args).await? == 1)
}

const TAKE: Statement = Statement::new(
    "operations.take",
    "UPDATE operations
     SET epoch = epoch + 1, lease_until = $4
     WHERE org_key = $1 AND operation_id = $2 AND state = 'running' AND lease_until < $3
     RETURNING org_key, operation_id, kind, body, steps, state, outcome, error_code, error, attempts, epoch, lease_until, actor,
               corr_id, created_at",
);

/// Takes the lease of an operation that nobody holds.
pub(super) async fn take(
    tx: &mut Tx,
    org_key: OrgKey,
    operation_id: &OperationId,
    ended_before: Timestamp,
    lease_until: Timestamp,
) -> Result<Option<Operation>, Error> {
    let args = [org_key.0.into(), operation_id.as_str().into(), ended_before.into(), lease_until.into()];
    let row = tx.optional(&TAKE, &args).await?;
    row.as_ref().map(operation).transpose()
}

const OPEN: Statement = Statement::new(
    "operations.open",
    "SELECT operation_id, kind FROM operations WHERE state = 'running' ORDER BY updated_at LIMIT 100",
);

/// Operations that are under way, of all orgs: id and kind.
pub(crate) async fn open(connection: &mut Connection) -> Result<Vec<Row>, Error> {
    connection.all(&OPEN, &[]).await
}

const DELETE_OLD: Statement = Statement::new(
    "operations.delete_old",
    "DELETE FROM operations
     WHERE operation_id IN (
       SELECT operation_id FROM operations WHERE state <> 'running' AND updated_at < $1 ORDER BY updated_at LIMIT $2)",
);

pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), limit.into()]).await
}

fn operation(row: &Row) -> Result<Operation, Error> {
    let json = |text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| Error::Bug(format!("a stored operation: {error}")))
    };
    let word = |name: &str| Error::Bug(format!("a stored operation has an unknown {name}"));
    let steps = match json(&row.text("steps")?)? {
        Value::Object(steps) => steps,
        _ => return Err(word("list of steps")),
    };
    let code = row.opt_text("error_code")?.and_then(|text| Code::parse(&text));
    Ok(Operation {
        org_key: OrgKey(row.i64("org_key")?),
        operation_id: OperationId::parse(&row.text("operation_id")?).map_err(|_| word("id"))?,
        kind: Kind::parse(&row.text("kind")?).ok_or_else(|| word("kind"))?,
        body: json(&row.text("body")?)?,
        steps,
        state: State::parse(&row.text("state")?).ok_or_else(|| word("state"))?,
        outcome: row.opt_text("outcome")?.map(|text| json(&text)).transpose()?,
        refusal: code.zip(row.opt_text("error")?),
        attempts: row.i64("attempts")?,
        epoch: row.i64("epoch")?,
        lease_until: row.time("lease_until")?,
        actor: row.text("actor")?,
        corr_id: row.text("corr_id")?,
        created_at: row.time("created_at")?,
    })
}
