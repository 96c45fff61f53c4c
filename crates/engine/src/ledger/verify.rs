//! Verify: count every event again and compare. Rebuild: put right what was derived wrongly.

use tollgate_rules::ids::{Metric, OrgKey};

use super::{Error, rollover, rows, sql};
use crate::access::{OperatorScope, OrgRef};
use crate::db::{self, Connection, Lane, Row};
use crate::engine::Engine;

/// What a recount found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Counters that were compared.
    pub counters: i64,
    /// Events that were counted.
    pub events: i64,
    /// The sum of their deltas.
    pub units: i64,
    /// The sum of all differences; anything but 0 is an alarm.
    pub drift: i64,
    /// Where stored and counted numbers differ, at most 10,000 each.
    pub drifts: Vec<Drift>,
}

/// A number that differs from what the events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Of which org.
    pub org_key: OrgKey,
    /// In which period.
    pub period_no: i64,
    /// Of what.
    pub metric: Metric,
    /// Which number: `used`, `held` or `rollup`.
    pub number: &'static str,
    /// What is stored.
    pub stored: i64,
    /// What the events or holds say.
    pub counted: i64,
}

/// Counts the events and open holds of one org (or of all) again and compares them with counters and rollups. Changes nothing.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn verify(engine: &Engine, _: &OperatorScope, org: Option<&OrgRef>) -> Result<Verified, Error> {
    let org = org.map(|org| org.key);
    let mut connection = engine.db().read().await?;
    let totals = sql::totals(&mut connection, org).await?;
    let mut verified = Verified {
        counters: totals.i64("counters")?,
        events: totals.i64("events")?,
        units: totals.i64("units")?,
        ..Verified::default()
    };
    let found = [
        ("used", sql::counter_drift(&mut connection, org).await?),
        ("held", sql::hold_drift(&mut connection, org).await?),
        ("rollup", sql::rollup_drift(&mut connection, org).await?),
    ];
    for (number, differing) in &found {
        for row in differing {
            verified.drifts.push(drift(row, number)?);
        }
    }
    let sizes = verified.drifts.iter().map(|drift| drift.stored.saturating_sub(drift.counted).saturating_abs());
    verified.drift = sizes.fold(0, i64::saturating_add);
    Ok(verified)
}

/// How many numbers of a database differ from what its events and holds say; at most 30,000 are found.
pub(crate) async fn differing(connection: &mut Connection) -> Result<usize, db::Error> {
    let used = sql::counter_drift(connection, None).await?;
    let held = sql::hold_drift(connection, None).await?;
    let rollups = sql::rollup_drift(connection, None).await?;
    Ok(used.len() + held.len() + rollups.len())
}

/// Makes the counters and rollups of an org anew from its events and holds, under the org's lock.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn rebuild(engine: &Engine, scope: &OperatorScope, org: &OrgRef) -> Result<Verified, Error> {
    let (task_engine, org_key) = (engine.clone(), org.key);
    let rebuilt = async move {
        let engine = task_engine;
        let mut tx = engine.db().begin(Lane::Control).await?;
        rollover::lock(&mut tx, org_key).await?;
        sql::rebuild_counters(&mut tx, org_key).await?;
        sql::rebuild_held(&mut tx, org_key).await?;
        sql::rebuild_rollups(&mut tx, org_key).await?;
        rollover::refresh(&engine, &mut tx, org_key).await?;
        tx.commit().await?;
        Ok::<(), db::Error>(())
    };
    engine.db().detached(rebuilt).await?;
    engine.ledger().forget(org_key);
    verify(engine, scope, Some(org)).await
}

fn drift(row: &Row, number: &'static str) -> Result<Drift, db::Error> {
    Ok(Drift {
        org_key: rows::org_key(row)?,
        period_no: row.i64("period_no")?,
        metric: rows::metric(row)?,
        number,
        stored: row.i64("stored")?,
        counted: row.i64("counted")?,
    })
}
