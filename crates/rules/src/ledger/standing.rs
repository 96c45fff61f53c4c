//! What is left now, and the check that is answered from it without any I/O.

use crate::ids::{KeyId, Metric};
use crate::ledger::demand::{self, Demand, line};
use crate::ledger::{Book, Checked, Counter, Head, Outcome, Reason, Refusal, Slice, slice};
use crate::quantity::Units;
use crate::subscription::Access;
use crate::time::Timestamp;

/// What one org has left, as of the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What applies to the whole org.
    pub head: Head,
    /// The counters of the open period.
    pub counters: Vec<Counter>,
    /// The slices of its keys in the open period.
    pub slices: Vec<Slice>,
    /// When it must be read again: the earliest end of period, trial, grace, override, grant and hold.
    pub valid_until: Timestamp,
}

/// Whether units would pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Of what.
    pub metric: Metric,
    /// How many.
    pub units: Units,
}

/// Answers a check from a standing. Changes nothing. `by` is the key that asks, where it has a slice.
///
/// # Errors
/// [`Refusal::UnknownMetric`], or [`Refusal::TotalTooLarge`] where so many units could not be counted.
pub fn check(
    standing: &Standing,
    check: &Check,
    by: Option<&KeyId>,
    clock: Timestamp,
) -> Result<Outcome<Checked>, Refusal> {
    let head = &standing.head;
    let now = head.period.map_or(clock, |open| clock.max(open.period.start));
    let units = check.units.get();
    let reason = match (head.access, head.period) {
        (Access::Allowed, Some(open)) => {
            let line = line(&standing.counters, open.no, &check.metric, units)?;
            let demand = Demand::default();
            let against = demand.against(&standing.counters, &line, head.spend_cap)?;
            let sliced = || slice::against((&standing.slices, by), &standing.counters, (&demand, &line));
            let against = against.or_else(sliced);
            let counter = |index: usize| standing.counters.get(index).expect("its place was found in this standing");
            let would_deny = against.is_some();
            if let Some(against) = against.filter(|_| head.strict) {
                let counter = counter(against.counter);
                let asked = line.pool.filter(|(pool, _)| *pool == against.counter).map_or(units, |(_, taken)| taken);
                let mut denial = head.denial(Reason::QuotaExceeded, &counter.metric, asked, now);
                denial.numbers = Some(demand::numbers(&standing.counters, counter, &open));
                denial.rule = against.rule;
                return Ok(Outcome::Denied(denial));
            }
            let numbers = demand::numbers(&standing.counters, counter(line.counter), &open);
            let checked = Checked { metric: check.metric.clone(), units, numbers, would_deny, decided_at: now };
            return Ok(Outcome::Allowed(checked));
        }
        (Access::Allowed | Access::NoSubscription, _) => Reason::NoSubscription,
        (Access::PastDue, _) => Reason::PastDue,
        (Access::OrgSuspended, _) => Reason::OrgSuspended,
    };
    Ok(Outcome::Denied(head.denial(reason, &check.metric, units, now)))
}

impl From<&Book> for Standing {
    fn from(book: &Book) -> Standing {
        book.standing(Timestamp::MAX)
    }
}
