//! Opening periods and writing what applies to an org.

use tollgate_rules::catalog::Draws;
use tollgate_rules::ids::{Metric, OrgKey, SubscriptionId};
use tollgate_rules::time::Timestamp;

use crate::db::{Arg, Columns, Error, Row, Statement, Tx};

/// Every statement here.
pub(super) const ALL: &[&Statement] = &[
    &INSERT_HEAD,
    &SAVE_HEAD,
    &PERIOD_OF,
    &PERIOD_KEYS,
    &INSERT_PERIOD,
    &SAVE_PERIOD_END,
    &LIMIT_HISTORY,
    &SAVE_DRAWS,
];

/// Made due at once, so that whoever locks it next resolves it.
const INSERT_HEAD: Statement = Statement::new(
    "ledger.insert_head",
    "INSERT INTO ledger_heads (org_key, access, deny_status, strict, valid_until, generation)
     VALUES ($1, 'no_subscription', 429, 1, $2, 0)
     ON CONFLICT (org_key) DO NOTHING",
);

const SAVE_HEAD: Statement = Statement::new(
    "ledger.save_head",
    "UPDATE ledger_heads
     SET access = $2, plan_code = $3, plan_version = $4, trial_of = $5, deny_status = $6, strict = $7, subscription_id = $8,
         period_no = $9, period_key = $10, period_start = $11, period_end = $12, valid_until = $13, spend_cap = $14,
         generation = generation + 1
     WHERE org_key = $1",
);

const PERIOD_OF: Statement = Statement::new(
    "ledger.period_of",
    "SELECT period_no, period_key, period_start, period_end
     FROM usage_periods
     WHERE org_key = $1 AND subscription_id = $2 AND period_start = $3",
);

const PERIOD_KEYS: Statement = Statement::new(
    "ledger.period_keys",
    "SELECT period_no, period_key
     FROM usage_periods
     WHERE org_key = $1
     ORDER BY period_no DESC
     LIMIT 100000",
);

const INSERT_PERIOD: Statement = Statement::new(
    "ledger.insert_period",
    "INSERT INTO usage_periods (org_key, period_no, subscription_id, period_key, period_start, period_end, plan_code, plan_version, opened_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
);

const SAVE_PERIOD_END: Statement = Statement::new(
    "ledger.save_period_end",
    "UPDATE usage_periods
     SET period_end = $3
     WHERE org_key = $1 AND period_no = $2",
);

const LIMIT_HISTORY: Statement = Statement::split(
    "ledger.limit_history",
    "INSERT INTO usage_limits (org_key, period_no, metric, limit_version, included, granted, metered_minor, metered_units, plan_code,
       plan_version, set_at)
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10
     FROM json_each($1)
     WHERE TRUE
     ON CONFLICT (org_key, period_no, metric, limit_version) DO NOTHING",
    "INSERT INTO usage_limits (org_key, period_no, metric, limit_version, included, granted, metered_minor, metered_units, plan_code,
       plan_version, set_at)
     SELECT *
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::TEXT[],
       $10::BIGINT[], $11::BIGINT[])
     ON CONFLICT (org_key, period_no, metric, limit_version) DO NOTHING",
);

const SAVE_DRAWS: Statement = Statement::new(
    "ledger.save_draws",
    "UPDATE usage_counters
     SET pool = $4, pool_rate = $5
     WHERE org_key = $1 AND period_no = $2 AND metric = $3",
);

/// Says which pool a counter draws on from now on.
pub(crate) async fn save_draws(
    tx: &mut Tx,
    (org_key, period_no): (OrgKey, i64),
    metric: &Metric,
    draws: Option<&Draws>,
) -> Result<u64, Error> {
    let pool = draws.map(|draws| draws.pool.as_str());
    let rate = draws.map(|draws| draws.rate);
    tx.execute(&SAVE_DRAWS, &[org_key.0.into(), period_no.into(), metric.as_str().into(), pool.into(), rate.into()])
        .await
}

/// Makes sure that an org has a head to lock.
pub(crate) async fn insert_head(tx: &mut Tx, org_key: OrgKey) -> Result<u64, Error> {
    tx.execute(&INSERT_HEAD, &[org_key.0.into(), Timestamp::MIN.into()]).await
}

/// Writes a head: the arguments in the order of the statement, the org first.
pub(crate) async fn save_head(tx: &mut Tx, args: &[Arg]) -> Result<u64, Error> {
    tx.execute(&SAVE_HEAD, args).await
}

/// The period of a subscription that starts at this moment, if it was ever opened.
pub(crate) async fn period_of(
    tx: &mut Tx,
    org_key: OrgKey,
    subscription: &SubscriptionId,
    start: Timestamp,
) -> Result<Option<Row>, Error> {
    tx.optional(&PERIOD_OF, &[org_key.0.into(), subscription.as_str().into(), start.into()]).await
}

/// The numbers and labels of all periods of an org, newest first.
pub(crate) async fn period_keys(tx: &mut Tx, org_key: OrgKey) -> Result<Vec<Row>, Error> {
    tx.all(&PERIOD_KEYS, &[org_key.0.into()]).await
}

/// Opens a period: the arguments in the order of the statement, the org first.
pub(crate) async fn insert_period(tx: &mut Tx, args: &[Arg]) -> Result<u64, Error> {
    tx.execute(&INSERT_PERIOD, args).await
}

/// Moves the end of a period (billing moved it).
pub(crate) async fn save_period_end(
    tx: &mut Tx,
    org_key: OrgKey,
    period_no: i64,
    end: Timestamp,
) -> Result<u64, Error> {
    tx.execute(&SAVE_PERIOD_END, &[org_key.0.into(), period_no.into(), end.into()]).await
}

/// Remembers limits, so that answers given under them can be given again.
pub(crate) async fn limit_history(tx: &mut Tx, rows: Columns) -> Result<u64, Error> {
    let args = rows.into_args(tx.kind());
    tx.execute(&LIMIT_HISTORY, &args).await
}
