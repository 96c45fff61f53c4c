//! Units that were used and not paid for.

use tollgate_rules::ids::{Metric, OrgKey};
use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(super) const ALL: &[&Statement] = &[&DEBTS, &PUT_DEBT, &PLANS_OF_PERIOD];

/// Only the newest lines still count; what was owed before is kept as a journal.
const DEBTS: Statement = Statement::new(
    "ledger.debts",
    "SELECT d.metric, d.units, d.since
     FROM unit_debts AS d
     WHERE d.org_key = $1
       AND d.since = (SELECT MAX(n.since) FROM unit_debts AS n WHERE n.org_key = d.org_key AND n.metric = d.metric)
     ORDER BY d.metric
     LIMIT 10000",
);

/// What an org owes of each metric.
pub(crate) async fn debts(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<Row>, Error> {
    connection.all(&DEBTS, &[org_key.0.into()]).await
}

const PUT_DEBT: Statement = Statement::new(
    "ledger.put_debt",
    "INSERT INTO unit_debts (org_key, metric, since, units)
     VALUES ($1, $2, $3, $4)
     ON CONFLICT (org_key, metric, since) DO UPDATE SET units = excluded.units",
);

/// Writes down what an org owes of a metric from a moment on.
pub(crate) async fn put_debt(
    tx: &mut Tx,
    (org_key, metric): (OrgKey, &Metric),
    (since, units): (Timestamp, i64),
) -> Result<u64, Error> {
    tx.execute(&PUT_DEBT, &[org_key.0.into(), metric.as_str().into(), since.into(), units.into()]).await
}

const PLANS_OF_PERIOD: Statement = Statement::new(
    "ledger.plans_of_period",
    "SELECT plan_code, plan_version, MIN(set_at) AS set_at
     FROM usage_limits
     WHERE org_key = $1 AND period_no = $2
     GROUP BY plan_code, plan_version
     ORDER BY 3, plan_code, plan_version
     LIMIT 10000",
);

/// The plan versions whose limits a period had, with when each came first.
pub(crate) async fn plans_of_period(
    connection: &mut Connection,
    (org_key, period_no): (OrgKey, i64),
) -> Result<Vec<Row>, Error> {
    connection.all(&PLANS_OF_PERIOD, &[org_key.0.into(), period_no.into()]).await
}
