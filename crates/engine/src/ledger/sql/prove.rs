//! Counting everything again, and putting right what was derived wrongly.

use tollgate_rules::ids::OrgKey;

use crate::db::{Connection, Error, Row, Statement, Tx};

/// Every statement here.
pub(super) const ALL: &[&Statement] = &[
    &COUNTER_DRIFT,
    &HOLD_DRIFT,
    &ROLLUP_DRIFT,
    &TOTALS,
    &MISSING_COUNTERS,
    &REBUILD_USED,
    &REBUILD_HELD,
    &CLEAR_ROLLUPS,
    &REBUILD_ROLLUPS,
];

/// `$1` is one org, or 0 for all.
const COUNTER_DRIFT: Statement = Statement::new(
    "ledger.counter_drift",
    "SELECT COALESCE(c.org_key, e.org_key) AS org_key, COALESCE(c.period_no, e.period_no) AS period_no,
            COALESCE(c.metric, e.metric) AS metric, COALESCE(c.used, 0) AS stored, COALESCE(e.units, 0) AS counted
     FROM (SELECT org_key, period_no, metric, used FROM usage_counters WHERE $1 = 0 OR org_key = $1) AS c
     FULL OUTER JOIN (
       SELECT org_key, period_no, metric, CAST(SUM(delta) AS BIGINT) AS units
       FROM usage_events
       WHERE $1 = 0 OR org_key = $1
       GROUP BY org_key, period_no, metric
     ) AS e ON e.org_key = c.org_key AND e.period_no = c.period_no AND e.metric = c.metric
     WHERE COALESCE(c.used, 0) <> COALESCE(e.units, 0)
     ORDER BY 1, 2, 3
     LIMIT 10000",
);

const HOLD_DRIFT: Statement = Statement::new(
    "ledger.hold_drift",
    "SELECT COALESCE(c.org_key, h.org_key) AS org_key, COALESCE(c.period_no, h.period_no) AS period_no,
            COALESCE(c.metric, h.metric) AS metric, COALESCE(c.held, 0) AS stored, COALESCE(h.units, 0) AS counted
     FROM (SELECT org_key, period_no, metric, held FROM usage_counters WHERE $1 = 0 OR org_key = $1) AS c
     FULL OUTER JOIN (
       SELECT org_key, period_no, metric, CAST(SUM(units) AS BIGINT) AS units
       FROM usage_holds
       WHERE state = 'open' AND ($1 = 0 OR org_key = $1)
       GROUP BY org_key, period_no, metric
     ) AS h ON h.org_key = c.org_key AND h.period_no = c.period_no AND h.metric = c.metric
     WHERE COALESCE(c.held, 0) <> COALESCE(h.units, 0)
     ORDER BY 1, 2, 3
     LIMIT 10000",
);

const ROLLUP_DRIFT: Statement = Statement::new(
    "ledger.rollup_drift",
    "SELECT COALESCE(r.org_key, e.org_key) AS org_key, COALESCE(r.period_no, e.period_no) AS period_no,
            COALESCE(r.metric, e.metric) AS metric, COALESCE(r.units, 0) AS stored, COALESCE(e.units, 0) AS counted
     FROM (
       SELECT org_key, period_no, metric, CAST(SUM(units) AS BIGINT) AS units
       FROM usage_rollups_hourly
       WHERE $1 = 0 OR org_key = $1
       GROUP BY org_key, period_no, metric
     ) AS r
     FULL OUTER JOIN (
       SELECT org_key, period_no, metric, CAST(SUM(delta) AS BIGINT) AS units
       FROM usage_events
       WHERE $1 = 0 OR org_key = $1
       GROUP BY org_key, period_no, metric
     ) AS e ON e.org_key = r.org_key AND e.period_no = r.period_no AND e.metric = r.metric
     WHERE COALESCE(r.units, 0) <> COALESCE(e.units, 0)
     ORDER BY 1, 2, 3
     LIMIT 10000",
);

const TOTALS: Statement = Statement::new(
    "ledger.totals",
    "SELECT (SELECT COUNT(*) FROM usage_counters WHERE $1 = 0 OR org_key = $1) AS counters,
            (SELECT COUNT(*) FROM usage_events WHERE $1 = 0 OR org_key = $1) AS events,
            (SELECT CAST(COALESCE(SUM(delta), 0) AS BIGINT) FROM usage_events WHERE $1 = 0 OR org_key = $1) AS units",
);

const MISSING_COUNTERS: Statement = Statement::new(
    "ledger.missing_counters",
    "INSERT INTO usage_counters (org_key, period_no, metric, included, granted, metered_minor, metered_units, limit_version, used, held)
     SELECT l.org_key, l.period_no, l.metric, l.included, l.granted, l.metered_minor, l.metered_units, l.limit_version, 0, 0
     FROM usage_limits AS l
     WHERE l.org_key = $1
       AND l.limit_version = (
         SELECT MAX(n.limit_version) FROM usage_limits AS n
         WHERE n.org_key = l.org_key AND n.period_no = l.period_no AND n.metric = l.metric
       )
     ON CONFLICT (org_key, period_no, metric) DO NOTHING",
);

const REBUILD_USED: Statement = Statement::new(
    "ledger.rebuild_used",
    "UPDATE usage_counters
     SET used = COALESCE((
       SELECT CAST(SUM(e.delta) AS BIGINT) FROM usage_events AS e
       WHERE e.org_key = usage_counters.org_key AND e.period_no = usage_counters.period_no AND e.metric = usage_counters.metric
     ), 0)
     WHERE org_key = $1",
);

const REBUILD_HELD: Statement = Statement::new(
    "ledger.rebuild_held",
    "UPDATE usage_counters
     SET held = COALESCE((
       SELECT CAST(SUM(h.units) AS BIGINT) FROM usage_holds AS h
       WHERE h.org_key = usage_counters.org_key AND h.period_no = usage_counters.period_no AND h.metric = usage_counters.metric
         AND h.state = 'open'
     ), 0)
     WHERE org_key = $1",
);

const CLEAR_ROLLUPS: Statement =
    Statement::new("ledger.clear_rollups", "DELETE FROM usage_rollups_hourly WHERE org_key = $1");

const REBUILD_ROLLUPS: Statement = Statement::new(
    "ledger.rebuild_rollups",
    "INSERT INTO usage_rollups_hourly (org_key, hour, metric, period_no, actor, units, events)
     SELECT org_key, recorded_at - recorded_at % 3600000000, metric, period_no, actor, CAST(SUM(delta) AS BIGINT), COUNT(*)
     FROM usage_events
     WHERE org_key = $1 AND verb <> 'reserve'
     GROUP BY org_key, recorded_at - recorded_at % 3600000000, metric, period_no, actor",
);

/// Counters that differ from the sum of their events. One org, or all.
pub(crate) async fn counter_drift(connection: &mut Connection, org: Option<OrgKey>) -> Result<Vec<Row>, Error> {
    connection.all(&COUNTER_DRIFT, &[org.map_or(0, |org| org.0).into()]).await
}

/// Counters whose `held` differs from the sum of the open holds.
pub(crate) async fn hold_drift(connection: &mut Connection, org: Option<OrgKey>) -> Result<Vec<Row>, Error> {
    connection.all(&HOLD_DRIFT, &[org.map_or(0, |org| org.0).into()]).await
}

/// Rollups that differ from the sum of their events.
pub(crate) async fn rollup_drift(connection: &mut Connection, org: Option<OrgKey>) -> Result<Vec<Row>, Error> {
    connection.all(&ROLLUP_DRIFT, &[org.map_or(0, |org| org.0).into()]).await
}

/// How many counters and events were compared.
pub(crate) async fn totals(connection: &mut Connection, org: Option<OrgKey>) -> Result<Row, Error> {
    connection.one(&TOTALS, &[org.map_or(0, |org| org.0).into()]).await
}

/// Sets `used` of every counter of an org to the sum of its events; missing counters are made.
pub(crate) async fn rebuild_counters(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    tx.execute(&MISSING_COUNTERS, &[org_key.0.into()]).await?;
    tx.execute(&REBUILD_USED, &[org_key.0.into()]).await?;
    Ok(())
}

/// Sets `held` of every counter of an org to the sum of its open holds.
pub(crate) async fn rebuild_held(tx: &mut Tx, org_key: OrgKey) -> Result<u64, Error> {
    tx.execute(&REBUILD_HELD, &[org_key.0.into()]).await
}

/// Makes the hourly rollups of an org anew.
pub(crate) async fn rebuild_rollups(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    tx.execute(&CLEAR_ROLLUPS, &[org_key.0.into()]).await?;
    tx.execute(&REBUILD_ROLLUPS, &[org_key.0.into()]).await?;
    Ok(())
}

/// A number that moves with every write to the ledger.
#[cfg(test)]
pub(crate) async fn written(connection: &mut Connection) -> Result<i64, Error> {
    const WRITTEN: Statement = Statement::split(
        "ledger.written",
        "SELECT data_version AS written FROM pragma_data_version",
        "SELECT CAST(SUM(version) AS BIGINT) AS written
         FROM (
           SELECT CAST(CAST(xmin AS TEXT) AS BIGINT) AS version FROM ledger_heads
           UNION ALL SELECT CAST(CAST(xmin AS TEXT) AS BIGINT) FROM usage_counters
           UNION ALL SELECT CAST(CAST(xmin AS TEXT) AS BIGINT) FROM usage_events
           UNION ALL SELECT CAST(CAST(xmin AS TEXT) AS BIGINT) FROM usage_holds
           UNION ALL SELECT CAST(CAST(xmin AS TEXT) AS BIGINT) FROM usage_rollups_hourly
         ) AS versions",
    );
    connection.one(&WRITTEN, &[]).await?.i64("written")
}

/// Makes each derived number of an org wrong: `used` by 1, `held` by 2, the rollups by 3.
#[cfg(test)]
pub(crate) async fn plant_drift(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    const COUNTERS: Statement = Statement::new(
        "ledger.plant_counter_drift",
        "UPDATE usage_counters SET used = used + 1, held = held + 2 WHERE org_key = $1 AND metric = 'api_call'",
    );
    const ROLLUPS: Statement = Statement::new(
        "ledger.plant_rollup_drift",
        "UPDATE usage_rollups_hourly SET units = units + 3 WHERE org_key = $1 AND metric = 'api_call'",
    );
    tx.execute(&COUNTERS, &[org_key.0.into()]).await?;
    tx.execute(&ROLLUPS, &[org_key.0.into()]).await?;
    Ok(())
}

/// Makes the counters of what an org's calls used wrong by so many units.
#[cfg(test)]
pub(crate) async fn plant_used(tx: &mut Tx, org_key: OrgKey, units: i64) -> Result<(), Error> {
    const USED: Statement = Statement::new(
        "ledger.plant_used",
        "UPDATE usage_counters SET used = used + $2 WHERE org_key = $1 AND metric = 'api_call' AND used > 0",
    );
    tx.execute(&USED, &[org_key.0.into(), units.into()]).await?;
    Ok(())
}

/// Makes a counter that no event has moved.
#[cfg(test)]
pub(crate) async fn plant_counter(tx: &mut Tx, org_key: OrgKey) -> Result<(), Error> {
    const COUNTER: Statement = Statement::new(
        "ledger.plant_counter",
        "INSERT INTO usage_counters (org_key, period_no, metric, granted, limit_version, used, held) VALUES ($1, 1, 'api_call', 0, 1, 7, 0)",
    );
    tx.execute(&COUNTER, &[org_key.0.into()]).await?;
    Ok(())
}
