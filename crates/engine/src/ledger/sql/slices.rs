//! Slices of keys: what a line of keys may use of a metric, and what it used in a period.

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::load::pairs;
use crate::db::{Columns, Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(super) const ALL: &[&Statement] = &[&SLICES, &SAVE_SLICES];

/// Slices of lines whose last key ended before `$2` bind nobody any more.
const SLICES: Statement = Statement::split(
    "ledger.slices",
    "SELECT q.org_key, p.value->>1 AS period_no, q.key_id, q.metric, q.units, COALESCE(u.used, 0) AS used, COALESCE(u.held, 0) AS held
     FROM json_each($1) AS p
     CROSS JOIN key_quotas AS q ON q.org_key = p.value->>0
     LEFT JOIN key_usage AS u
       ON u.org_key = q.org_key AND u.period_no = p.value->>1 AND u.key_id = q.key_id AND u.metric = q.metric
     WHERE EXISTS (SELECT 1 FROM api_keys AS k
                   WHERE k.org_key = q.org_key AND k.line = q.key_id AND (k.revoked_at IS NULL OR k.revoked_at > $2)
                     AND (k.expires_at IS NULL OR k.expires_at > $2))
     ORDER BY q.org_key, q.key_id, q.metric
     LIMIT 1000000",
    "SELECT q.org_key, p.period_no, q.key_id, q.metric, q.units, COALESCE(u.used, 0) AS used, COALESCE(u.held, 0) AS held
     FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS p (org_key, period_no)
     JOIN key_quotas AS q ON q.org_key = p.org_key
     LEFT JOIN key_usage AS u
       ON u.org_key = q.org_key AND u.period_no = p.period_no AND u.key_id = q.key_id AND u.metric = q.metric
     WHERE EXISTS (SELECT 1 FROM api_keys AS k
                   WHERE k.org_key = q.org_key AND k.line = q.key_id AND (k.revoked_at IS NULL OR k.revoked_at > $3)
                     AND (k.expires_at IS NULL OR k.expires_at > $3))
     ORDER BY q.org_key, q.key_id, q.metric
     LIMIT 1000000",
);

const SAVE_SLICES: Statement = Statement::split(
    "ledger.save_slices",
    "INSERT INTO key_usage (org_key, period_no, key_id, metric, used, held)
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5
     FROM json_each($1)
     WHERE TRUE
     ON CONFLICT (org_key, period_no, key_id, metric) DO UPDATE SET used = excluded.used, held = excluded.held",
    "INSERT INTO key_usage (org_key, period_no, key_id, metric, used, held)
     SELECT *
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[])
     ON CONFLICT (org_key, period_no, key_id, metric) DO UPDATE SET used = excluded.used, held = excluded.held",
);

/// The slices of (org, period) pairs, save those whose keys all ended before a moment.
pub(crate) async fn slices(
    connection: &mut Connection,
    periods: &[(OrgKey, i64)],
    ended_before: Timestamp,
) -> Result<Vec<Row>, Error> {
    let mut args = pairs(periods).into_args(connection.kind());
    args.push(ended_before.into());
    connection.all(&SLICES, &args).await
}

/// Writes slices as they stand after the group.
pub(crate) async fn save_slices(tx: &mut Tx, rows: Columns) -> Result<u64, Error> {
    let args = rows.into_args(tx.kind());
    tx.execute(&SAVE_SLICES, &args).await
}
