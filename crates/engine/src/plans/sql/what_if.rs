//! Statements that read what was used, to be folded through other terms.

use tollgate_rules::catalog::OveragePolicy;
use tollgate_rules::ids::{Metric, OrgId, OrgKey};
use tollgate_rules::period::{Interval, PeriodKey};
use tollgate_rules::time::Timestamp;
use tollgate_rules::what_if::Used;

use crate::db::{Connection, Error, Row, Statement};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&SUBSCRIBED, &COUNTERS, &EVENTS];

/// Of several live subscriptions of an org all are paid for.
const SUBSCRIBED: Statement = Statement::new(
    "plans.what_if_subscribed",
    "SELECT s.org_key, o.org_id, s.plan_code, s.plan_version, s.billing_interval, CAST(SUM(s.quantity) AS BIGINT) AS quantity
     FROM subscriptions AS s
     JOIN organizations AS o ON o.org_key = s.org_key
     WHERE s.org_key > $1 AND s.status IN ('active', 'past_due') AND s.plan_code IS NOT NULL AND s.plan_version IS NOT NULL
       AND s.subscription_id = (
         SELECT MAX(n.subscription_id)
         FROM subscriptions AS n
         WHERE n.org_key = s.org_key AND n.status IN ('active', 'past_due') AND n.plan_code IS NOT NULL)
     GROUP BY s.org_key, o.org_id, s.plan_code, s.plan_version, s.billing_interval
     ORDER BY s.org_key
     LIMIT $2",
);

/// A subscription that is paid for.
pub(in crate::plans) struct Subscribed {
    pub(in crate::plans) org_key: OrgKey,
    pub(in crate::plans) org_id: OrgId,
    pub(in crate::plans) plan_code: String,
    pub(in crate::plans) plan_version: u32,
    pub(in crate::plans) interval: Interval,
    pub(in crate::plans) quantity: i64,
}

/// Paid subscriptions of orgs after one.
pub(in crate::plans) async fn subscribed(
    connection: &mut Connection,
    after: OrgKey,
    limit: i64,
) -> Result<Vec<Subscribed>, Error> {
    let rows = connection.all(&SUBSCRIBED, &[after.0.into(), limit.into()]).await?;
    let read = |row: &Row| {
        Ok(Subscribed {
            org_key: OrgKey(row.i64("org_key")?),
            org_id: org_id(row)?,
            plan_code: row.text("plan_code")?,
            plan_version: super::small(row, "plan_version")?,
            interval: super::interval(row)?,
            quantity: row.i64("quantity")?,
        })
    };
    rows.iter().map(read).collect()
}

/// A trial counts no money, but its limit may change too. An override shows in the counter's limit being none of the plan's.
const COUNTERS: Statement = Statement::new(
    "plans.what_if_counters",
    "SELECT c.org_key, o.org_id, c.period_no, p.period_key, p.plan_code, c.metric, c.included, c.granted, c.metered_minor,
            c.metered_units, c.used,
            CAST(CASE WHEN EXISTS (
              SELECT 1 FROM overrides AS x
              WHERE x.org_key = c.org_key AND x.metric = c.metric AND x.starts_at < p.period_end AND x.cleared_at IS NULL
                AND (x.ends_at IS NULL OR x.ends_at > p.period_start)) THEN 1 ELSE 0 END AS BIGINT) AS by_override
     FROM usage_periods AS p
     JOIN usage_counters AS c ON c.org_key = p.org_key AND c.period_no = p.period_no
     JOIN organizations AS o ON o.org_key = c.org_key
     WHERE p.period_end > $1 AND c.used > 0
       AND (c.org_key > $2 OR (c.org_key = $2 AND (c.period_no > $3 OR (c.period_no = $3 AND c.metric > $4))))
     ORDER BY c.org_key, c.period_no, c.metric
     LIMIT $5",
);

/// What a period used of a metric, under its limit.
pub(in crate::plans) struct Line {
    pub(in crate::plans) org_key: OrgKey,
    pub(in crate::plans) org_id: OrgId,
    pub(in crate::plans) period_no: i64,
    pub(in crate::plans) period_key: PeriodKey,
    pub(in crate::plans) plan_code: String,
    pub(in crate::plans) metric: Metric,
    pub(in crate::plans) included: Option<i64>,
    pub(in crate::plans) granted: i64,
    pub(in crate::plans) policy: OveragePolicy,
    pub(in crate::plans) used: i64,
    /// Whether an operator's exception decided the limit.
    pub(in crate::plans) by_override: bool,
}

/// Used counters of periods that were not over at a moment, after a place.
pub(in crate::plans) async fn counters(
    connection: &mut Connection,
    since: Timestamp,
    after: Option<&(OrgKey, i64, String)>,
    limit: i64,
) -> Result<Vec<Line>, Error> {
    let (org, no, metric) = after.map_or((i64::MIN, i64::MIN, ""), |(org, no, metric)| (org.0, *no, metric.as_str()));
    let rows = connection.all(&COUNTERS, &[since.into(), org.into(), no.into(), metric.into(), limit.into()]).await?;
    rows.iter().map(read_line).collect()
}

fn read_line(row: &Row) -> Result<Line, Error> {
    let bug = |what: String| Error::Bug(format!("a stored counter: {what}"));
    let policy = match row.opt_i64("metered_units")? {
        None => OveragePolicy::HardStop,
        Some(per_units) => OveragePolicy::Metered { amount_minor: row.i64("metered_minor")?, per_units },
    };
    Ok(Line {
        org_key: OrgKey(row.i64("org_key")?),
        org_id: org_id(row)?,
        period_no: row.i64("period_no")?,
        period_key: PeriodKey::parse(&row.text("period_key")?).map_err(|error| bug(error.to_string()))?,
        plan_code: row.text("plan_code")?,
        metric: Metric::parse(&row.text("metric")?).map_err(|error| bug(error.to_string()))?,
        included: row.opt_i64("included")?,
        granted: row.i64("granted")?,
        policy,
        used: row.i64("used")?,
        by_override: row.i64("by_override")? == 1,
    })
}

const EVENTS: Statement = Statement::new(
    "plans.what_if_events",
    "SELECT seq, delta, forced, recorded_at
     FROM usage_events
     WHERE org_key = $1 AND period_no = $2 AND metric = $3 AND seq > $4 AND delta <> 0
     ORDER BY seq
     LIMIT $5",
);

/// A counter.
pub(in crate::plans) struct Place<'a> {
    pub(in crate::plans) org_key: OrgKey,
    pub(in crate::plans) period_no: i64,
    pub(in crate::plans) metric: &'a Metric,
}

/// A counter's lines after one, in the order they were written.
pub(in crate::plans) async fn events(
    connection: &mut Connection,
    place: &Place<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Used)>, Error> {
    let args =
        [place.org_key.0.into(), place.period_no.into(), place.metric.as_str().into(), after.into(), limit.into()];
    let rows = connection.all(&EVENTS, &args).await?;
    let read = |row: &Row| {
        let used = Used { delta: row.i64("delta")?, forced: row.i64("forced")?, at: row.time("recorded_at")? };
        Ok((row.i64("seq")?, used))
    };
    rows.iter().map(read).collect()
}

fn org_id(row: &Row) -> Result<OrgId, Error> {
    OrgId::parse(&row.text("org_id")?).map_err(|error| Error::Bug(format!("a stored org: {error}")))
}
