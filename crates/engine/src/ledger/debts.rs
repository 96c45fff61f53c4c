//! Units that were used and not paid for: an upgrade, a spree and a downgrade within one period. What is over is taken off the periods
//! that follow, exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_rules::catalog::Plan;
use tollgate_rules::entitlement::{OrgFacts, resolve};
use tollgate_rules::ids::{Metric, OrgKey, PlanCode};
use tollgate_rules::ledger::Counter;
use tollgate_rules::paid::{self, Debt, Stretch, owed, owed_after_cut, taken_off};
use tollgate_rules::period::Period;
use tollgate_rules::quote::{Burned, gives_back};
use tollgate_rules::time::Timestamp;

use super::ended::{self, Ended};
use super::{rows, sql};
use crate::access::OrgScope;
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

/// Writes down what an org owes after a period that is over; true when that is another amount than before. Under the org's lock.
pub(super) async fn settle(engine: &Engine, tx: &mut Tx, ended: &Ended, facts: &OrgFacts) -> Result<bool, Error> {
    let end = ended.open.period.end;
    let next = resolve(facts, end);
    let (Some(code), Some(version)) = (&next.plan_code, next.plan_version) else { return Ok(false) };
    if facts.debts.is_empty() && (code, version) == (&ended.plan.code, ended.plan.version) {
        return Ok(false);
    }
    let Some(next) = plans::version(engine, tx, code.as_str(), version).await? else { return Ok(false) };
    let mut changed = false;
    for (metric, standing) in after(engine, tx, ended, (&facts.debts, &next)).await? {
        if standing.then != standing.now {
            sql::put_debt(tx, (ended.org_key, &metric), (end, standing.then)).await?;
            changed = true;
        }
    }
    Ok(changed)
}

/// What is still owed when a period began before the last one was over (another interval): under the org's lock; true when that is another
/// amount than before.
pub(super) async fn cut(
    engine: &Engine,
    tx: &mut Tx,
    ended: &Ended,
    (debts, at): (&[Debt], Timestamp),
) -> Result<bool, Error> {
    let period = ended.open.period;
    if !debts.iter().any(|debt| debt.units > 0 && debt.since <= period.start) {
        return Ok(false);
    }
    let under = plans_of(engine, tx, (ended.org_key, ended.open.no)).await?;
    let counters = ended.counters(tx).await?;
    let burned: Vec<Burned> = counters.iter().map(burned).collect();
    let refunded = gives_back(&ended.plan, &burned, at, period);
    let mut changed = false;
    for counter in counters {
        let before = standing_at(debts, &counter.metric, period.start);
        let Some(stretches) = stretches(&under, &counter.metric).filter(|_| before > 0) else { continue };
        let whole =
            paid::Ended { period, stretches: &stretches, used: counter.used, owed: before, next: None, guarded: true };
        let after = owed_after_cut(&whole, at, refunded);
        if after != before {
            sql::put_debt(tx, (ended.org_key, &counter.metric), (at, after)).await?;
            changed = true;
        }
    }
    Ok(changed)
}

fn burned(counter: &Counter) -> Burned {
    let (metric, included) = (counter.metric.clone(), counter.limit.included);
    Burned { metric, used: counter.used, included, owed: 0, owed_then: 0 }
}

/// What is owed of a metric at the start of a period.
fn standing_at(debts: &[Debt], metric: &Metric, start: Timestamp) -> i64 {
    let known = debts.iter().filter(|debt| debt.metric == *metric && debt.since <= start);
    known.max_by_key(|debt| debt.since).map_or(0, |debt| debt.units)
}

/// What plans included of a metric, one after the other. A plan without a limit in between: nothing beyond it can be told apart.
fn stretches(under: &[(Timestamp, Arc<Plan>)], metric: &Metric) -> Option<Vec<Stretch>> {
    let stretch = |(from, plan): &(Timestamp, Arc<Plan>)| {
        Some(Stretch { from: *from, included: plan.allowance(metric).included.units()? })
    };
    under.iter().map(stretch).collect()
}

/// Takes off what is owed what a period brought in that began and ended while nobody counted.
pub(super) async fn pass(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    (debts, plan, period): (&mut [Debt], (&PlanCode, u32), Period),
) -> Result<(), Error> {
    let owed = debts.iter_mut().filter(|debt| debt.units > 0 && debt.since <= period.start);
    let owed: Vec<&mut Debt> = owed.collect();
    if owed.is_empty() {
        return Ok(());
    }
    let Some(plan) = plans::version(engine, tx, plan.0.as_str(), plan.1).await? else { return Ok(()) };
    for debt in owed {
        let Some(included) = plan.allowance(&debt.metric).included.units() else { continue };
        debt.units = debt.units.saturating_sub(taken_off(included, debt.units));
        debt.since = period.end;
        sql::put_debt(tx, (org_key, &debt.metric), (debt.since, debt.units)).await?;
    }
    Ok(())
}

/// Units of a metric that were used and not paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owed {
    /// In the running period: its included units are fewer by these, as far as they reach.
    pub(crate) now: i64,
    /// In the period that follows.
    pub(crate) then: i64,
}

/// What an org owes, and would owe in the next period if that were under `next` and nothing more were used until then.
///
/// # Errors
/// The database cannot answer.
pub(crate) async fn foreseen(engine: &Engine, scope: &OrgScope, next: &Plan) -> Result<BTreeMap<Metric, Owed>, Error> {
    let (org_key, mut connection) = (scope.org_key(), engine.read_for(scope).await?);
    let debts = debts(&mut connection, org_key).await?;
    let Some(row) = sql::heads(&mut connection, &[org_key]).await?.pop() else { return Ok(BTreeMap::new()) };
    match ended::paid(engine, &mut connection, (org_key, &rows::head(&row)?)).await? {
        Some(running) => after(engine, &mut connection, &running, (&debts, next)).await,
        None => Ok(BTreeMap::new()),
    }
}

/// What is owed of each metric that a period counted: when it began, and after it if `next` follows.
async fn after(
    engine: &Engine,
    connection: &mut Connection,
    ended: &Ended,
    (debts, next): (&[Debt], &Plan),
) -> Result<BTreeMap<Metric, Owed>, Error> {
    let period = ended.open.period;
    let under = plans_of(engine, connection, (ended.org_key, ended.open.no)).await?;
    let mut after = BTreeMap::new();
    for counter in ended.counters(connection).await? {
        let now = standing_at(debts, &counter.metric, period.start);
        let then = match stretches(&under, &counter.metric) {
            Some(stretches) => owed(&paid::Ended {
                period,
                stretches: &stretches,
                used: counter.used,
                owed: now,
                next: next.allowance(&counter.metric).included.units(),
                guarded: ended.plan.anti_arbitrage,
            }),
            None => now,
        };
        after.insert(counter.metric, Owed { now, then });
    }
    Ok(after)
}

/// The plan versions that a period was under, in their order.
async fn plans_of(
    engine: &Engine,
    connection: &mut Connection,
    (org_key, period_no): (OrgKey, i64),
) -> Result<Vec<(Timestamp, Arc<Plan>)>, Error> {
    let mut under: Vec<(Timestamp, Arc<Plan>)> = Vec::new();
    for row in &sql::plans_of_period(connection, (org_key, period_no)).await? {
        let version = u32::try_from(row.i64("plan_version")?).map_err(|error| Error::Bug(error.to_string()))?;
        let Some(plan) = plans::version(engine, connection, &row.text("plan_code")?, version).await? else { continue };
        if under.last().is_none_or(|(_, known)| (&known.code, known.version) != (&plan.code, plan.version)) {
            under.push((row.time("set_at")?, plan));
        }
    }
    Ok(under)
}
