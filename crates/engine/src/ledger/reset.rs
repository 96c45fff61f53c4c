//! Reset: open a period for every org whose current one it is, and bring its counters to 0 where that is asked for.

use tollgate_rules::ids::{Metric, OrgId, OrgKey, RequestId};
use tollgate_rules::ledger::{Answer, Command, Zero};
use tollgate_rules::period::PeriodKey;

use super::queue::Entry;
use super::{Error, commit, rows, sql};
use crate::access::{OperatorScope, OrgRef};
use crate::engine::Engine;

/// Orgs that are looked at in one turn.
const ORGS_PER_TURN: i64 = 200;

/// What to reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The period; a plain month means the newest period of that month.
    pub period_key: PeriodKey,
    /// Which orgs; nothing: all of them.
    pub org_ids: Option<Vec<OrgId>>,
    /// Whether `used` is brought to 0 by corrections.
    pub counters: Counters,
    /// Why.
    pub reason: String,
}

/// What happens to counters that are not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// They stay.
    Keep,
    /// An audited correction brings each to 0.
    Zero,
}

/// What a reset did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetDone {
    /// Orgs whose period was opened or whose counters were brought to 0.
    pub updated: u64,
    /// Orgs that had the period open already, with nothing to bring to 0.
    pub already_open: u64,
    /// The period.
    pub period_key: PeriodKey,
}

/// Carries out a reset. Twice changes nothing the second time.
///
/// # Errors
/// [`Error::Overloaded`], [`Error::Unavailable`]; what was done until then stays, and a second run does the rest.
pub async fn reset(engine: &Engine, scope: &OperatorScope, reset: &Reset) -> Result<ResetDone, Error> {
    let mut done = ResetDone { updated: 0, already_open: 0, period_key: reset.period_key };
    let mut after = OrgKey(0);
    loop {
        let mut connection = engine.db().read().await?;
        let page = sql::orgs_in_month(&mut connection, after, ORGS_PER_TURN).await?;
        drop(connection);
        let Some(last) = page.last() else { return Ok(done) };
        after = rows::org_key(last)?;
        for row in &page {
            let org = OrgRef { key: rows::org_key(row)?, id: rows::id(OrgId::parse(&row.text("org_id")?))? };
            if reset.org_ids.as_ref().is_some_and(|asked| !asked.contains(&org.id)) {
                continue;
            }
            let label = row.opt_text("period_key")?.and_then(|key| PeriodKey::parse(&key).ok());
            let fresh = row.opt_time("valid_until")?.is_some_and(|until| engine.now() < until);
            let open_before = fresh && label.is_some_and(|label| names(reset.period_key, label));
            match one(engine, scope, reset, org).await? {
                Found::Other => {}
                Found::Zeroed => done.updated += 1,
                Found::Open if open_before => done.already_open += 1,
                Found::Open => done.updated += 1,
            }
        }
    }
}

/// What one org's books were found to be.
enum Found {
    /// Another period, or none, is its current one.
    Other,
    /// The period is open.
    Open,
    /// The period is open and counters were brought to 0.
    Zeroed,
}

async fn one(engine: &Engine, scope: &OperatorScope, reset: &Reset, org: OrgRef) -> Result<Found, Error> {
    let scope = scope.scope_of(org);
    commit::answers(engine.ledger().submit(Entry::look(scope.org_key()))?).await?;
    let standing = super::standing(engine, &scope).await?;
    if standing.head.period.is_none_or(|open| !names(reset.period_key, open.key)) {
        return Ok(Found::Other);
    }
    let used = standing.counters.iter().filter(|counter| counter.used != 0);
    let used: Vec<Metric> = used.map(|counter| counter.metric.clone()).collect();
    if reset.counters == Counters::Keep || used.is_empty() {
        return Ok(Found::Open);
    }
    let commands = used.into_iter().map(|metric| {
        let request_id = RequestId::parse(&engine.new_id("reset_")).expect("an id of ours keeps the rules of ids");
        Command::Zero(Zero { request_id, metric, reason: reset.reason.clone() })
    });
    let receiver = engine.ledger().submit(Entry::of(&scope, commands.collect()))?;
    let mut found = Found::Open;
    for answer in commit::answers(receiver).await? {
        if let Answer::Corrected(corrected) = answer?
            && corrected.units != 0
        {
            found = Found::Zeroed;
        }
    }
    Ok(found)
}

/// Whether a label that was asked for means this one: a plain month means the newest period of it, and none is newer than the open one.
fn names(asked: PeriodKey, open: PeriodKey) -> bool {
    asked == open || (asked.is_plain_month() && asked.same_month(&open))
}
