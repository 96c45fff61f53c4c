//! Statements about what was used in a quota period, for entitlements. The tables are the ledger's.

use tollgate_rules::ids::{OrgKey, SubscriptionId};
use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&PERIOD_OF, &PERIODS_IN_MONTH, &COUNTERS, &USED_AT, &HELD_AT];

const PERIOD_OF: Statement = Statement::new(
    "subscriptions.period_of",
    "SELECT period_no, period_key
     FROM usage_periods
     WHERE org_key = $1 AND subscription_id = $2 AND period_start = $3",
);
const PERIODS_IN_MONTH: Statement = Statement::new(
    "subscriptions.periods_in_month",
    "SELECT period_key FROM usage_periods WHERE org_key = $1 AND period_key LIKE $2 LIMIT 10000",
);
const COUNTERS: Statement = Statement::new(
    "subscriptions.counters",
    "SELECT metric, used, held FROM usage_counters WHERE org_key = $1 AND period_no = $2 ORDER BY metric LIMIT 10000",
);
const USED_AT: Statement = Statement::new(
    "subscriptions.used_at",
    "SELECT metric, CAST(COALESCE(SUM(delta), 0) AS BIGINT) AS used
     FROM usage_events
     WHERE org_key = $1 AND period_no = $2 AND recorded_at <= $3
     GROUP BY metric
     ORDER BY metric
     LIMIT 10000",
);
const HELD_AT: Statement = Statement::new(
    "subscriptions.held_at",
    "SELECT metric, CAST(COALESCE(SUM(units), 0) AS BIGINT) AS held
     FROM usage_holds
     WHERE org_key = $1 AND period_no = $2 AND taken_at <= $3 AND expires_at > $3 AND (closed_at IS NULL OR closed_at > $3)
     GROUP BY metric
     ORDER BY metric
     LIMIT 10000",
);

/// The number and label of a quota period that was opened.
pub(in crate::subscriptions) async fn period_of(
    connection: &mut Connection,
    org_key: OrgKey,
    subscription_id: &SubscriptionId,
    start: Timestamp,
) -> Result<Option<(i64, String)>, Error> {
    let args = [org_key.0.into(), subscription_id.as_str().into(), start.into()];
    let row = connection.optional(&PERIOD_OF, &args).await?;
    row.map(|row| Ok((row.i64("period_no")?, row.text("period_key")?))).transpose()
}

/// The labels of the org's periods that start in a month (`2026-01`).
pub(in crate::subscriptions) async fn periods_in_month(
    connection: &mut Connection,
    org_key: OrgKey,
    month: &str,
) -> Result<Vec<String>, Error> {
    let rows = connection.all(&PERIODS_IN_MONTH, &[org_key.0.into(), format!("{month}%").into()]).await?;
    rows.iter().map(|row| row.text("period_key")).collect()
}

/// Used and held units per metric as they are now.
pub(in crate::subscriptions) async fn counters(
    connection: &mut Connection,
    org_key: OrgKey,
    period_no: i64,
) -> Result<Vec<(String, i64, i64)>, Error> {
    let rows = connection.all(&COUNTERS, &[org_key.0.into(), period_no.into()]).await?;
    rows.iter().map(|row| Ok((row.text("metric")?, row.i64("used")?, row.i64("held")?))).collect()
}

/// Used units per metric at a past moment, from the events themselves.
pub(in crate::subscriptions) async fn used_at(
    connection: &mut Connection,
    org_key: OrgKey,
    period_no: i64,
    at: Timestamp,
) -> Result<Vec<(String, i64)>, Error> {
    let rows = connection.all(&USED_AT, &[org_key.0.into(), period_no.into(), at.into()]).await?;
    rows.iter().map(|row| Ok((row.text("metric")?, row.i64("used")?))).collect()
}

/// Held units per metric at a past moment.
pub(in crate::subscriptions) async fn held_at(
    connection: &mut Connection,
    org_key: OrgKey,
    period_no: i64,
    at: Timestamp,
) -> Result<Vec<(String, i64)>, Error> {
    let rows = connection.all(&HELD_AT, &[org_key.0.into(), period_no.into(), at.into()]).await?;
    rows.iter().map(|row| Ok((row.text("metric")?, row.i64("held")?))).collect()
}
