//! Statements about plans.

pub(crate) mod what_if;

use std::collections::BTreeMap;

use tollgate_rules::catalog::{MetricName, PlanPrice};
use tollgate_rules::ids::{Metric, PlanCode, PriceId};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &LOCK,
    &HEADS,
    &SOLD,
    &CONTENT,
    &ADD_VERSION,
    &PUT_HEAD,
    &ARCHIVE,
    &METRICS,
    &PUT_METRIC,
    &DROP_METRIC,
    &PRICE_OF,
    &PRICES_OF_PLAN,
    &PUT_PRICE,
    &OLD_PRICES,
    &MARK_PRICE,
    &ORGS_BY_VERSION,
    &ORGS_OVER,
];

/// One publisher at a time: the embedded database has one writer anyway.
const LOCK: Statement = Statement::split(
    "plans.lock",
    "UPDATE plans SET version = version WHERE plan_code = ''",
    "LOCK TABLE plans IN SHARE ROW EXCLUSIVE MODE",
);
const HEADS: Statement = Statement::new(
    "plans.heads",
    "SELECT p.plan_code, p.version, p.position, p.archived_at, v.content_hash
     FROM plans p
     JOIN plan_versions v ON v.plan_code = p.plan_code AND v.version = p.version
     ORDER BY p.plan_code
     LIMIT 10000",
);
const SOLD: Statement = Statement::new(
    "plans.sold",
    "SELECT p.version, p.position, v.content
     FROM plans p
     JOIN plan_versions v ON v.plan_code = p.plan_code AND v.version = p.version
     WHERE p.archived_at IS NULL
     ORDER BY p.position
     LIMIT 10000",
);
const CONTENT: Statement =
    Statement::new("plans.content", "SELECT content FROM plan_versions WHERE plan_code = $1 AND version = $2");
const ADD_VERSION: Statement = Statement::new(
    "plans.add_version",
    "INSERT INTO plan_versions (plan_code, version, content_hash, content, published_at) VALUES ($1, $2, $3, $4, $5)",
);
const PUT_HEAD: Statement = Statement::new(
    "plans.put_head",
    "INSERT INTO plans (plan_code, version, position, archived_at, updated_at)
     VALUES ($1, $2, $3, NULL, $4)
     ON CONFLICT (plan_code) DO UPDATE
     SET version = excluded.version, position = excluded.position, archived_at = NULL, updated_at = excluded.updated_at",
);
const ARCHIVE: Statement =
    Statement::new("plans.archive", "UPDATE plans SET archived_at = $2, updated_at = $2 WHERE plan_code = $1");
const METRICS: Statement =
    Statement::new("plans.metrics", "SELECT metric, name, unit FROM metrics ORDER BY metric LIMIT 10000");
const PUT_METRIC: Statement = Statement::new(
    "plans.put_metric",
    "INSERT INTO metrics (metric, name, unit)
     VALUES ($1, $2, $3)
     ON CONFLICT (metric) DO UPDATE SET name = excluded.name, unit = excluded.unit",
);
const DROP_METRIC: Statement = Statement::new("plans.drop_metric", "DELETE FROM metrics WHERE metric = $1");
const PRICE_OF: Statement =
    Statement::new("plans.of_price", "SELECT plan_code, plan_version FROM plan_prices WHERE price_id = $1");
const PRICES_OF_PLAN: Statement = Statement::new(
    "plans.prices_of_plan",
    "SELECT price_id, billing_interval, amount_minor, currency, lookup_key
     FROM plan_prices
     WHERE plan_code = $1 AND plan_version = $2
     ORDER BY created_at DESC, price_id
     LIMIT 100",
);
const PUT_PRICE: Statement = Statement::new(
    "plans.put_price",
    "INSERT INTO plan_prices
       (price_id, plan_code, plan_version, billing_interval, lookup_key, amount_minor, currency, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (price_id) DO UPDATE
     SET plan_code = excluded.plan_code, plan_version = excluded.plan_version, lookup_key = excluded.lookup_key",
);
/// Of versions that are not in force, or of plans that are not sold.
const OLD_PRICES: Statement = Statement::new(
    "plans.old_prices",
    "SELECT r.price_id
     FROM plan_prices r
     LEFT JOIN plans p ON p.plan_code = r.plan_code AND p.version = r.plan_version AND p.archived_at IS NULL
     WHERE r.archived_at IS NULL AND p.plan_code IS NULL
     ORDER BY r.price_id
     LIMIT 10000",
);
const MARK_PRICE: Statement =
    Statement::new("plans.mark_price", "UPDATE plan_prices SET archived_at = $2 WHERE price_id = $1");
const ORGS_BY_VERSION: Statement = Statement::new(
    "plans.orgs_by_version",
    "SELECT plan_version, COUNT(DISTINCT org_key) AS orgs
     FROM subscriptions
     WHERE plan_code = $1 AND plan_version IS NOT NULL AND status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
     GROUP BY plan_version
     ORDER BY plan_version
     LIMIT 10000",
);

const ORGS_OVER: Statement = Statement::new(
    "plans.orgs_over",
    "SELECT COUNT(*) AS orgs
     FROM ledger_heads h
     JOIN usage_counters c ON c.org_key = h.org_key AND c.period_no = h.period_no
     WHERE h.plan_code = $1 AND c.metric = $2 AND c.used > c.granted + $3",
);

/// The version in force of a plan.
pub(super) struct Head {
    pub(super) code: String,
    pub(super) version: u32,
    pub(super) position: u32,
    pub(super) archived: bool,
    pub(super) content_hash: String,
}

/// A plan that is sold.
pub(super) struct Sold {
    pub(super) version: u32,
    pub(super) position: u32,
    pub(super) content: String,
}

/// A version to be published.
pub(super) struct NewVersion<'a> {
    pub(super) code: &'a PlanCode,
    pub(super) version: u32,
    pub(super) hash: &'a str,
    pub(super) content: &'a str,
    pub(super) now: Timestamp,
}

/// A price at Stripe that belongs to a plan version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPrice {
    pub(crate) price_id: PriceId,
    pub(crate) interval: Interval,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) lookup_key: String,
}

pub(super) async fn lock(tx: &mut Tx) -> Result<(), Error> {
    tx.execute(&LOCK, &[]).await.map(|_| ())
}

pub(super) async fn heads(connection: &mut Connection) -> Result<Vec<Head>, Error> {
    let rows = connection.all(&HEADS, &[]).await?;
    let read = |row: &Row| {
        Ok(Head {
            code: row.text("plan_code")?,
            version: small(row, "version")?,
            position: small(row, "position")?,
            archived: row.opt_i64("archived_at")?.is_some(),
            content_hash: row.text("content_hash")?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn sold(connection: &mut Connection) -> Result<Vec<Sold>, Error> {
    let rows = connection.all(&SOLD, &[]).await?;
    let read = |row: &Row| {
        Ok(Sold { version: small(row, "version")?, position: small(row, "position")?, content: row.text("content")? })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn content(connection: &mut Connection, code: &str, version: u32) -> Result<Option<String>, Error> {
    let row = connection.optional(&CONTENT, &[code.into(), version.into()]).await?;
    row.map(|row| row.text("content")).transpose()
}

pub(super) async fn add_version(tx: &mut Tx, new: &NewVersion<'_>) -> Result<(), Error> {
    let args = [new.code.as_str().into(), new.version.into(), new.hash.into(), new.content.into(), new.now.into()];
    tx.execute(&ADD_VERSION, &args).await.map(|_| ())
}

pub(super) async fn put_head(
    tx: &mut Tx,
    code: &PlanCode,
    version: u32,
    position: u32,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(&PUT_HEAD, &[code.as_str().into(), version.into(), position.into(), now.into()]).await.map(|_| ())
}

pub(super) async fn archive(tx: &mut Tx, code: &str, now: Timestamp) -> Result<(), Error> {
    tx.execute(&ARCHIVE, &[code.into(), now.into()]).await.map(|_| ())
}

pub(super) async fn metrics(connection: &mut Connection) -> Result<Vec<(Metric, MetricName)>, Error> {
    let rows = connection.all(&METRICS, &[]).await?;
    let read = |row: &Row| {
        let metric =
            Metric::parse(&row.text("metric")?).map_err(|error| Error::Bug(format!("a stored metric: {error}")))?;
        Ok((metric, MetricName { name: row.text("name")?, unit: row.text("unit")? }))
    };
    rows.iter().map(read).collect()
}

/// Writes the differences only; says whether there is a metric more or less.
pub(super) async fn replace_metrics(tx: &mut Tx, metrics: &BTreeMap<Metric, MetricName>) -> Result<bool, Error> {
    let known: BTreeMap<Metric, MetricName> = self::metrics(tx).await?.into_iter().collect();
    for (metric, name) in metrics.iter().filter(|(metric, name)| known.get(*metric) != Some(*name)) {
        tx.execute(&PUT_METRIC, &[metric.as_str().into(), (&name.name).into(), (&name.unit).into()]).await?;
    }
    for metric in known.keys().filter(|metric| !metrics.contains_key(*metric)) {
        tx.execute(&DROP_METRIC, &[metric.as_str().into()]).await?;
    }
    Ok(!known.keys().eq(metrics.keys()))
}

/// The plan version that a price belongs to.
pub(crate) async fn plan_of_price(
    connection: &mut Connection,
    price_id: &PriceId,
) -> Result<Option<(String, u32)>, Error> {
    let row = connection.optional(&PRICE_OF, &[price_id.as_str().into()]).await?;
    row.map(|row| Ok((row.text("plan_code")?, small(&row, "plan_version")?))).transpose()
}

/// The prices of a plan version, newest first.
pub(super) async fn prices_of_plan(
    connection: &mut Connection,
    code: &PlanCode,
    version: u32,
) -> Result<Vec<StoredPrice>, Error> {
    let rows = connection.all(&PRICES_OF_PLAN, &[code.as_str().into(), version.into()]).await?;
    let read = |row: &Row| {
        let price_id = PriceId::parse(&row.text("price_id")?)
            .map_err(|error| Error::Bug(format!("a stored price id: {error}")))?;
        Ok(StoredPrice {
            price_id,
            interval: interval(row)?,
            amount_minor: row.i64("amount_minor")?,
            currency: row.text("currency")?,
            lookup_key: row.text("lookup_key")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Says that a price at Stripe belongs to a plan version.
pub(super) struct NewPriceRow<'a> {
    pub(super) price_id: &'a PriceId,
    pub(super) code: &'a PlanCode,
    pub(super) version: u32,
    pub(super) price: &'a PlanPrice,
    pub(super) now: Timestamp,
}

pub(super) async fn put_price(tx: &mut Tx, new: &NewPriceRow<'_>) -> Result<(), Error> {
    let args = [
        new.price_id.as_str().into(),
        new.code.as_str().into(),
        new.version.into(),
        new.price.interval.as_str().into(),
        (&new.price.lookup_key).into(),
        new.price.amount.minor.into(),
        new.price.amount.currency.as_str().into(),
        new.now.into(),
    ];
    tx.execute(&PUT_PRICE, &args).await.map(|_| ())
}

/// Prices that are on sale at Stripe and not in the catalog in force.
pub(super) async fn old_prices(connection: &mut Connection) -> Result<Vec<PriceId>, Error> {
    let rows = connection.all(&OLD_PRICES, &[]).await?;
    let read = |row: &Row| {
        PriceId::parse(&row.text("price_id")?).map_err(|error| Error::Bug(format!("a stored price id: {error}")))
    };
    rows.iter().map(read).collect()
}

/// Says since when a price is off sale; nothing: it is on sale.
pub(super) async fn mark_price(tx: &mut Tx, price_id: &PriceId, archived_at: Option<Timestamp>) -> Result<(), Error> {
    tx.execute(&MARK_PRICE, &[price_id.as_str().into(), archived_at.into()]).await.map(|_| ())
}

/// How many orgs have a live subscription on each version of a plan.
pub(super) async fn orgs_by_version(connection: &mut Connection, code: &PlanCode) -> Result<Vec<(u32, i64)>, Error> {
    let rows = connection.all(&ORGS_BY_VERSION, &[code.as_str().into()]).await?;
    rows.iter().map(|row| Ok((small(row, "plan_version")?, row.i64("orgs")?))).collect()
}

/// How many orgs on a plan have used more than so many units of a metric, beside what was granted, in their open period.
pub(super) async fn orgs_over(
    connection: &mut Connection,
    code: &PlanCode,
    metric: &Metric,
    units: i64,
) -> Result<i64, Error> {
    let args = [code.as_str().into(), metric.as_str().into(), units.into()];
    connection.one(&ORGS_OVER, &args).await?.i64("orgs")
}

pub(crate) fn interval(row: &Row) -> Result<Interval, Error> {
    let text = row.text("billing_interval")?;
    Interval::parse(&text).ok_or_else(|| Error::Bug(format!("a stored interval: {text}")))
}

pub(crate) fn small(row: &Row, column: &str) -> Result<u32, Error> {
    let number = row.i64(column)?;
    u32::try_from(number).map_err(|_| Error::Bug(format!("column {column}: {number} is out of range")))
}
