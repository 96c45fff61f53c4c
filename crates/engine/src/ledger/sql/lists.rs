//! What lists, series and sweeps read.

use tollgate_rules::ids::{HoldId, Metric, OrgId, OrgKey};
use tollgate_rules::period::PeriodKey;
use tollgate_rules::time::Timestamp;

use crate::access::OrgScope;
use crate::db::{Arg, Connection, Error, Row, Statement};

/// Every statement here.
pub(super) const ALL: &[&Statement] = &[
    &EVENTS,
    &EVENTS_OF_ID,
    &HOLDS,
    &ORG_OF_HOLD,
    &KNOWN_PERIOD,
    &BY_HOUR,
    &BY_DAY,
    &BY_KEY,
    &ORGS_DUE,
    &NEXT_DUE,
    &ORGS_IN_MONTH,
];

const EVENTS: Statement = Statement::new(
    "ledger.events",
    "SELECT e.seq, e.actor, e.org_key, e.request_id, e.item_no, e.period_no, e.metric, e.verb, e.delta, e.units, e.forced, e.occurred_at,
            e.recorded_at, e.source, e.reason, e.corrects, e.hold_id, e.expires_at, e.would_deny, e.answer_used AS used,
            e.answer_held AS held, l.included, l.granted, l.metered_minor, l.metered_units, l.limit_version, p.period_key, p.period_start,
            p.period_end
     FROM usage_events AS e
     JOIN usage_limits AS l
       ON l.org_key = e.org_key AND l.period_no = e.period_no AND l.metric = e.metric AND l.limit_version = e.answer_limit
     JOIN usage_periods AS p ON p.org_key = e.org_key AND p.period_no = e.period_no
     WHERE e.org_key = $1
       AND (CAST($2 AS TEXT) IS NULL OR e.metric = $2)
       AND (CAST($3 AS BIGINT) IS NULL OR e.period_no = $3)
       AND (CAST($4 AS BIGINT) IS NULL OR e.seq < $4)
     ORDER BY e.seq DESC
     LIMIT $5",
);

const EVENTS_OF_ID: Statement = Statement::new(
    "ledger.events_of_id",
    "SELECT e.seq, e.actor, e.org_key, e.request_id, e.item_no, e.period_no, e.metric, e.verb, e.delta, e.units, e.forced, e.occurred_at,
            e.recorded_at, e.source, e.reason, e.corrects, e.hold_id, e.expires_at, e.would_deny, e.answer_used AS used,
            e.answer_held AS held, l.included, l.granted, l.metered_minor, l.metered_units, l.limit_version, p.period_key, p.period_start,
            p.period_end
     FROM usage_events AS e
     JOIN usage_limits AS l
       ON l.org_key = e.org_key AND l.period_no = e.period_no AND l.metric = e.metric AND l.limit_version = e.answer_limit
     JOIN usage_periods AS p ON p.org_key = e.org_key AND p.period_no = e.period_no
     WHERE e.org_key = $1
       AND e.request_id = $6
       AND (CAST($2 AS TEXT) IS NULL OR e.metric = $2)
       AND (CAST($3 AS BIGINT) IS NULL OR e.period_no = $3)
       AND (CAST($4 AS BIGINT) IS NULL OR e.seq < $4)
     ORDER BY e.seq DESC
     LIMIT $5",
);

const HOLDS: Statement = Statement::new(
    "ledger.open_holds",
    "SELECT h.org_key, h.hold_id, h.request_id, h.period_no, h.metric, h.units, h.taken_at, h.expires_at, p.period_key
     FROM usage_holds AS h
     JOIN usage_periods AS p ON p.org_key = h.org_key AND p.period_no = h.period_no
     WHERE h.org_key = $1
       AND h.state = 'open'
       AND h.expires_at > $2
       AND h.hold_id NOT LIKE '%$_pool' ESCAPE '$'
       AND (CAST($3 AS TEXT) IS NULL OR h.metric = $3)
       AND (CAST($4 AS TEXT) IS NULL OR h.hold_id < $4)
     ORDER BY h.hold_id DESC
     LIMIT $5",
);

const ORG_OF_HOLD: Statement = Statement::new(
    "ledger.org_of_hold",
    "SELECT o.org_id
     FROM usage_holds AS h
     JOIN organizations AS o ON o.org_key = h.org_key
     WHERE h.hold_id = $1
     ORDER BY o.org_id
     LIMIT 1",
);

/// A plain month means the newest period of that month.
const KNOWN_PERIOD: Statement = Statement::new(
    "ledger.known_period",
    "SELECT period_no
     FROM usage_periods
     WHERE org_key = $1 AND (period_key = $2 OR period_key LIKE $2 || '.%')
     ORDER BY period_no DESC
     LIMIT 1",
);

const BY_HOUR: Statement = Statement::new(
    "ledger.history_by_hour",
    "SELECT hour AS start_at, metric, '' AS actor, CAST(SUM(units) AS BIGINT) AS units, CAST(SUM(events) AS BIGINT) AS events
     FROM usage_rollups_hourly
     WHERE org_key = $1 AND hour >= $2 AND hour < $3 AND (CAST($4 AS TEXT) IS NULL OR metric = $4)
     GROUP BY hour, metric
     ORDER BY hour, metric
     LIMIT $5",
);

const BY_DAY: Statement = Statement::new(
    "ledger.history_by_day",
    "SELECT hour - hour % 86400000000 AS start_at, metric, '' AS actor, CAST(SUM(units) AS BIGINT) AS units,
            CAST(SUM(events) AS BIGINT) AS events
     FROM usage_rollups_hourly
     WHERE org_key = $1 AND hour >= $2 AND hour < $3 AND (CAST($4 AS TEXT) IS NULL OR metric = $4)
     GROUP BY hour - hour % 86400000000, metric
     ORDER BY 1, metric
     LIMIT $5",
);

const BY_KEY: Statement = Statement::new(
    "ledger.history_by_key",
    "SELECT MIN(hour) AS start_at, metric, actor, CAST(SUM(units) AS BIGINT) AS units, CAST(SUM(events) AS BIGINT) AS events
     FROM usage_rollups_hourly
     WHERE org_key = $1 AND hour >= $2 AND hour < $3 AND (CAST($4 AS TEXT) IS NULL OR metric = $4)
     GROUP BY actor, metric
     ORDER BY actor, metric
     LIMIT $5",
);

const ORGS_DUE: Statement = Statement::new(
    "ledger.orgs_due",
    "SELECT org_key
     FROM ledger_heads
     WHERE valid_until <= $1
     UNION
     SELECT org_key
     FROM usage_holds
     WHERE state = 'open' AND expires_at <= $1
     ORDER BY org_key
     LIMIT $2",
);

const NEXT_DUE: Statement = Statement::new(
    "ledger.next_due",
    "SELECT MIN(due) AS due
     FROM (
       SELECT MIN(valid_until) AS due FROM ledger_heads WHERE valid_until > $1
       UNION ALL
       SELECT MIN(expires_at) AS due FROM usage_holds WHERE state = 'open' AND expires_at > $1
     ) AS soon",
);

const ORGS_IN_MONTH: Statement = Statement::new(
    "ledger.orgs_in_month",
    "SELECT o.org_key, o.org_id, h.period_key, h.valid_until
     FROM organizations AS o
     LEFT JOIN ledger_heads AS h ON h.org_key = o.org_key
     WHERE o.org_key > $1
     ORDER BY o.org_key
     LIMIT $2",
);

/// Which events, and from where on.
#[derive(Debug)]
pub(crate) struct EventsAsked<'a> {
    pub(crate) metric: Option<&'a Metric>,
    pub(crate) period_no: Option<i64>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) before: Option<i64>,
    pub(crate) rows: i64,
}

/// Events of the org, newest first.
pub(crate) async fn event_rows(
    connection: &mut Connection,
    scope: &OrgScope,
    asked: &EventsAsked<'_>,
) -> Result<Vec<Row>, Error> {
    let mut args: Vec<Arg> = vec![
        scope.org_key().0.into(),
        asked.metric.map(Metric::as_str).into(),
        asked.period_no.into(),
        asked.before.into(),
        asked.rows.into(),
    ];
    match asked.request_id {
        None => connection.all(&EVENTS, &args).await,
        Some(request_id) => {
            args.push(request_id.into());
            connection.all(&EVENTS_OF_ID, &args).await
        }
    }
}

/// Open holds of the org, newest first, after a hold.
pub(crate) async fn hold_rows(
    connection: &mut Connection,
    scope: &OrgScope,
    metric: Option<&Metric>,
    (now, after, rows): (Timestamp, Option<&str>, i64),
) -> Result<Vec<Row>, Error> {
    let metric = metric.map(Metric::as_str);
    let args = [scope.org_key().0.into(), now.into(), metric.into(), after.into(), rows.into()];
    connection.all(&HOLDS, &args).await
}

/// Whose hold this is.
pub(crate) async fn org_of_hold(connection: &mut Connection, hold_id: &HoldId) -> Result<Option<OrgId>, Error> {
    let row = connection.optional(&ORG_OF_HOLD, &[hold_id.as_str().into()]).await?;
    row.map(|row| crate::ledger::rows::id(OrgId::parse(&row.text("org_id")?))).transpose()
}

/// The number of the period that a label names.
pub(crate) async fn known_period(
    connection: &mut Connection,
    scope: &OrgScope,
    key: PeriodKey,
) -> Result<Option<i64>, Error> {
    let row = connection.optional(&KNOWN_PERIOD, &[scope.org_key().0.into(), key.to_string().into()]).await?;
    row.map(|row| row.i64("period_no")).transpose()
}

/// Which part of a series.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) metric: Option<&'a Metric>,
    pub(crate) rows: i64,
}

/// Usage per hour and metric.
pub(crate) async fn history_by_hour(
    c: &mut Connection,
    scope: &OrgScope,
    series: &Series<'_>,
) -> Result<Vec<Row>, Error> {
    c.all(&BY_HOUR, &series.args(scope)).await
}

/// Usage per UTC day and metric.
pub(crate) async fn history_by_day(
    c: &mut Connection,
    scope: &OrgScope,
    series: &Series<'_>,
) -> Result<Vec<Row>, Error> {
    c.all(&BY_DAY, &series.args(scope)).await
}

/// Usage per caller and metric.
pub(crate) async fn history_by_key(
    c: &mut Connection,
    scope: &OrgScope,
    series: &Series<'_>,
) -> Result<Vec<Row>, Error> {
    c.all(&BY_KEY, &series.args(scope)).await
}

impl Series<'_> {
    fn args(&self, scope: &OrgScope) -> [Arg; 5] {
        let metric = self.metric.map(Metric::as_str);
        [scope.org_key().0.into(), self.from.into(), self.to.into(), metric.into(), self.rows.into()]
    }
}

/// Orgs whose head is out of date or that have holds whose time ran out.
pub(crate) async fn orgs_due(connection: &mut Connection, now: Timestamp, rows: i64) -> Result<Vec<OrgKey>, Error> {
    let rows = connection.all(&ORGS_DUE, &[now.into(), rows.into()]).await?;
    rows.iter().map(crate::ledger::rows::org_key).collect()
}

/// The next moment after `now` at which something of the ledger is due.
pub(crate) async fn next_due(connection: &mut Connection, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    connection.one(&NEXT_DUE, &[now.into()]).await?.opt_time("due")
}

/// Orgs in the order of their keys, with the label of their open period.
pub(crate) async fn orgs_in_month(connection: &mut Connection, after: OrgKey, rows: i64) -> Result<Vec<Row>, Error> {
    connection.all(&ORGS_IN_MONTH, &[after.0.into(), rows.into()]).await
}
