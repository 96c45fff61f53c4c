//! Statements about alerts and daily summaries.

use tollgate_rules::ids::{Metric, OrgKey};
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

use super::{Alert, Kind, Summary};
use crate::access::OrgScope;
use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&OPEN_COUNTERS, &INSERT, &LIST, &LAST_DAY, &SUM_UP, &DAY_LINES, &SUMMARIES];

/// A counter of an open period that something may be said about.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) org_key: OrgKey,
    pub(super) org_name: String,
    pub(super) email: Option<String>,
    pub(super) period_no: i64,
    pub(super) period_key: String,
    pub(super) period: Period,
    pub(super) metric: Metric,
    pub(super) used: i64,
    pub(super) limit: i64,
}

/// Whole orgs at a time: the page is cut between them.
const OPEN_COUNTERS: Statement = Statement::new(
    "alerts.open_counters",
    "SELECT h.org_key, o.name AS org_name, o.email, h.period_no, h.period_key, h.period_start, h.period_end, c.metric, c.used,
            c.included + c.granted AS unit_limit
     FROM ledger_heads AS h
     JOIN organizations AS o ON o.org_key = h.org_key
     JOIN usage_counters AS c ON c.org_key = h.org_key AND c.period_no = h.period_no
     WHERE h.org_key > $1
       AND h.org_key <= (SELECT COALESCE(MAX(k.org_key), 0) FROM
         (SELECT n.org_key FROM ledger_heads AS n WHERE n.org_key > $1 AND n.period_no IS NOT NULL ORDER BY n.org_key LIMIT $2) AS k)
     ORDER BY h.org_key, c.metric
     LIMIT 100000",
);

/// The counters of the open periods of the next orgs.
pub(super) async fn open_counters(connection: &mut Connection, after: OrgKey, orgs: i64) -> Result<Vec<Open>, Error> {
    let rows = connection.all(&OPEN_COUNTERS, &[after.0.into(), orgs.into()]).await?;
    rows.iter().map(open).collect()
}

fn open(row: &Row) -> Result<Open, Error> {
    Ok(Open {
        org_key: OrgKey(row.i64("org_key")?),
        org_name: row.text("org_name")?,
        email: row.opt_text("email")?,
        period_no: row.i64("period_no")?,
        period_key: row.text("period_key")?,
        period: Period::new(row.time("period_start")?, row.time("period_end")?),
        metric: metric(row)?,
        used: row.i64("used")?,
        limit: row.opt_i64("unit_limit")?.unwrap_or(i64::MAX),
    })
}

const INSERT: Statement = Statement::new(
    "alerts.insert",
    "INSERT INTO usage_alerts (org_key, period_no, metric, kind, period_key, used, unit_limit, raised_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (org_key, period_no, metric, kind) DO NOTHING",
);

/// Raises an alert; false when it was raised before.
pub(super) async fn insert(tx: &mut Tx, alert: &Alert, period_no: i64) -> Result<bool, Error> {
    let args: [Arg; 8] = [
        alert.org_key.0.into(),
        period_no.into(),
        alert.metric.as_str().into(),
        alert.kind.as_str().into(),
        alert.period_key.as_str().into(),
        alert.used.into(),
        alert.limit.into(),
        alert.raised_at.into(),
    ];
    Ok(tx.execute(&INSERT, &args).await? == 1)
}

const LIST: Statement = Statement::new(
    "alerts.list",
    "SELECT org_key, metric, kind, period_key, used, unit_limit, raised_at
     FROM usage_alerts
     WHERE org_key = $1 AND (raised_at < $2 OR (raised_at = $2 AND metric || '/' || kind < $3))
     ORDER BY raised_at DESC, metric || '/' || kind DESC
     LIMIT $4",
);

/// An org's alerts before a place, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    scope: &OrgScope,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<Alert>, Error> {
    let (at, id) = before.unwrap_or((i64::MAX, ""));
    let rows = connection.all(&LIST, &[scope.org_key().0.into(), at.into(), id.into(), limit.into()]).await?;
    let alert = |row: &Row| {
        let kind = row.text("kind")?;
        Ok(Alert {
            kind: Kind::parse(&kind).ok_or_else(|| Error::Bug(format!("a stored alert: {kind}")))?,
            metric: metric(row)?,
            period_key: row.text("period_key")?,
            used: row.i64("used")?,
            limit: row.i64("unit_limit")?,
            raised_at: row.time("raised_at")?,
            org_key: OrgKey(row.i64("org_key")?),
        })
    };
    rows.iter().map(alert).collect()
}

const LAST_DAY: Statement = Statement::new("alerts.last_day", "SELECT MAX(day) AS day FROM usage_summaries");

/// The newest day that was summed up.
pub(super) async fn last_day(connection: &mut Connection) -> Result<Option<Timestamp>, Error> {
    connection.one(&LAST_DAY, &[]).await?.opt_time("day")
}

const SUM_UP: Statement = Statement::new(
    "alerts.sum_up",
    "INSERT INTO usage_summaries (org_key, day, metric, units, events, made_at)
     SELECT r.org_key, CAST($1 AS BIGINT), r.metric, CAST(SUM(r.units) AS BIGINT), CAST(SUM(r.events) AS BIGINT), CAST($3 AS BIGINT)
     FROM usage_rollups_hourly AS r
     WHERE r.hour >= $1 AND r.hour < $2
     GROUP BY r.org_key, r.metric
     ON CONFLICT (org_key, day, metric) DO UPDATE
     SET units = excluded.units, events = excluded.events, made_at = excluded.made_at",
);

/// Sums up a day of all orgs.
pub(super) async fn sum_up(tx: &mut Tx, (start, end): (Timestamp, Timestamp), now: Timestamp) -> Result<(), Error> {
    tx.execute(&SUM_UP, &[start.into(), end.into(), now.into()]).await.map(|_| ())
}

/// What an org used of a metric on one day, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct DayLine {
    pub(super) org_key: OrgKey,
    pub(super) metric: Metric,
    pub(super) units: i64,
    pub(super) events: i64,
    pub(super) period_key: String,
    pub(super) used: i64,
    /// What is included and granted; nothing where there is no limit.
    pub(super) limit: Option<i64>,
}

/// An org's own flag counts before the one for all.
const DAY_LINES: Statement = Statement::new(
    "alerts.day_lines",
    "SELECT s.org_key, s.metric, s.units, s.events, h.period_key, c.used, c.included + c.granted AS unit_limit
     FROM usage_summaries AS s
     JOIN ledger_heads AS h ON h.org_key = s.org_key
     JOIN usage_counters AS c ON c.org_key = h.org_key AND c.period_no = h.period_no AND c.metric = s.metric
     LEFT JOIN operator_flags AS own ON own.org_key = s.org_key AND own.name = 'usage_digest'
     LEFT JOIN operator_flags AS everybody ON everybody.org_key = 0 AND everybody.name = 'usage_digest'
     WHERE s.day = $1 AND s.org_key > $2 AND COALESCE(own.value, everybody.value) = 'true'
     ORDER BY s.org_key, s.metric
     LIMIT $3",
);

/// The lines of a day of the orgs after one, where a letter about it is wanted.
pub(super) async fn day_lines(
    connection: &mut Connection,
    (day, after): (Timestamp, OrgKey),
    limit: i64,
) -> Result<Vec<DayLine>, Error> {
    let rows = connection.all(&DAY_LINES, &[day.into(), after.0.into(), limit.into()]).await?;
    let line = |row: &Row| {
        Ok(DayLine {
            org_key: OrgKey(row.i64("org_key")?),
            metric: metric(row)?,
            units: row.i64("units")?,
            events: row.i64("events")?,
            period_key: row.text("period_key")?,
            used: row.i64("used")?,
            limit: row.opt_i64("unit_limit")?,
        })
    };
    rows.iter().map(line).collect()
}

const SUMMARIES: Statement = Statement::new(
    "alerts.summaries",
    "SELECT day, metric, units, events
     FROM usage_summaries
     WHERE org_key = $1 AND (day < $2 OR (day = $2 AND metric < $3))
     ORDER BY day DESC, metric DESC
     LIMIT $4",
);

/// An org's days before a place, newest first.
pub(super) async fn summaries(
    connection: &mut Connection,
    scope: &OrgScope,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<Summary>, Error> {
    let (at, id) = before.unwrap_or((i64::MAX, ""));
    let rows = connection.all(&SUMMARIES, &[scope.org_key().0.into(), at.into(), id.into(), limit.into()]).await?;
    let summary = |row: &Row| {
        Ok(Summary {
            day: row.time("day")?,
            metric: metric(row)?,
            units: row.i64("units")?,
            events: row.i64("events")?,
        })
    };
    rows.iter().map(summary).collect()
}

fn metric(row: &Row) -> Result<Metric, Error> {
    Metric::parse(&row.text("metric")?).map_err(|error| Error::Bug(format!("a stored metric: {error}")))
}
