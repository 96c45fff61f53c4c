//! A key's slice: how much of an org's allowance one key may use in a period, whatever the org has left.
//!
//! A slice is a hard stop beside the org's own limit, decided in the same step and under the same lock. It counts what the key
//! asked for: its records (forced ones too) and its holds, whoever settles them. A correction puts the org's count right and
//! leaves slices as they are; bringing a counter to 0 empties its slices too.

use crate::ids::{KeyId, Metric};
use crate::ledger::demand::{Against, Demand, Line};
use crate::ledger::{Book, Counter, Event, Hold, Rule};

/// One key's slice of one metric in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The key; of keys that follow each other, the first: they share one slice.
    pub key_id: KeyId,
    /// The period it counts.
    pub period_no: i64,
    /// What it counts.
    pub metric: Metric,
    /// Units the key may use in a period.
    pub units: i64,
    /// Units it used.
    pub used: i64,
    /// Units its open holds hold.
    pub held: i64,
    /// Whether it must be written.
    pub changed: bool,
}

impl Slice {
    /// What is left of it, never below 0.
    pub fn remaining(&self) -> i64 {
        self.units.saturating_sub(self.taken()).max(0)
    }

    /// Whether `units` more fit beside `earlier` ones of the same call.
    pub(crate) fn fits(&self, earlier: i64, units: i64) -> bool {
        self.units.saturating_sub(self.taken()).saturating_sub(earlier) >= units
    }

    fn taken(&self) -> i64 {
        self.used.saturating_add(self.held)
    }

    fn is(&self, key_id: &KeyId, period_no: i64, metric: &Metric) -> bool {
        self.period_no == period_no && self.metric == *metric && self.key_id == *key_id
    }

    fn of_hold(&self, hold: &Hold) -> bool {
        hold.slice.as_ref().is_some_and(|key_id| self.is(key_id, hold.period_no, &hold.metric))
    }
}

fn find<'s>(slices: &'s [Slice], by: Option<&KeyId>, (period_no, metric): (i64, &Metric)) -> Option<&'s Slice> {
    let key_id = by?;
    slices.iter().find(|slice| slice.is(key_id, period_no, metric))
}

/// Whether the key that asks has a slice of a metric.
pub(crate) fn bounds(slices: &[Slice], by: Option<&KeyId>, of: (i64, &Metric)) -> bool {
    find(slices, by, of).is_some()
}

/// The slice that has no room for a line beside what was asked for already; of the metric itself, or of the pool it draws on.
pub(crate) fn against(
    (slices, by): (&[Slice], Option<&KeyId>),
    counters: &[Counter],
    (demand, line): (&Demand, &Line),
) -> Option<Against> {
    [Some((line.counter, line.units)), line.pool].into_iter().flatten().find_map(|(index, units)| {
        let counter = counters.get(index)?;
        let slice = find(slices, by, (counter.period_no, &counter.metric))?;
        let used_up = !slice.fits(demand.asked(index), units);
        used_up.then(|| Against { counter: index, rule: Rule::KeySlice(slice.clone()) })
    })
}

/// Counts units that the slice's key recorded.
pub(crate) fn count(slices: &mut [Slice], by: Option<&KeyId>, event: &Event) {
    let Some(key_id) = by else { return };
    if let Some(slice) = slices.iter_mut().find(|slice| slice.is(key_id, event.period_no, &event.metric)) {
        slice.used = slice.used.saturating_add(event.delta);
        slice.changed = true;
    }
}

/// Counts units of a hold that was taken from a slice.
pub(crate) fn hold(slices: &mut [Slice], hold: &Hold) {
    if let Some(slice) = slices.iter_mut().find(|slice| slice.of_hold(hold)) {
        slice.held = slice.held.saturating_add(hold.units);
        slice.changed = true;
    }
}

/// Gives the units of an open hold back to its slice.
pub(crate) fn free(slices: &mut [Slice], hold: &Hold) {
    if let Some(slice) = slices.iter_mut().find(|slice| slice.of_hold(hold)) {
        slice.held = slice.held.saturating_sub(hold.units).max(0);
        slice.changed = true;
    }
}

/// Counts what a settled hold was charged.
pub(crate) fn charge(slices: &mut [Slice], hold: &Hold, units: i64) {
    if let Some(slice) = slices.iter_mut().find(|slice| slice.of_hold(hold)) {
        slice.used = slice.used.saturating_add(units);
        slice.changed = true;
    }
}

/// Empties the slices of a counter that is brought to 0.
pub(crate) fn empty(book: &mut Book, period_no: i64, metric: &Metric) {
    for slice in book.slices.iter_mut().filter(|slice| slice.period_no == period_no && slice.metric == *metric) {
        slice.changed |= slice.used != 0;
        slice.used = 0;
    }
}
