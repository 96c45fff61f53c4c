//! What one command asks of several counters at once: its own, and the pools that its metrics draw on; whether all of it fits
//! together, and which rule says no.

use crate::catalog::OveragePolicy;
use crate::ids::Metric;
use crate::ledger::{Counter, Numbers, OpenPeriod, Refusal, Rule, SpendCap, TOTAL_MAX};
use crate::metering::Block;

/// One line of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its counter's place.
    pub(crate) counter: usize,
    /// What it asks of it.
    pub(crate) units: i64,
    /// The place of the pool it draws on, and what it takes of that.
    pub(crate) pool: Option<(usize, i64)>,
}

/// What earlier lines of the same command have asked for, by counter.
#[derive(Debug, Default)]
pub(crate) struct Demand(Vec<(usize, i64)>);

/// What stands against a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Against {
    /// The counter that has no room.
    pub(crate) counter: usize,
    /// The rule.
    pub(crate) rule: Rule,
}

/// The line that asks for `units` of a metric in a period.
///
/// # Errors
/// [`Refusal::UnknownMetric`]; [`Refusal::TotalTooLarge`] where the pool could not count what is taken of it.
pub(crate) fn line(counters: &[Counter], period_no: i64, metric: &Metric, units: i64) -> Result<Line, Refusal> {
    let place = |metric: &Metric| {
        counters.iter().position(|counter| counter.period_no == period_no && counter.metric == *metric)
    };
    let counter = place(metric).ok_or_else(|| Refusal::UnknownMetric(metric.clone()))?;
    let draws = counters.get(counter).and_then(|counter| counter.draws.as_ref());
    // A pool without a counter (the catalog just lost it) limits nothing.
    let pool = draws.and_then(|draws| Some((place(&draws.pool)?, draws)));
    let pool = match pool {
        None => None,
        Some((index, draws)) => {
            let taken = draws.take(units).filter(|taken| *taken <= TOTAL_MAX);
            Some((index, taken.ok_or_else(|| Refusal::TotalTooLarge(draws.pool.clone()))?))
        }
    };
    Ok(Line { counter, units, pool })
}

impl Demand {
    /// What stands against a line beside what was asked for already; nothing: it fits.
    ///
    /// # Errors
    /// [`Refusal::TotalTooLarge`] where the sum cannot be counted at all.
    pub(crate) fn against(
        &self,
        counters: &[Counter],
        line: &Line,
        cap: Option<SpendCap>,
    ) -> Result<Option<Against>, Refusal> {
        let drawn_by = counters.get(line.counter).map(|counter| counter.metric.clone());
        let own = self.fits(counters, (line.counter, line.units))?;
        if let Some((pool, taken)) = line.pool
            && !self.fits(counters, (pool, taken))?
            && own
        {
            return Ok(drawn_by.map(|drawn_by| Against { counter: pool, rule: Rule::Pool { drawn_by } }));
        }
        if !own {
            return Ok(Some(Against { counter: line.counter, rule: Rule::Allowance }));
        }
        Ok(cap.and_then(|cap| self.costs_too_much(counters, line, cap)))
    }

    /// Remembers what a line asks for.
    pub(crate) fn take(&mut self, line: &Line) {
        for (counter, units) in [Some((line.counter, line.units)), line.pool].into_iter().flatten() {
            match self.0.iter_mut().find(|(known, _)| *known == counter) {
                Some((_, asked)) => *asked = asked.saturating_add(units),
                None => self.0.push((counter, units)),
            }
        }
    }

    /// What was asked of a counter so far.
    pub(crate) fn asked(&self, counter: usize) -> i64 {
        self.0.iter().find(|(known, _)| *known == counter).map_or(0, |(_, units)| *units)
    }

    fn fits(&self, counters: &[Counter], (index, units): (usize, i64)) -> Result<bool, Refusal> {
        let Some(counter) = counters.get(index) else { return Ok(true) };
        let taken = counter.taken().saturating_add(self.asked(index));
        match taken.checked_add(units) {
            Some(sum) if sum <= TOTAL_MAX => Ok(counter.limit.fits(taken, units)),
            _ => Err(Refusal::TotalTooLarge(counter.metric.clone())),
        }
    }

    /// Whether the line makes overage cost more than the org allows. What costs nothing more always passes.
    fn costs_too_much(&self, counters: &[Counter], line: &Line, cap: SpendCap) -> Option<Against> {
        let period_no = counters.get(line.counter)?.period_no;
        let before = self.spent(counters, period_no, None);
        let after = self.spent(counters, period_no, Some(line));
        let too_much = after > cap.minor && after > before;
        let rule = Rule::SpendCap { cap_minor: cap.minor, spent_minor: before };
        too_much.then_some(Against { counter: line.counter, rule })
    }

    /// What overage costs with all that was asked for, in minor units of the plan's currency.
    fn spent(&self, counters: &[Counter], period_no: i64, line: Option<&Line>) -> i64 {
        let asked_by = |index: usize| {
            let lines = line.map(|line| [Some((line.counter, line.units)), line.pool]);
            let parts = lines.into_iter().flatten().flatten().filter(|(counter, _)| *counter == index);
            parts.fold(self.asked(index), |sum, (_, units)| sum.saturating_add(units))
        };
        let here = counters.iter().enumerate().filter(|(_, counter)| counter.period_no == period_no);
        here.fold(0_i64, |sum, (index, counter)| {
            let taken = counter.taken().saturating_add(asked_by(index));
            sum.saturating_add(cost(counter, taken))
        })
    }
}

/// What the overage of so many units costs.
fn cost(counter: &Counter, taken: i64) -> i64 {
    match counter.limit.policy {
        OveragePolicy::HardStop => 0,
        OveragePolicy::Metered { amount_minor, per_units } => {
            Block { amount_minor, per_units }.charge(counter.limit.beyond(taken))
        }
    }
}

/// What overage costs in a period, held units counted as used.
pub fn spent(counters: &[Counter], period_no: i64) -> i64 {
    Demand::default().spent(counters, period_no, None)
}

/// The numbers of a counter; where it draws on a pool, no more is left than the pool pays for.
pub(crate) fn numbers(counters: &[Counter], counter: &Counter, period: &OpenPeriod) -> Numbers {
    let numbers = counter.numbers(period);
    let Some(draws) = &counter.draws else { return numbers };
    let pool = counters.iter().find(|one| one.period_no == counter.period_no && one.metric == draws.pool);
    pool.map_or(numbers, |pool| numbers.drawing(&pool.numbers(period), draws.rate))
}
