//! Unused units that a plan carries over: when a period is over they become a grant for the next ones, exactly once.

use tollgate_rules::entitlement::{OrgFacts, resolve};
use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::ended::Ended;
use crate::access::{OrgRef, OrgScope};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::{grants, orgs};

/// Units that were carried over are used before what was given or bought.
const PRIORITY: i64 = 10;

/// Gives an org what a period that is over left unused, as far as its plan carries it over; true when it gave anything. Under the
/// org's lock. An org whose access ended with the period carries nothing over.
pub(super) async fn carry(engine: &Engine, tx: &mut Tx, ended: &Ended, facts: &OrgFacts) -> Result<bool, Error> {
    let (last, plan) = (ended.open, &ended.plan);
    if plan.allowances.values().all(|allowance| allowance.rollover.is_none()) {
        return Ok(false);
    }
    let scope = scope(tx, ended.org_key).await?;
    let mut given = false;
    for counter in ended.counters(tx).await? {
        let Some(rollover) = plan.allowance(&counter.metric).rollover else { continue };
        let unused = counter.limit.included.unwrap_or(0).saturating_sub(counter.taken()).clamp(0, rollover.max);
        let Some(ends_at) = end_of(facts, last.period.end, rollover.periods).filter(|_| unused > 0) else { continue };
        let new = grants::NewGrant {
            metric: counter.metric.clone(),
            units: unused,
            priority: PRIORITY,
            starts_at: last.period.end,
            ends_at: Some(ends_at),
            only_period: None,
            source: grants::Source::Rollover,
            source_id: Some(format!("{}:{}", last.no, counter.metric)),
            reason: format!("unused in {}", last.key),
        };
        given |= grants::insert(engine, tx, &scope, new).await?.is_some();
    }
    Ok(given)
}

/// The end of the `periods`-th period from `start` on; nothing without access.
fn end_of(facts: &OrgFacts, start: Timestamp, periods: u32) -> Option<Timestamp> {
    (0..periods).try_fold(start, |at, _| resolve(facts, at).period.map(|period| period.end))
}

async fn scope(tx: &mut Tx, org_key: OrgKey) -> Result<OrgScope, Error> {
    let id = orgs::sql::org_id(tx, org_key).await?;
    Ok(OrgScope::restored(OrgRef { key: org_key, id }, "system:rollover".to_owned(), String::new()))
}
