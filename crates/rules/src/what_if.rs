//! What would have happened under other terms: real usage, line by line, against another limit.

use crate::catalog::OveragePolicy;
use crate::metering::Block;
use crate::time::Timestamp;

/// The limit that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Included and granted units; nothing: no limit.
    pub total: Option<i64>,
    /// What happens beyond them.
    pub policy: OveragePolicy,
}

/// One line of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What it added; below 0 for some corrections.
    pub delta: i64,
    /// What of it was counted without regard to the limit.
    pub forced: i64,
    /// When.
    pub at: Timestamp,
}

/// What would have become of a period's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    terms: Terms,
    /// Units that would have been counted.
    pub used: i64,
    /// Units that would have been refused.
    pub refused: i64,
    /// Calls that would have been refused.
    pub calls_refused: i64,
    /// The first of them.
    pub first_refused: Option<Timestamp>,
}

impl Terms {
    /// What so many units beyond the limit cost.
    pub fn charge(self, used: i64) -> i64 {
        match (self.policy, self.total) {
            (OveragePolicy::Metered { amount_minor, per_units }, Some(total)) => {
                Block { amount_minor, per_units }.charge(used.saturating_sub(total))
            }
            (OveragePolicy::Metered { .. }, None) | (OveragePolicy::HardStop, _) => 0,
        }
    }

    /// Whether any of so many units would be refused.
    pub fn stops(self, used: i64) -> bool {
        match (self.policy, self.total) {
            (OveragePolicy::HardStop, Some(total)) => used > total,
            (OveragePolicy::HardStop, None) | (OveragePolicy::Metered { .. }, _) => false,
        }
    }
}

impl Fold {
    /// Before the first line.
    pub const fn new(terms: Terms) -> Fold {
        Fold { terms, used: 0, refused: 0, calls_refused: 0, first_refused: None }
    }

    /// Takes the next line. A call is refused whole; what was forced is counted in any case.
    pub fn take(&mut self, line: Used) {
        let sum = self.used.saturating_add(line.delta);
        if line.delta > 0 && line.forced < line.delta && self.terms.stops(sum) {
            self.refused = self.refused.saturating_add(line.delta);
            self.calls_refused = self.calls_refused.saturating_add(1);
            self.first_refused.get_or_insert(line.at);
            return;
        }
        // A correction of what would have been refused takes nothing back.
        self.used = sum.max(0);
    }

    /// What its overage would have cost.
    pub fn charge(&self) -> i64 {
        self.terms.charge(self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn used(delta: i64) -> Used {
        Used { delta, forced: 0, at: Timestamp::from_seconds(delta) }
    }

    fn folded(terms: Terms, lines: &[Used]) -> Fold {
        let mut fold = Fold::new(terms);
        lines.iter().for_each(|line| fold.take(*line));
        fold
    }

    #[test]
    fn a_lower_hard_stop_refuses_whole_calls_and_lets_smaller_ones_pass() {
        let terms = Terms { total: Some(10), policy: OveragePolicy::HardStop };
        let fold = folded(terms, &[used(8), used(3), used(2), used(1)]);
        assert_eq!((fold.used, fold.refused, fold.calls_refused), (10, 4, 2));
        assert_eq!(fold.first_refused, Some(Timestamp::from_seconds(3)));
        let forced = folded(terms, &[Used { forced: 12, ..used(12) }]);
        assert_eq!((forced.used, forced.refused), (12, 0), "what was forced passes here too");
    }

    #[test]
    fn under_metered_terms_nothing_is_refused_and_begun_blocks_are_charged() {
        let policy = OveragePolicy::Metered { amount_minor: 300, per_units: 1_000 };
        let fold = folded(Terms { total: Some(10), policy }, &[used(8), used(3)]);
        assert_eq!((fold.used, fold.refused, fold.charge()), (11, 0, 300));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_a_hard_stop_is_never_overshot(total in 0_i64..60, deltas in prop::collection::vec(1_i64..20, 0..20)) {
            let lines: Vec<Used> = deltas.iter().map(|delta| used(*delta)).collect();
            let fold = folded(Terms { total: Some(total), policy: OveragePolicy::HardStop }, &lines);
            prop_assert!(fold.used <= total);
            prop_assert_eq!(fold.used + fold.refused, deltas.iter().sum::<i64>());
        }
    }
}
