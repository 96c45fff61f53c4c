//! Units that were used and not paid for: an upgrade, a spree and a downgrade within one period. What is over is taken off the periods
//! that follow, exactly once.

use tollgate_rules::catalog::Plan;
use tollgate_rules::entitlement::{OrgFacts, resolve};
use tollgate_rules::ids::OrgKey;
use tollgate_rules::ledger::{Counter, Head};
use tollgate_rules::paid::{Debt, Ended, Stretch, owed};
use tollgate_rules::time::Timestamp;

use super::{rows, sql};
use crate::db::{Connection, Error, Tx};
use crate::engine::Engine;
use crate::plans;

/// What an org owes, by metric: the newest line of each.
pub(crate) async fn debts(connection: &mut Connection, org_key: OrgKey) -> Result<Vec<Debt>, Error> {
    let rows = sql::debts(connection, org_key).await?;
    let read = |row: &crate::db::Row| {
        Ok(Debt { metric: rows::metric(row)?, units: row.i64("units")?, since: row.time("since")? })
    };
    rows.iter().map(read).collect()
}

/// Writes down what an org owes after the period that is over at `now`; true when that is another amount than before. Under the org's
/// lock. Trials are given, not paid for: they owe nothing.
pub(super) async fn settle(
    engine: &Engine,
    tx: &mut Tx,
    (org_key, head): (OrgKey, &Head),
    (facts, now): (&OrgFacts, Timestamp),
) -> Result<bool, Error> {
    let (Some(last), Some(code), Some(version)) = (head.period, &head.plan_code, head.plan_version) else {
        return Ok(false);
    };
    if now < last.period.end || head.trial_of.is_some() {
        return Ok(false);
    }
    let next = resolve(facts, last.period.end);
    let (Some(next_code), Some(next_version)) = (&next.plan_code, next.plan_version) else { return Ok(false) };
    if facts.debts.is_empty() && (next_code, next_version) == (code, version) {
        return Ok(false);
    }
    let Some(plan) = plans::version(engine, tx, code.as_str(), version).await? else { return Ok(false) };
    let Some(next) = plans::version(engine, tx, next_code.as_str(), next_version).await? else { return Ok(false) };
    let under = plans_of(engine, tx, (org_key, last.no)).await?;
    let mut changed = false;
    for row in &sql::counters(tx, &[(org_key, last.no)]).await? {
        let counter: Counter = rows::counter(row)?;
        let before = facts.debts.iter().filter(|debt| debt.metric == counter.metric && debt.since <= last.period.start);
        let before = before.max_by_key(|debt| debt.since).map_or(0, |debt| debt.units);
        let stretch = |(from, plan): &(Timestamp, std::sync::Arc<Plan>)| {
            Some(Stretch { from: *from, included: plan.allowance(&counter.metric).included.units()? })
        };
        // A plan without a limit in between: nothing beyond it can be told apart.
        let Some(stretches) = under.iter().map(stretch).collect::<Option<Vec<Stretch>>>() else { continue };
        let ended = Ended {
            period: last.period,
            stretches: &stretches,
            used: counter.used,
            owed: before,
            next: next.allowance(&counter.metric).included.units(),
            guarded: plan.anti_arbitrage,
        };
        let after = owed(&ended);
        if after != before {
            sql::put_debt(tx, (org_key, &counter.metric), (last.period.end, after)).await?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The plan versions that a period was under, in their order.
async fn plans_of(
    engine: &Engine,
    tx: &mut Tx,
    (org_key, period_no): (OrgKey, i64),
) -> Result<Vec<(Timestamp, std::sync::Arc<Plan>)>, Error> {
    let mut under: Vec<(Timestamp, std::sync::Arc<Plan>)> = Vec::new();
    for row in &sql::plans_of_period(tx, (org_key, period_no)).await? {
        let version = u32::try_from(row.i64("plan_version")?).map_err(|error| Error::Bug(error.to_string()))?;
        let Some(plan) = plans::version(engine, tx, &row.text("plan_code")?, version).await? else { continue };
        if under.last().is_none_or(|(_, known)| (&known.code, known.version) != (&plan.code, plan.version)) {
            under.push((row.time("set_at")?, plan));
        }
    }
    Ok(under)
}
