//! Statements about reports to billing.

use tollgate_rules::ids::{CustomerId, Metric, OrgKey, SubscriptionId};
use tollgate_rules::ledger::TOTAL_MAX;
use tollgate_rules::metering::{Block, Position};
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

use crate::db::{Arg, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&POSITIONS, &FROZEN, &INSERT, &SET_STATE, &NEWEST, &MINUTES, &OVER];

/// One metric of one period where something was used beyond a metered limit, or was told.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) org_key: OrgKey,
    pub(super) org_id: String,
    pub(super) period_no: i64,
    pub(super) period_key: String,
    pub(super) period: Period,
    pub(super) metric: Metric,
    pub(super) subscription_id: SubscriptionId,
    pub(super) plan_code: String,
    pub(super) plan_version: u32,
    /// `metered` only says that no report came too late; the rest of it is filled in by who knows the plan.
    pub(super) position: Position,
}

/// Places that are not at rest, or were told something. Trials are never charged.
const POSITIONS: Statement = Statement::new(
    "metering.positions",
    "SELECT t.org_key, t.org_id, t.period_no, t.period_key, t.period_start, t.period_end, t.metric, t.subscription_id, t.plan_code,
            t.plan_version, t.overage, t.metered_minor, t.metered_units, t.reported, t.items_minor, t.late,
            (SELECT r.block_minor FROM meter_reports AS r
             WHERE r.org_key = t.org_key AND r.period_no = t.period_no AND r.metric = t.metric AND r.kind = 'event'
               AND r.state IN ('frozen', 'sent')
             ORDER BY r.created_at DESC, r.report_id DESC LIMIT 1) AS last_minor,
            (SELECT r.block_units FROM meter_reports AS r
             WHERE r.org_key = t.org_key AND r.period_no = t.period_no AND r.metric = t.metric AND r.kind = 'event'
               AND r.state IN ('frozen', 'sent')
             ORDER BY r.created_at DESC, r.report_id DESC LIMIT 1) AS last_units
     FROM (
       SELECT c.org_key, o.org_id, c.period_no, p.period_key, p.period_start, p.period_end, c.metric, p.subscription_id,
              l.plan_code, l.plan_version, c.metered_minor, c.metered_units,
              CASE WHEN c.included IS NULL OR c.used < c.included + c.granted THEN 0 ELSE c.used - c.included - c.granted END AS overage,
              CAST(COALESCE((SELECT SUM(r.units) FROM meter_reports AS r
                WHERE r.org_key = c.org_key AND r.period_no = c.period_no AND r.metric = c.metric AND r.kind = 'event'
                  AND r.state IN ('frozen', 'sent')), 0) AS BIGINT) AS reported,
              CAST(COALESCE((SELECT SUM(r.amount_minor) FROM meter_reports AS r
                WHERE r.org_key = c.org_key AND r.period_no = c.period_no AND r.metric = c.metric AND r.kind = 'item'
                  AND r.state IN ('frozen', 'sent')), 0) AS BIGINT) AS items_minor,
              (SELECT COUNT(*) FROM meter_reports AS r
                WHERE r.org_key = c.org_key AND r.period_no = c.period_no AND r.metric = c.metric AND r.kind = 'event'
                  AND r.state = 'late') AS late
       FROM usage_counters AS c
       JOIN usage_periods AS p ON p.org_key = c.org_key AND p.period_no = c.period_no
       JOIN organizations AS o ON o.org_key = c.org_key
       JOIN usage_limits AS l
         ON l.org_key = c.org_key AND l.period_no = c.period_no AND l.metric = c.metric AND l.limit_version = c.limit_version
       WHERE c.metered_units IS NOT NULL AND l.plan_code <> 'trial' AND p.period_end > $2
         AND (CAST($1 AS BIGINT) IS NULL OR c.org_key = $1) AND c.org_key > $3
     ) AS t
     WHERE t.overage <> 0 OR t.reported <> 0 OR t.items_minor <> 0
     ORDER BY t.org_key, t.period_no, t.metric
     LIMIT $4",
);

/// Which places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Where {
    /// Of one org; nothing: of all.
    pub(super) org: Option<OrgKey>,
    /// Of orgs behind this one.
    pub(super) after: OrgKey,
    /// Of periods that ended later.
    pub(super) ended_after: Timestamp,
}

/// Places, in the order of their orgs.
pub(super) async fn places(connection: &mut Connection, wanted: Where, limit: i64) -> Result<Vec<Place>, Error> {
    let args = [wanted.org.map(|org| org.0).into(), wanted.ended_after.into(), wanted.after.0.into(), limit.into()];
    connection.all(&POSITIONS, &args).await?.iter().map(place).collect()
}

fn place(row: &Row) -> Result<Place, Error> {
    let block = |minor: &str, units: &str| {
        Ok::<_, Error>(match (row.opt_i64(minor)?, row.opt_i64(units)?) {
            (Some(amount_minor), Some(per_units)) => Some(Block { amount_minor, per_units }),
            _ => None,
        })
    };
    Ok(Place {
        org_key: OrgKey(row.i64("org_key")?),
        org_id: row.text("org_id")?,
        period_no: row.i64("period_no")?,
        period_key: row.text("period_key")?,
        period: Period::new(row.time("period_start")?, row.time("period_end")?),
        metric: metric(row)?,
        subscription_id: subscription(row)?,
        plan_code: row.text("plan_code")?,
        plan_version: u32::try_from(row.i64("plan_version")?).unwrap_or(0),
        position: Position {
            overage: row.i64("overage")?.min(TOTAL_MAX),
            block: block("metered_minor", "metered_units")?
                .ok_or_else(|| Error::Bug("a metered counter without a price".to_owned()))?,
            reported: row.i64("reported")?,
            reported_at: block("last_minor", "last_units")?,
            items_minor: row.i64("items_minor")?,
            metered: row.i64("late")? == 0,
        },
    })
}

/// What a report tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Units to a meter.
    Event,
    /// The report with this id is taken back.
    Cancel(String),
    /// Money by an invoice item.
    Item,
}

impl Kind {
    fn as_str(&self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Cancel(_) => "cancel",
            Kind::Item => "item",
        }
    }
}

/// A report as it is stored; it never changes but for its state.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) org_key: OrgKey,
    pub(super) report_id: String,
    pub(super) kind: Kind,
    pub(super) period_no: i64,
    pub(super) period: Period,
    pub(super) period_key: String,
    pub(super) metric: Metric,
    pub(super) units: i64,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) block: Block,
    pub(super) customer_id: CustomerId,
    pub(super) subscription_id: SubscriptionId,
    pub(super) plan_code: String,
    pub(super) plan_version: u32,
    pub(super) occurred_at: Timestamp,
    pub(super) created_at: Timestamp,
}

const FROZEN: Statement = Statement::new(
    "metering.frozen",
    "SELECT r.org_key, r.report_id, r.kind, r.period_no, p.period_key, p.period_start, p.period_end, r.metric, r.units, r.amount_minor,
            r.currency, r.block_minor, r.block_units, r.about, r.customer_id, r.subscription_id, r.plan_code, r.plan_version,
            r.occurred_at, r.created_at
     FROM meter_reports AS r
     JOIN usage_periods AS p ON p.org_key = r.org_key AND p.period_no = r.period_no
     WHERE r.state = 'frozen' AND (CAST($1 AS BIGINT) IS NULL OR r.org_key = $1)
     ORDER BY r.created_at, r.report_id
     LIMIT 1000",
);

/// Reports that were frozen and may or may not have been sent, oldest first.
pub(super) async fn frozen(connection: &mut Connection, org: Option<OrgKey>) -> Result<Vec<Report>, Error> {
    let rows = connection.all(&FROZEN, &[org.map(|org| org.0).into()]).await?;
    rows.iter().map(report).collect()
}

const NEWEST: Statement = Statement::new(
    "metering.newest",
    "SELECT r.org_key, r.report_id, r.kind, r.period_no, p.period_key, p.period_start, p.period_end, r.metric, r.units, r.amount_minor,
            r.currency, r.block_minor, r.block_units, r.about, r.customer_id, r.subscription_id, r.plan_code, r.plan_version,
            r.occurred_at, r.created_at
     FROM meter_reports AS r
     JOIN usage_periods AS p ON p.org_key = r.org_key AND p.period_no = r.period_no
     WHERE r.org_key = $1 AND r.period_no = $2 AND r.metric = $3 AND r.kind = 'event' AND r.state = 'sent' AND r.created_at > $4
     ORDER BY r.created_at DESC, r.report_id DESC
     LIMIT 1",
);

/// The newest report of units of a place that was sent after a moment.
pub(super) async fn newest(
    connection: &mut Connection,
    place: &Place,
    after: Timestamp,
) -> Result<Option<Report>, Error> {
    let args = [place.org_key.0.into(), place.period_no.into(), place.metric.as_str().into(), after.into()];
    connection.optional(&NEWEST, &args).await?.as_ref().map(report).transpose()
}

fn report(row: &Row) -> Result<Report, Error> {
    let kind = match row.text("kind")?.as_str() {
        "event" => Kind::Event,
        "item" => Kind::Item,
        _ => Kind::Cancel(row.text("about")?),
    };
    Ok(Report {
        org_key: OrgKey(row.i64("org_key")?),
        report_id: row.text("report_id")?,
        kind,
        period_no: row.i64("period_no")?,
        period: Period::new(row.time("period_start")?, row.time("period_end")?),
        period_key: row.text("period_key")?,
        metric: metric(row)?,
        units: row.i64("units")?,
        amount_minor: row.i64("amount_minor")?,
        currency: row.text("currency")?,
        block: Block { amount_minor: row.i64("block_minor")?, per_units: row.i64("block_units")? },
        customer_id: CustomerId::parse(&row.text("customer_id")?).map_err(|error| Error::Bug(error.to_string()))?,
        subscription_id: subscription(row)?,
        plan_code: row.text("plan_code")?,
        plan_version: u32::try_from(row.i64("plan_version")?).unwrap_or(0),
        occurred_at: row.time("occurred_at")?,
        created_at: row.time("created_at")?,
    })
}

const INSERT: Statement = Statement::new(
    "metering.insert",
    "INSERT INTO meter_reports (org_key, report_id, kind, period_no, metric, units, amount_minor, currency, block_minor, block_units, about,
       customer_id, subscription_id, plan_code, plan_version, occurred_at, state, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 'frozen', $17)",
);

/// Freezes a report.
pub(super) async fn insert(tx: &mut Tx, report: &Report) -> Result<(), Error> {
    let about = match &report.kind {
        Kind::Cancel(id) => Some(id.as_str()),
        Kind::Event | Kind::Item => None,
    };
    let args: [Arg; 17] = [
        report.org_key.0.into(),
        report.report_id.as_str().into(),
        report.kind.as_str().into(),
        report.period_no.into(),
        report.metric.as_str().into(),
        report.units.into(),
        report.amount_minor.into(),
        report.currency.as_str().into(),
        report.block.amount_minor.into(),
        report.block.per_units.into(),
        about.into(),
        report.customer_id.as_str().into(),
        report.subscription_id.as_str().into(),
        report.plan_code.as_str().into(),
        report.plan_version.into(),
        report.occurred_at.into(),
        report.created_at.into(),
    ];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const SET_STATE: Statement = Statement::new(
    "metering.set_state",
    "UPDATE meter_reports SET state = $4, sent_at = $5 WHERE org_key = $1 AND report_id = $2 AND state = $3",
);

/// Moves a report from one state to another, if it is still in the first.
pub(super) async fn set_state(
    tx: &mut Tx,
    (org_key, report_id): (OrgKey, &str),
    (from, to): (&str, &str),
    at: Timestamp,
) -> Result<(), Error> {
    let args = [org_key.0.into(), report_id.into(), from.into(), to.into(), at.into()];
    tx.execute(&SET_STATE, &args).await.map(|_| ())
}

const MINUTES: Statement = Statement::new(
    "metering.minutes",
    "SELECT occurred_at FROM meter_reports
     WHERE org_key = $1 AND metric = $2 AND kind = 'event' AND occurred_at >= $3 AND occurred_at < $4
     ORDER BY occurred_at
     LIMIT 100000",
);

/// When units were reported for between two moments: each report has a minute of its own, so that it can be read back alone.
pub(super) async fn minutes(
    connection: &mut Connection,
    (org_key, metric): (OrgKey, &Metric),
    (from, until): (Timestamp, Timestamp),
) -> Result<Vec<Timestamp>, Error> {
    let args = [org_key.0.into(), metric.as_str().into(), from.into(), until.into()];
    connection.all(&MINUTES, &args).await?.iter().map(|row| row.time("occurred_at")).collect()
}

const OVER: Statement = Statement::new(
    "metering.over",
    "SELECT COUNT(*) AS places
     FROM usage_counters
     WHERE org_key = $1 AND period_no = $2 AND metered_units IS NOT NULL AND used > included + granted",
);

/// Whether anything of a period is charged.
pub(super) async fn is_over(connection: &mut Connection, org_key: OrgKey, period_no: i64) -> Result<bool, Error> {
    Ok(connection.one(&OVER, &[org_key.0.into(), period_no.into()]).await?.i64("places")? > 0)
}

fn metric(row: &Row) -> Result<Metric, Error> {
    Metric::parse(&row.text("metric")?).map_err(|error| Error::Bug(format!("a stored metric: {error}")))
}

fn subscription(row: &Row) -> Result<SubscriptionId, Error> {
    SubscriptionId::parse(&row.text("subscription_id")?).map_err(|error| Error::Bug(format!("a subscription: {error}")))
}
