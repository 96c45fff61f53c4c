//! A period that is over, and the plan it was under: what debts and units that are carried over are worked out from.

use std::sync::Arc;

use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::{Counter, Head, OpenPeriod};
use tollgate_rules::time::Timestamp;

use super::{rows, sql};
use crate::db::{Connection, Error, Tx};
use crate::engine::Engine;
use crate::plans;

/// The last period that was opened, with its plan.
pub(super) struct Ended {
    pub(super) org_key: OrgKey,
    pub(super) open: OpenPeriod,
    pub(super) plan: Arc<Plan>,
}

/// The period that is over at `now`; nothing while it runs, and nothing for trials: they are given, not paid for.
pub(super) async fn ended(
    engine: &Engine,
    tx: &mut Tx,
    (org_key, head): (OrgKey, &Head),
    now: Timestamp,
) -> Result<Option<Ended>, Error> {
    match head.period {
        Some(open) if now >= open.period.end => paid(engine, tx, (org_key, head)).await,
        Some(_) | None => Ok(None),
    }
}

/// The last period that was opened, running or over, unless it is a trial.
pub(super) async fn paid(
    engine: &Engine,
    connection: &mut Connection,
    (org_key, head): (OrgKey, &Head),
) -> Result<Option<Ended>, Error> {
    let (Some(open), Some(code), Some(version), None) =
        (head.period, &head.plan_code, head.plan_version, &head.trial_of)
    else {
        return Ok(None);
    };
    let plan = plans::version(engine, connection, code.as_str(), version).await?;
    Ok(plan.map(|plan| Ended { org_key, open, plan }))
}

impl Ended {
    /// What was counted in it.
    pub(super) async fn counters(&self, connection: &mut Connection) -> Result<Vec<Counter>, Error> {
        let rows = sql::counters(connection, &[(self.org_key, self.open.no)]).await?;
        rows.iter().map(rows::counter).collect()
    }
}
