//! Statements about quotas of keys.

use tollgate_rules::ids::{KeyId, Metric};
use tollgate_rules::time::Timestamp;

use super::parsed;
use crate::access::OrgScope;
use crate::db::{Connection, Error, Statement, Tx};
use crate::keys::Share;

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &OF_LINES, &LINES];

const INSERT: Statement = Statement::new(
    "keys.insert_quota",
    "INSERT INTO key_quotas (org_key, key_id, metric, units) VALUES ($1, $2, $3, $4)",
);

/// Writes what a line may use of a metric.
pub(in crate::keys) async fn insert(
    tx: &mut Tx,
    scope: &OrgScope,
    line: &KeyId,
    (metric, units): (&Metric, i64),
) -> Result<(), Error> {
    let args = [scope.org_key().0.into(), line.as_str().into(), metric.as_str().into(), units.into()];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const OF_LINES: Statement = Statement::split(
    "keys.quotas_of_lines",
    "SELECT q.key_id, q.metric, q.units, COALESCE(u.used, 0) AS used, COALESCE(u.held, 0) AS held
     FROM json_each($2) AS line
     CROSS JOIN key_quotas AS q ON q.org_key = $1 AND q.key_id = line.value
     LEFT JOIN ledger_heads AS h ON h.org_key = q.org_key AND h.period_end > $3
     LEFT JOIN key_usage AS u
       ON u.org_key = q.org_key AND u.period_no = h.period_no AND u.key_id = q.key_id AND u.metric = q.metric
     ORDER BY q.key_id, q.metric
     LIMIT 10000",
    "SELECT q.key_id, q.metric, q.units, COALESCE(u.used, 0) AS used, COALESCE(u.held, 0) AS held
     FROM key_quotas AS q
     LEFT JOIN ledger_heads AS h ON h.org_key = q.org_key AND h.period_end > $3
     LEFT JOIN key_usage AS u
       ON u.org_key = q.org_key AND u.period_no = h.period_no AND u.key_id = q.key_id AND u.metric = q.metric
     WHERE q.org_key = $1 AND q.key_id = ANY($2)
     ORDER BY q.key_id, q.metric
     LIMIT 10000",
);

/// The quotas of lines, with what was used in the period that is open now.
pub(in crate::keys) async fn of_lines(
    connection: &mut Connection,
    scope: &OrgScope,
    lines: &[&KeyId],
    now: Timestamp,
) -> Result<Vec<(KeyId, Metric, Share)>, Error> {
    let lines: Vec<Option<String>> = lines.iter().map(|line| Some(line.as_str().to_owned())).collect();
    let rows = connection.all(&OF_LINES, &[scope.org_key().0.into(), lines.into(), now.into()]).await?;
    let read = rows.iter().map(|row| {
        let share = Share { units: row.i64("units")?, used: row.i64("used")?, held: row.i64("held")? };
        Ok((parsed(KeyId::parse(&row.text("key_id")?))?, parsed(Metric::parse(&row.text("metric")?))?, share))
    });
    read.collect()
}

const LINES: Statement = Statement::new(
    "keys.lines_with_quota",
    "SELECT COUNT(DISTINCT q.key_id) AS found
     FROM key_quotas AS q
     JOIN api_keys AS k ON k.org_key = q.org_key AND k.line = q.key_id
     WHERE q.org_key = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)",
);

/// How many lines have a quota and a live key.
pub(in crate::keys) async fn lines(
    connection: &mut Connection,
    scope: &OrgScope,
    now: Timestamp,
) -> Result<i64, Error> {
    connection.one(&LINES, &[scope.org_key().0.into(), now.into()]).await?.i64("found")
}
