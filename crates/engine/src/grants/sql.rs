//! Statements about grants.

use std::collections::BTreeMap;

use tollgate_rules::ids::{Metric, OrgId, OrgKey};
use tollgate_rules::time::Timestamp;

use super::{Grant, Source};
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] =
    &[&OPEN, &DRAWS, &COUNTERS, &PUT_DRAW, &CLOSE, &COUNT_IN, &CURRENT_PERIOD, &INSERT, &END, &LIST];

const OPEN: Statement = Statement::new(
    "grants.open",
    "SELECT g.org_key, o.org_id, g.grant_id, g.metric, g.units, g.priority, g.starts_at, g.ends_at, p.period_start AS only_in, g.source,
            g.state, g.counted_in, g.reason, g.actor, g.created_at, CAST(0 AS BIGINT) AS used
     FROM grants AS g
     JOIN organizations AS o ON o.org_key = g.org_key
     LEFT JOIN usage_periods AS p ON p.org_key = g.org_key AND p.period_no = g.only_period_no
     WHERE g.org_key = $1 AND g.state = 'open'
     ORDER BY g.created_at, g.grant_id
     LIMIT 10000",
);

/// The grants of an org that may still add to a limit.
pub(super) async fn open(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<Grant>, Error> {
    let rows = connection.all(&OPEN, &[org_key.0.into()]).await?;
    rows.iter().map(read).collect()
}

const DRAWS: Statement = Statement::new(
    "grants.draws",
    "SELECT d.grant_id, d.period_no, d.units
     FROM grants AS g
     JOIN grant_draws AS d ON d.org_key = g.org_key AND d.grant_id = g.grant_id
     WHERE g.org_key = $1 AND g.state = 'open'
     ORDER BY d.grant_id, d.period_no
     LIMIT 100000",
);

/// What periods have drawn from open grants, as written down.
pub(super) async fn draws(connection: &mut Connection, org_key: OrgKey) -> Result<BTreeMap<(String, i64), i64>, Error> {
    let rows = connection.all(&DRAWS, &[org_key.0.into()]).await?;
    rows.iter().map(|row| Ok(((row.text("grant_id")?, row.i64("period_no")?), row.i64("units")?))).collect()
}

/// What a counter has taken.
pub(super) struct Taken {
    pub(super) period_no: i64,
    pub(super) started_at: Timestamp,
    pub(super) current: bool,
    pub(super) metric: Metric,
    pub(super) included: Option<i64>,
    /// Used and held.
    pub(super) taken: i64,
}

/// The open period's counters, and those of periods that drew from open grants.
const COUNTERS: Statement = Statement::new(
    "grants.counters",
    "SELECT c.period_no, p.period_start, c.metric, c.included, c.used + c.held AS taken,
            CAST(CASE WHEN c.period_no = h.period_no THEN 1 ELSE 0 END AS BIGINT) AS current_one
     FROM usage_counters AS c
     JOIN usage_periods AS p ON p.org_key = c.org_key AND p.period_no = c.period_no
     JOIN ledger_heads AS h ON h.org_key = c.org_key
     WHERE c.org_key = $1
       AND (c.period_no = h.period_no OR EXISTS (
         SELECT 1
         FROM grants AS g
         JOIN grant_draws AS d ON d.org_key = g.org_key AND d.grant_id = g.grant_id
         WHERE g.org_key = $1 AND g.state = 'open' AND d.period_no = c.period_no))
     ORDER BY c.period_no, c.metric
     LIMIT 100000",
);

/// What the periods concerned have taken.
pub(super) async fn counters(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<Taken>, Error> {
    let rows = connection.all(&COUNTERS, &[org_key.0.into()]).await?;
    let taken = |row: &Row| {
        Ok(Taken {
            period_no: row.i64("period_no")?,
            started_at: row.time("period_start")?,
            current: row.i64("current_one")? == 1,
            metric: metric(row)?,
            included: row.opt_i64("included")?,
            taken: row.i64("taken")?,
        })
    };
    rows.iter().map(taken).collect()
}

const PUT_DRAW: Statement = Statement::new(
    "grants.put_draw",
    "INSERT INTO grant_draws (org_key, grant_id, period_no, units)
     VALUES ($1, $2, $3, $4)
     ON CONFLICT (org_key, grant_id, period_no) DO UPDATE SET units = excluded.units",
);

/// Writes down what a period has drawn from a grant.
pub(super) async fn put_draw(
    tx: &mut Tx,
    org_key: OrgKey,
    (grant_id, period_no): (&str, i64),
    units: i64,
) -> Result<(), Error> {
    tx.execute(&PUT_DRAW, &[org_key.0.into(), grant_id.into(), period_no.into(), units.into()]).await.map(|_| ())
}

const CLOSE: Statement =
    Statement::new("grants.close", "UPDATE grants SET state = 'closed' WHERE org_key = $1 AND grant_id = $2");

/// A grant that adds nothing any more.
pub(super) async fn close(tx: &mut Tx, org_key: OrgKey, grant_id: &str) -> Result<(), Error> {
    tx.execute(&CLOSE, &[org_key.0.into(), grant_id.into()]).await.map(|_| ())
}

const COUNT_IN: Statement = Statement::new(
    "grants.count_in",
    "UPDATE grants
     SET counted_in = CASE
       WHEN starts_at <= $3 AND (ends_at IS NULL OR ends_at > $3) AND (only_period_no IS NULL OR only_period_no = $2) THEN $2
       ELSE NULL END
     WHERE org_key = $1 AND state = 'open'",
);

/// Marks which grants count in the open period.
pub(super) async fn count_in(tx: &mut Tx, org_key: OrgKey, period_no: i64, now: Timestamp) -> Result<(), Error> {
    tx.execute(&COUNT_IN, &[org_key.0.into(), period_no.into(), now.into()]).await.map(|_| ())
}

const CURRENT_PERIOD: Statement = Statement::new(
    "grants.current_period",
    "SELECT period_no, period_start FROM ledger_heads WHERE org_key = $1 AND period_no IS NOT NULL",
);

/// Number and start of the open period.
pub(crate) async fn current_period(
    connection: &mut Connection,
    org_key: OrgKey,
) -> Result<Option<(i64, Timestamp)>, Error> {
    let row = connection.optional(&CURRENT_PERIOD, &[org_key.0.into()]).await?;
    row.map(|row| Ok((row.i64("period_no")?, row.time("period_start")?))).transpose()
}

const INSERT: Statement = Statement::new(
    "grants.insert",
    "INSERT INTO grants (org_key, grant_id, metric, units, priority, starts_at, ends_at, only_period_no, source, source_id, state, reason,
       actor, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open', $11, $12, $13)
     ON CONFLICT (org_key, source, source_id) DO NOTHING",
);

/// Stores a grant; false when what it came from gave one already.
pub(super) async fn insert(
    tx: &mut Tx,
    grant: &Grant,
    only_period_no: Option<i64>,
    source_id: &str,
) -> Result<bool, Error> {
    let args: [Arg; 13] = [
        grant.org_key.0.into(),
        grant.grant_id.as_str().into(),
        grant.metric.as_str().into(),
        grant.units.into(),
        grant.priority.into(),
        grant.starts_at.into(),
        grant.ends_at.into(),
        only_period_no.into(),
        grant.source.as_str().into(),
        source_id.into(),
        grant.reason.as_str().into(),
        grant.actor.as_str().into(),
        grant.created_at.into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

const END: Statement =
    Statement::new("grants.end", "UPDATE grants SET ends_at = $3 WHERE org_key = $1 AND grant_id = $2");

/// Ends a grant.
pub(super) async fn end(tx: &mut Tx, org_key: OrgKey, grant_id: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&END, &[org_key.0.into(), grant_id.into(), at.into()]).await.map(|_| ())
}

const LIST: Statement = Statement::new(
    "grants.list",
    "SELECT g.org_key, o.org_id, g.grant_id, g.metric, g.units, g.priority, g.starts_at, g.ends_at, p.period_start AS only_in, g.source,
            g.state, g.counted_in, g.reason, g.actor, g.created_at,
            (SELECT CAST(COALESCE(SUM(d.units), 0) AS BIGINT) FROM grant_draws AS d
             WHERE d.org_key = g.org_key AND d.grant_id = g.grant_id) AS used
     FROM grants AS g
     JOIN organizations AS o ON o.org_key = g.org_key
     LEFT JOIN usage_periods AS p ON p.org_key = g.org_key AND p.period_no = g.only_period_no
     WHERE (CAST($1 AS TEXT) IS NULL OR o.org_id = $1)
       AND (g.created_at < $2 OR (g.created_at = $2 AND g.grant_id < $3))
     ORDER BY g.created_at DESC, g.grant_id DESC
     LIMIT $4",
);

/// Grants before a place, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    org: Option<&OrgId>,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<Grant>, Error> {
    let (at, id) = before.unwrap_or((i64::MAX, ""));
    let args = [org.map(OrgId::as_str).into(), at.into(), id.into(), limit.into()];
    let rows = connection.all(&LIST, &args).await?;
    rows.iter().map(read).collect()
}

fn metric(row: &Row) -> Result<Metric, Error> {
    Metric::parse(&row.text("metric")?).map_err(|error| Error::Bug(format!("a stored metric: {error}")))
}

fn read(row: &Row) -> Result<Grant, Error> {
    let source = row.text("source")?;
    Ok(Grant {
        org_key: OrgKey(row.i64("org_key")?),
        org_id: OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))?,
        grant_id: row.text("grant_id")?,
        metric: metric(row)?,
        units: row.i64("units")?,
        used: row.i64("used")?,
        priority: row.i64("priority")?,
        starts_at: row.time("starts_at")?,
        ends_at: row.opt_time("ends_at")?,
        only_in: row.opt_time("only_in")?,
        source: Source::parse(&source).ok_or_else(|| Error::Bug(format!("a grant from {source}")))?,
        reason: row.text("reason")?,
        actor: row.text("actor")?,
        created_at: row.time("created_at")?,
        open: row.text("state")? == "open",
        counted_in: row.opt_i64("counted_in")?,
    })
}
