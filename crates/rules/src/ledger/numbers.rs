//! Counters, their limits, and the numbers that every answer shows.

use crate::catalog::{Draws, OveragePolicy};
use crate::ids::Metric;
use crate::ledger::OpenPeriod;
use crate::period::{Period, PeriodKey};
use crate::time::Timestamp;

/// The most a counter may hold: beyond it not every JSON reader sees the same number.
pub const TOTAL_MAX: i64 = (1 << 53) - 1;

/// The resolved limit of one metric in one period, as it stands in the counter row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Included units; nothing: no limit.
    pub included: Option<i64>,
    /// Units granted on top.
    pub granted: i64,
    /// What happens beyond them.
    pub policy: OveragePolicy,
    /// Counts the changes of this limit within the period, from 1.
    pub version: i64,
}

impl Limit {
    /// Included and granted together; nothing: no limit.
    pub fn total(&self) -> Option<i64> {
        self.included.map(|included| included.saturating_add(self.granted))
    }

    /// What is left beside `taken` units, never below 0; nothing: no limit.
    pub fn remaining(&self, taken: i64) -> Option<i64> {
        self.total().map(|total| total.saturating_sub(taken).max(0))
    }

    /// Whether `units` more may be taken beside `taken` ones without force.
    pub fn fits(&self, taken: i64, units: i64) -> bool {
        match (self.policy, self.total()) {
            (OveragePolicy::Metered { .. }, _) | (OveragePolicy::HardStop, None) => true,
            (OveragePolicy::HardStop, Some(total)) => total.saturating_sub(taken) >= units,
        }
    }

    /// How far `used` is above the limit.
    pub(crate) fn beyond(&self, used: i64) -> i64 {
        self.total().map_or(0, |total| used.saturating_sub(total).max(0))
    }
}

/// The counter of one metric in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The period it counts.
    pub period_no: i64,
    /// What it counts.
    pub metric: Metric,
    /// The limit in force.
    pub limit: Limit,
    /// The pool that its units are taken from as well.
    pub draws: Option<Draws>,
    /// Units used: the sum of the events' deltas.
    pub used: i64,
    /// Units held: the sum of the open holds.
    pub held: i64,
    /// Whether it must be written.
    pub changed: bool,
}

impl Counter {
    /// Units that are not free any more.
    pub fn taken(&self) -> i64 {
        self.used.saturating_add(self.held)
    }

    /// Its numbers, in the words of `period`.
    pub fn numbers(&self, period: &OpenPeriod) -> Numbers {
        Numbers::of(&self.limit, self.used, self.held, period)
    }
}

/// Where an org stands with one metric: shown by every answer and stored with every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Included units; nothing: no limit.
    pub included: Option<i64>,
    /// Units granted on top.
    pub granted: i64,
    /// Units used.
    pub used: i64,
    /// Units held.
    pub held: i64,
    /// Used units above a hard stop: by force, in shadow mode, by a settle above its hold, or because the limit was lowered.
    pub overrun: i64,
    /// Used units above a metered allowance; they are charged.
    pub overage: i64,
    /// What is left, never below 0; nothing: no limit.
    pub remaining: Option<i64>,
    /// What happens beyond the limit.
    pub policy: OveragePolicy,
    /// The label of the period.
    pub period_key: PeriodKey,
    /// The period.
    pub period: Period,
    /// When the counter starts again at 0: the end of the period.
    pub reset_at: Timestamp,
    /// Which change of the limit these numbers were made with.
    pub limit_version: i64,
}

impl Numbers {
    /// The numbers of `used` and `held` units under `limit`.
    pub fn of(limit: &Limit, used: i64, held: i64, period: &OpenPeriod) -> Numbers {
        let beyond = limit.beyond(used);
        let (overrun, overage) = match limit.policy {
            OveragePolicy::HardStop => (beyond, 0),
            OveragePolicy::Metered { .. } => (0, beyond),
        };
        Numbers {
            included: limit.included,
            granted: limit.granted,
            used,
            held,
            overrun,
            overage,
            remaining: limit.remaining(used.saturating_add(held)),
            policy: limit.policy,
            period_key: period.key,
            period: period.period,
            reset_at: period.period.end,
            limit_version: limit.version,
        }
    }

    /// The same for units that draw on a pool: no more is left than the pool pays for.
    #[must_use]
    pub fn drawing(self, pool: &Numbers, rate: i64) -> Numbers {
        let paid_for = pool.remaining.map(|left| left.div_euclid(rate.max(1)));
        let remaining = match (self.remaining, paid_for) {
            (Some(own), Some(pool)) => Some(own.min(pool)),
            (own, pool) => own.or(pool),
        };
        Numbers { remaining, ..self }
    }
}
