//! Statements about jobs.

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::{Claimed, Filter, Job, Kind, State};
use crate::db::{Connection, Error, Row, Statement, Tx};
use crate::paging::Paging;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &INSERT,
    &ANY_DUE,
    &CLAIM,
    &CLAIM_ONE,
    &STILL_OURS,
    &EXTEND,
    &DONE,
    &AGAIN,
    &DEAD,
    &RECOVER,
    &BY_ID,
    &REQUEUE,
    &LIST,
    &OPEN,
    &HEALTH,
    &DELETE_OLD,
];

const INSERT: Statement = Statement::new(
    "jobs.insert",
    "INSERT INTO jobs (job_id, kind, job_key, org_key, payload, state, run_at, attempts, epoch, corr_id, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, 'queued', $6, 0, 0, $7, $8, $8)
     ON CONFLICT (kind, job_key) WHERE state = 'queued'
     DO UPDATE SET run_at = CASE WHEN excluded.run_at < jobs.run_at THEN excluded.run_at ELSE jobs.run_at END",
);

pub(super) async fn insert(tx: &mut Tx, job_id: &str, job: &Job, at: Timestamp) -> Result<(), Error> {
    let args = [
        job_id.into(),
        job.kind.as_str().into(),
        job.key.as_str().into(),
        job.org_key.map(|key| key.0).into(),
        job.payload.to_string().into(),
        job.run_at.into(),
        job.corr_id.as_str().into(),
        at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const ANY_DUE: Statement = Statement::new(
    "jobs.any_due",
    "SELECT COUNT(*) AS found FROM (
       SELECT job_id FROM jobs
       WHERE (state = 'queued' AND run_at <= $1) OR (state = 'running' AND lease_until < $2)
       LIMIT 1
     ) AS due",
);

pub(super) async fn any_due(
    connection: &mut Connection,
    now: Timestamp,
    ended_before: Timestamp,
) -> Result<bool, Error> {
    let row = connection.one(&ANY_DUE, &[now.into(), ended_before.into()]).await?;
    Ok(row.i64("found")? > 0)
}

/// Which jobs are taken, and until when.
pub(super) struct ClaimDue {
    pub(super) now: Timestamp,
    pub(super) ended_before: Timestamp,
    pub(super) lease_until: Timestamp,
    pub(super) wall: Timestamp,
    pub(super) limit: i64,
}

const CLAIM: Statement = Statement::split(
    "jobs.claim",
    "UPDATE jobs
     SET state = 'running', epoch = epoch + 1, attempts = attempts + 1, lease_until = $3, updated_at = $4
     WHERE job_id IN (
       SELECT j.job_id FROM jobs j
       WHERE ((j.state = 'queued' AND j.run_at <= $1) OR (j.state = 'running' AND j.lease_until < $2))
         AND NOT EXISTS (SELECT 1 FROM jobs r
                         WHERE r.kind = j.kind AND r.job_key = j.job_key AND r.state = 'running' AND r.job_id <> j.job_id)
       ORDER BY j.run_at, j.job_id
       LIMIT $5)
     RETURNING job_id, kind, job_key, org_key, payload, attempts, epoch, corr_id",
    "UPDATE jobs
     SET state = 'running', epoch = epoch + 1, attempts = attempts + 1, lease_until = $3, updated_at = $4
     WHERE job_id IN (
       SELECT j.job_id FROM jobs j
       WHERE ((j.state = 'queued' AND j.run_at <= $1) OR (j.state = 'running' AND j.lease_until < $2))
         AND NOT EXISTS (SELECT 1 FROM jobs r
                         WHERE r.kind = j.kind AND r.job_key = j.job_key AND r.state = 'running' AND r.job_id <> j.job_id)
       ORDER BY j.run_at, j.job_id
       LIMIT $5
       FOR UPDATE SKIP LOCKED)
     RETURNING job_id, kind, job_key, org_key, payload, attempts, epoch, corr_id",
);

pub(super) async fn claim(tx: &mut Tx, due: &ClaimDue) -> Result<Vec<Claimed>, Error> {
    let args = [due.now.into(), due.ended_before.into(), due.lease_until.into(), due.wall.into(), due.limit.into()];
    let rows = tx.all(&CLAIM, &args).await?;
    // A kind of a newer program stays where it is: its own program runs it when the lease ends.
    rows.iter().filter_map(|row| claimed(row).transpose()).collect()
}

const CLAIM_ONE: Statement = Statement::new(
    "jobs.claim_one",
    "UPDATE jobs
     SET state = 'running', epoch = epoch + 1, attempts = attempts + 1, lease_until = $2, updated_at = $3
     WHERE job_id = $1 AND state = 'queued'
     RETURNING job_id, kind, job_key, org_key, payload, attempts, epoch, corr_id",
);

pub(super) async fn claim_one(
    tx: &mut Tx,
    job_id: &str,
    lease_until: Timestamp,
    wall: Timestamp,
) -> Result<Option<Claimed>, Error> {
    let row = tx.optional(&CLAIM_ONE, &[job_id.into(), lease_until.into(), wall.into()]).await?;
    row.map_or(Ok(None), |row| claimed(&row))
}

fn claimed(row: &Row) -> Result<Option<Claimed>, Error> {
    let Some(kind) = Kind::parse(&row.text("kind")?) else { return Ok(None) };
    let payload =
        serde_json::from_str(&row.text("payload")?).map_err(|error| Error::Bug(format!("a job's payload: {error}")))?;
    Ok(Some(Claimed {
        job_id: row.text("job_id")?,
        kind,
        key: row.text("job_key")?,
        org_key: row.opt_i64("org_key")?.map(OrgKey),
        payload,
        attempts: row.i64("attempts")?,
        epoch: row.i64("epoch")?,
        corr_id: row.text("corr_id")?,
    }))
}

const STILL_OURS: Statement = Statement::split(
    "jobs.still_ours",
    "SELECT job_id FROM jobs WHERE job_id = $1 AND epoch = $2 AND state = 'running'",
    "SELECT job_id FROM jobs WHERE job_id = $1 AND epoch = $2 AND state = 'running' FOR UPDATE",
);

pub(super) async fn still_ours(tx: &mut Tx, job_id: &str, epoch: i64) -> Result<bool, Error> {
    Ok(tx.optional(&STILL_OURS, &[job_id.into(), epoch.into()]).await?.is_some())
}

const EXTEND: Statement = Statement::new(
    "jobs.extend_lease",
    "UPDATE jobs SET lease_until = $3 WHERE job_id = $1 AND epoch = $2 AND state = 'running'",
);

pub(super) async fn extend(tx: &mut Tx, job: &Claimed, lease_until: Timestamp) -> Result<bool, Error> {
    let args = [job.job_id.as_str().into(), job.epoch.into(), lease_until.into()];
    Ok(tx.execute(&EXTEND, &args).await? == 1)
}

const DONE: Statement = Statement::new(
    "jobs.done",
    "UPDATE jobs
     SET state = 'done', lease_until = NULL, last_error = NULL, updated_at = $3
     WHERE job_id = $1 AND epoch = $2 AND state = 'running'",
);

pub(super) async fn done(tx: &mut Tx, job: &Claimed, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&DONE, &[job.job_id.as_str().into(), job.epoch.into(), at.into()]).await? == 1)
}

/// Where a job of the same name was queued meanwhile, that one does the work and this one is over.
const AGAIN: Statement = Statement::new(
    "jobs.again",
    "UPDATE jobs
     SET state = CASE WHEN EXISTS (SELECT 1 FROM jobs q WHERE q.kind = jobs.kind AND q.job_key = jobs.job_key AND q.state = 'queued')
                      THEN 'done' ELSE 'queued' END,
         lease_until = NULL, run_at = $3, attempts = CASE WHEN $4 = 1 THEN 0 ELSE attempts END, last_error = $5, updated_at = $6
     WHERE job_id = $1 AND epoch = $2 AND state = 'running'",
);

/// When a job runs again: after a failure (which counts) or because it is recurring (which does not).
pub(super) struct Again<'a> {
    pub(super) run_at: Timestamp,
    pub(super) error: Option<&'a str>,
    pub(super) wall: Timestamp,
}

pub(super) async fn again(tx: &mut Tx, job: &Claimed, again: &Again<'_>) -> Result<bool, Error> {
    let args = [
        job.job_id.as_str().into(),
        job.epoch.into(),
        again.run_at.into(),
        again.error.is_none().into(),
        again.error.into(),
        again.wall.into(),
    ];
    Ok(tx.execute(&AGAIN, &args).await? == 1)
}

const DEAD: Statement = Statement::new(
    "jobs.dead",
    "UPDATE jobs
     SET state = 'dead', lease_until = NULL, last_error = $3, updated_at = $4
     WHERE job_id = $1 AND epoch = $2 AND state = 'running'",
);

pub(super) async fn dead(tx: &mut Tx, job: &Claimed, error: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&DEAD, &[job.job_id.as_str().into(), job.epoch.into(), error.into(), at.into()]).await? == 1)
}

const RECOVER: Statement = Statement::new("jobs.recover", "UPDATE jobs SET lease_until = 0 WHERE state = 'running'");

/// The embedded database has one process: what runs at its start belonged to one that is gone.
pub(super) async fn recover(tx: &mut Tx) -> Result<u64, Error> {
    tx.execute(&RECOVER, &[]).await
}

const BY_ID: Statement = Statement::new(
    "jobs.by_id",
    "SELECT job_id, kind, job_key, state, run_at, attempts, last_error, corr_id, created_at, updated_at
     FROM jobs
     WHERE job_id = $1",
);

pub(super) async fn by_id(connection: &mut Connection, job_id: &str) -> Result<Option<Row>, Error> {
    connection.optional(&BY_ID, &[job_id.into()]).await
}

const REQUEUE: Statement = Statement::new(
    "jobs.requeue",
    "UPDATE jobs
     SET state = 'queued', attempts = 0, run_at = $2, updated_at = $3
     WHERE job_id = $1 AND state = 'dead'
       AND NOT EXISTS (SELECT 1 FROM jobs q WHERE q.kind = jobs.kind AND q.job_key = jobs.job_key AND q.state = 'queued')",
);

pub(super) async fn requeue(tx: &mut Tx, job_id: &str, run_at: Timestamp, wall: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&REQUEUE, &[job_id.into(), run_at.into(), wall.into()]).await? == 1)
}

const LIST: Statement = Statement::new(
    "jobs.list",
    "SELECT job_id, kind, job_key, state, run_at, attempts, last_error, corr_id, created_at, updated_at
     FROM jobs
     WHERE (CAST($1 AS TEXT) IS NULL OR job_id < $1)
       AND (CAST($2 AS TEXT) IS NULL OR state = $2)
       AND (CAST($3 AS TEXT) IS NULL OR kind = $3)
     ORDER BY job_id DESC
     LIMIT $4",
);

pub(super) async fn list(connection: &mut Connection, filter: &Filter, paging: &Paging) -> Result<Vec<Row>, Error> {
    let args = [
        paging.after().into(),
        filter.state.map(State::as_str).into(),
        filter.kind.map(Kind::as_str).into(),
        paging.fetch().into(),
    ];
    connection.all(&LIST, &args).await
}

const OPEN: Statement = Statement::new(
    "jobs.open",
    "SELECT kind, job_key, state, last_error
     FROM jobs
     WHERE state = 'running' OR (state = 'queued' AND run_at <= $1)
     ORDER BY run_at
     LIMIT 100",
);

/// Jobs that run or are due: kind, key, state, last error.
pub(crate) async fn open(connection: &mut Connection, now: Timestamp) -> Result<Vec<Row>, Error> {
    connection.all(&OPEN, &[now.into()]).await
}

const HEALTH: Statement = Statement::new(
    "jobs.health",
    "SELECT
       (SELECT COUNT(*) FROM jobs WHERE state = 'dead') AS dead,
       (SELECT MIN(run_at) FROM jobs WHERE state = 'queued' AND run_at <= $1) AS oldest_due",
);

/// How many dead letters there are, and since when the oldest due job waits.
pub(crate) async fn health(connection: &mut Connection, now: Timestamp) -> Result<(i64, Option<Timestamp>), Error> {
    let row = connection.one(&HEALTH, &[now.into()]).await?;
    Ok((row.i64("dead")?, row.opt_time("oldest_due")?))
}

const DELETE_OLD: Statement = Statement::new(
    "jobs.delete_old",
    "DELETE FROM jobs
     WHERE job_id IN (
       SELECT job_id FROM jobs
       WHERE (state = 'done' AND updated_at < $1) OR (state = 'dead' AND updated_at < $2)
       ORDER BY updated_at
       LIMIT $3)",
);

pub(crate) async fn delete_old(tx: &mut Tx, done: Timestamp, dead: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[done.into(), dead.into(), limit.into()]).await
}
