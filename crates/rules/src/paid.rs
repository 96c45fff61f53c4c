//! What a period paid for. An upgrade within a period raises its units at once, and is charged for the rest of it; whoever then burns the
//! units and goes back to a lower plan has used more than was paid for. What is over is owed, and taken off the next periods.

use crate::ids::Metric;
use crate::period::Period;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Included units of one plan, from a moment of the period on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// From when on.
    pub from: Timestamp,
    /// What the plan includes for a whole period.
    pub included: i64,
}

/// A period that is over, for one metric.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The period.
    pub period: Period,
    /// The plans it was under, in their order; the last one is the plan at its end.
    pub stretches: &'a [Stretch],
    /// Units used.
    pub used: i64,
    /// What was owed when it began.
    pub owed: i64,
    /// What the plan that follows includes; nothing: no limit.
    pub next: Option<i64>,
    /// Whether the plan guards against arbitrage.
    pub guarded: bool,
}

/// Units that an org used in earlier periods and had not paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Of what.
    pub metric: Metric,
    /// How many.
    pub units: i64,
    /// Since when: they are taken off the period that begins then or next.
    pub since: Timestamp,
}

/// What a period paid for: each plan's units by its share of the time, a begun unit in full. Nothing for a period without a plan.
pub fn paid_for(stretches: &[Stretch], period: Period) -> i64 {
    paid_until(stretches, period, period.end)
}

/// The same for the part of a period before `cut`: what is left of it after its unused rest was given back.
fn paid_until(stretches: &[Stretch], period: Period, cut: Timestamp) -> i64 {
    let whole = i128::from(period.end.as_micros().saturating_sub(period.start.as_micros()));
    if whole <= 0 {
        return 0;
    }
    let mut sum = 0_i128;
    for (place, stretch) in stretches.iter().enumerate() {
        // What is known of the period's beginning counts from its beginning.
        let from = if place == 0 { period.start } else { stretch.from.clamp(period.start, period.end) };
        let next = stretches.get(place.saturating_add(1)).map_or(period.end, |next| next.from);
        let until = next.clamp(from, period.end).min(cut.max(from));
        sum += i128::from(stretch.included) * i128::from(until.as_micros().saturating_sub(from.as_micros()));
    }
    i64::try_from((sum + whole - 1) / whole).unwrap_or(i64::MAX)
}

/// What is taken off the included units of a period in which so much is owed.
pub fn taken_off(included: i64, owed: i64) -> i64 {
    owed.clamp(0, included.max(0))
}

/// What is owed when the next period begins: the rest of what was owed, and what was used beyond what was paid for when a lower plan
/// follows. Where the plan stays, the whole next period is paid for at its price, and nothing is added.
pub fn owed(ended: &Ended<'_>) -> i64 {
    let Some(last) = ended.stretches.last() else { return ended.owed.max(0) };
    let off = taken_off(last.included, ended.owed);
    let lower = ended.next.is_some_and(|next| next < last.included);
    if !ended.guarded || !lower {
        return ended.owed.max(0).saturating_sub(off);
    }
    let within = ended.used.min(last.included.saturating_sub(off)).max(0);
    let got = ended.owed.max(0).saturating_add(within);
    got.saturating_sub(paid_for(ended.stretches, ended.period)).max(0)
}

/// What of an earlier debt is still owed when a period was cut short at `cut` by one that began anew. `refunded` says whether its unused
/// rest was given back; then only what was paid before works anything off.
pub fn owed_after_cut(ended: &Ended<'_>, cut: Timestamp, refunded: bool) -> i64 {
    let owed = ended.owed.max(0);
    let Some(last) = ended.stretches.last() else { return owed };
    let within = ended.used.min(last.included.saturating_sub(taken_off(last.included, owed))).max(0);
    let until = if refunded { cut.clamp(ended.period.start, ended.period.end) } else { ended.period.end };
    let paid = paid_until(ended.stretches, ended.period, until);
    owed.saturating_add(within).saturating_sub(paid).clamp(0, owed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MONTH: i64 = 30 * 86_400;
    const PLANS: [i64; 4] = [0, 100, 1_000, 50_000];

    fn month(no: i64) -> Period {
        Period::new(Timestamp::from_seconds(no * MONTH), Timestamp::from_seconds((no + 1) * MONTH))
    }

    fn stretch(no: i64, second: i64, included: i64) -> Stretch {
        Stretch { from: Timestamp::from_seconds(no * MONTH + second), included }
    }

    #[test]
    fn an_upgrade_pays_for_its_share_of_the_time() {
        let stretches = [stretch(0, 0, 100), stretch(0, MONTH / 2, 1_000)];
        assert_eq!(paid_for(&stretches, month(0)), 550);
        assert_eq!(paid_for(&stretches[..1], month(0)), 100);
        assert_eq!(paid_for(&[stretch(0, 0, 10), stretch(0, MONTH - 1, 11)], month(0)), 11, "a begun unit in full");
        assert_eq!(paid_for(&[], month(0)), 0);
    }

    #[test]
    fn what_was_burned_and_not_paid_for_is_owed_only_when_a_lower_plan_follows() {
        let stretches = [stretch(0, 0, 100), stretch(0, MONTH - 86_400, 1_000)];
        let ended =
            Ended { period: month(0), stretches: &stretches, used: 900, owed: 0, next: Some(100), guarded: true };
        assert_eq!(paid_for(&stretches, month(0)), 130);
        assert_eq!(owed(&ended), 770);
        assert_eq!(owed(&Ended { next: Some(1_000), ..ended }), 0, "the plan stays and is paid for in full");
        assert_eq!(owed(&Ended { next: None, ..ended }), 0);
        assert_eq!(owed(&Ended { guarded: false, ..ended }), 0, "the plan's choice");
        assert_eq!(owed(&Ended { used: 120, ..ended }), 0, "no more than was paid for");
        assert_eq!(
            owed(&Ended { used: 5_000, ..ended }),
            870,
            "what was forced or charged beyond is not counted twice"
        );
    }

    #[test]
    fn a_period_that_is_cut_short_works_off_what_was_paid_of_it() {
        let stretches = [stretch(0, 0, 1_000)];
        let half = Timestamp::from_seconds(MONTH / 2);
        let ended =
            Ended { period: month(0), stretches: &stretches, used: 100, owed: 500, next: Some(1_000), guarded: true };
        assert_eq!(owed_after_cut(&ended, half, true), 100, "500 paid for, 100 used, 500 owed");
        assert_eq!(owed_after_cut(&ended, half, false), 0, "all of it was paid for");
        assert_eq!(owed_after_cut(&Ended { used: 500, ..ended }, half, false), 0);
        assert_eq!(owed_after_cut(&Ended { used: 500, owed: 3_000, ..ended }, half, false), 2_000);
        assert_eq!(owed_after_cut(&Ended { used: 0, owed: 3_000, ..ended }, half, true), 2_500);
    }

    /// What an org does in a month: upgrades (at a second, to a place in the price list), how greedily it burns, where it goes then.
    type Month = (Vec<(i64, usize)>, bool, usize);

    /// Lives through months; the units it got, the units it paid for, and what it owes in the end.
    fn live(months: &[Month], stays: bool) -> (i64, i64, i64) {
        let (mut got, mut paid, mut debt, mut plan) = (0_i64, 0_i64, 0_i64, 1_usize);
        for (no, (upgrades, greedy, then)) in (0_i64..).zip(months) {
            let mut stretches = vec![stretch(no, 0, PLANS[plan])];
            let mut sorted = upgrades.clone();
            sorted.sort_unstable();
            for (second, to) in sorted {
                // Within a period it only goes up; down is at its end.
                if to > plan {
                    plan = to;
                    stretches.push(stretch(no, second, PLANS[plan]));
                }
            }
            let available = PLANS[plan] - taken_off(PLANS[plan], debt);
            let used = if *greedy { available } else { available / 2 };
            let next = if stays { plan } else { (*then).min(plan.saturating_sub(1)).max(1).min(plan) };
            let ended = Ended {
                period: month(no),
                stretches: &stretches,
                used,
                owed: debt,
                next: Some(PLANS[next]),
                guarded: true,
            };
            got += used;
            paid += paid_for(&stretches, month(no));
            debt = owed(&ended);
            plan = next;
        }
        (got, paid, debt)
    }

    fn any_month() -> impl Strategy<Value = Month> {
        (prop::collection::vec((0..MONTH, 1_usize..4), 0..4), any::<bool>(), 1_usize..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn upgrading_burning_and_downgrading_never_yields_more_than_was_paid_for(months in prop::collection::vec(any_month(), 1..24)) {
            let (got, paid, debt) = live(&months, false);
            // What is owed was got and is taken off before anything more is had: it is never had for nothing.
            prop_assert!(got <= paid + debt, "got {got}, paid for {paid}, owes {debt}");
        }

        #[test]
        fn a_spree_is_worked_off_before_anything_more_is_had(second in 0..MONTH, to in 2_usize..4) {
            let spree = (vec![(second, to)], true, 1);
            let quiet = |months: usize| vec![(Vec::new(), true, 1); months];
            let months: Vec<Month> = std::iter::once(spree).chain(quiet(600)).collect();
            let (got, paid, debt) = live(&months, false);
            prop_assert_eq!(debt, 0);
            prop_assert!(got <= paid);
        }

        #[test]
        fn whoever_never_goes_down_owes_nothing(months in prop::collection::vec(any_month(), 1..12)) {
            prop_assert_eq!(live(&months, true).2, 0);
        }
    }
}
