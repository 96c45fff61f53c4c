//! Grants: in which order they are used, what they add to a period, and how a period's usage is drawn from them.
//!
//! The included units of a period are used first, because they end with it; what is beyond them is drawn from the grants in force, by
//! priority, then earliest expiry. A grant that has ended still counts what was drawn from it in the open period: work that fitted when
//! it was done stays within the limit. What a grant gave is never more than its units, over all periods together.

use super::Grant;
use crate::ids::Metric;
use crate::period::Period;
use crate::time::Timestamp;

/// The grants of a metric in force at `now`, in the order they are used: by priority, then earliest expiry, then id.
pub fn grants_in_order<'a>(grants: &'a [Grant], metric: &Metric, now: Timestamp) -> Vec<&'a Grant> {
    let mut live: Vec<&Grant> = grants
        .iter()
        .filter(|grant| grant.metric == *metric && grant.from <= now && grant.until.is_none_or(|until| now < until))
        .collect();
    live.sort_by(|a, b| a.order().cmp(&b.order()));
    live
}

impl Grant {
    /// Lower is used first.
    pub fn order(&self) -> (i64, Timestamp, &str) {
        (self.priority, self.until.unwrap_or(Timestamp::MAX), &self.id)
    }

    /// Whether it adds units to `period` at `now`.
    pub fn counts_in(&self, period: Period, now: Timestamp) -> bool {
        let dated = self.from <= now && self.until.is_none_or(|until| now < until);
        dated && self.only_in.is_none_or(|start| start == period.start)
    }

    /// What was drawn from it in the period that began at `start`.
    fn drawn_in(&self, start: Timestamp) -> i64 {
        self.newest.filter(|(began, _)| *began == start).map_or(0, |(_, units)| units)
    }
}

/// Units granted on top of a period's included ones: everything that is left of the grants in force, and what was drawn from those
/// that have ended since.
pub(super) fn granted(grants: &[Grant], metric: &Metric, period: Period, now: Timestamp) -> i64 {
    grants.iter().filter(|grant| grant.metric == *metric).fold(0_i64, |sum, grant| {
        let own = grant.drawn_in(period.start);
        let elsewhere = grant.consumed.saturating_sub(own);
        let adds = if grant.counts_in(period, now) { grant.units.saturating_sub(elsewhere).max(own) } else { own };
        sum.saturating_add(adds.max(0))
    })
}

/// What was drawn from one grant in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The grant.
    pub grant_id: String,
    /// Its units.
    pub units: i64,
    /// What was drawn from it in other periods.
    pub elsewhere: i64,
    /// What was drawn from it in this one.
    pub here: i64,
    /// Whether it counted when the period's limit was last resolved: only then can newer usage have come from it.
    pub open: bool,
}

/// A period's usage beyond its included units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Of the open period: it may draw more.
    Open(i64),
    /// Of a period that is over: what fitted was drawn when it ended, so it can only give back.
    Over(i64),
}

/// Draws a period's usage from the grants of its metric, which come in the order of use. Afterwards the sum of `here` is what was spent,
/// as far as the grants reach; no grant gives more than its units, and none less than nothing.
pub fn draw(drawn: &mut [Drawn], spent: Spent) {
    let have = drawn.iter().fold(0_i64, |sum, one| sum.saturating_add(one.here));
    let (Spent::Open(want) | Spent::Over(want)) = spent;
    let want = want.max(0);
    if want < have {
        let mut back = have.saturating_sub(want);
        // Given back in the reverse order, so that what would be used first stays used.
        for one in drawn.iter_mut().rev() {
            let units = one.here.min(back);
            one.here = one.here.saturating_sub(units);
            back = back.saturating_sub(units);
        }
        return;
    }
    if matches!(spent, Spent::Over(_)) {
        return;
    }
    let mut more = want.saturating_sub(have);
    for one in drawn.iter_mut().filter(|one| one.open) {
        let left = one.units.saturating_sub(one.elsewhere).saturating_sub(one.here).max(0);
        let units = left.min(more);
        one.here = one.here.saturating_add(units);
        more = more.saturating_sub(units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(id: &str, units: i64, elsewhere: i64, here: i64, open: bool) -> Drawn {
        Drawn { grant_id: id.to_owned(), units, elsewhere, here, open }
    }

    fn here(drawn: &[Drawn]) -> Vec<i64> {
        drawn.iter().map(|one| one.here).collect()
    }

    #[test]
    fn usage_is_drawn_in_order_and_given_back_in_reverse() {
        let mut drawn = vec![one("a", 10, 4, 0, true), one("b", 5, 0, 0, true), one("c", 50, 0, 0, true)];
        draw(&mut drawn, Spent::Open(13));
        assert_eq!(here(&drawn), [6, 5, 2]);
        draw(&mut drawn, Spent::Open(7));
        assert_eq!(here(&drawn), [6, 1, 0]);
        draw(&mut drawn, Spent::Over(9));
        assert_eq!(here(&drawn), [6, 1, 0], "a period that is over draws nothing more");
        draw(&mut drawn, Spent::Over(2));
        assert_eq!(here(&drawn), [2, 0, 0]);
    }

    #[test]
    fn what_ended_keeps_what_was_drawn_and_gives_no_more() {
        let mut drawn = vec![one("ended", 10, 0, 4, false), one("next", 10, 0, 0, true)];
        draw(&mut drawn, Spent::Open(9));
        assert_eq!(here(&drawn), [4, 5]);
    }

    proptest! {
        #[test]
        fn nothing_is_drawn_twice_or_below_nothing(
            grants in prop::collection::vec((0_i64..50, 0_i64..60, any::<bool>()), 0..6),
            spent in prop::collection::vec((0_i64..200, any::<bool>()), 1..8),
        ) {
            let mut drawn: Vec<Drawn> = grants
                .iter()
                .enumerate()
                .map(|(index, (units, elsewhere, open))| {
                    one(&index.to_string(), *units, (*elsewhere).min(*units), 0, *open)
                })
                .collect();
            let room: i64 = drawn.iter().filter(|one| one.open).map(|one| one.units - one.elsewhere).sum();
            for (units, open) in spent {
                let before: i64 = here(&drawn).iter().sum();
                draw(&mut drawn, if open { Spent::Open(units) } else { Spent::Over(units) });
                let after: i64 = here(&drawn).iter().sum();
                prop_assert!(drawn.iter().all(|one| one.here >= 0 && one.here + one.elsewhere <= one.units));
                let expected = if open { units.min(room) } else { units.min(before) };
                prop_assert_eq!(after, expected);
            }
        }
    }
}
