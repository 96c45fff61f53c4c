//! Changes of what an org pays for: which kind a change is, when it takes effect, what the rest of a period is worth, and what the
//! customer should hear before deciding.
//!
//! Stripe computes what is charged; the arithmetic here is the same one, so that every preview can be checked against it.
//! Source of the arithmetic: `../shared/reference/stripe.md` d and `../shared/contracts/stripe/proration_vectors.json`.

#[cfg(test)]
mod tests;

use crate::catalog::Plan;
use crate::ids::{Metric, PlanCode};
use crate::paid::taken_off;
use crate::period::{Interval, Period};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What an org pays for, or wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms<'p> {
    /// The plan.
    pub plan_code: &'p PlanCode,
    /// Its place in the catalog: a higher rank is an upgrade.
    pub rank: u32,
    /// How often it is charged.
    pub interval: Interval,
    /// Seats.
    pub quantity: i64,
}

/// What kind of change leads from one to the other. The plan decides first, then the interval, then the seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing changes.
    Same,
    /// To a plan of higher rank.
    Upgrade,
    /// To a plan of lower rank.
    Downgrade,
    /// The same plan, charged by the year instead of by the month.
    LongerInterval,
    /// The same plan, charged by the month instead of by the year.
    ShorterInterval,
    /// The same plan, for more seats.
    MoreSeats,
    /// The same plan, for fewer seats.
    FewerSeats,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once, and what it costs is charged at once.
    Now,
    /// When the running period ends; nothing is charged or credited.
    PeriodEnd,
}

impl Change {
    /// The kind of change from `from` to `to`.
    pub fn between(from: &Terms<'_>, to: &Terms<'_>) -> Change {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let plans = to.rank.cmp(&from.rank);
        let same_plan = to.plan_code == from.plan_code;
        match (same_plan, plans) {
            (false, Greater | Equal) => return Change::Upgrade,
            (false, Less) => return Change::Downgrade,
            (true, _) => {}
        }
        match (from.interval, to.interval) {
            (Interval::Month, Interval::Year) => return Change::LongerInterval,
            (Interval::Year, Interval::Month) => return Change::ShorterInterval,
            (Interval::Month, Interval::Month) | (Interval::Year, Interval::Year) => {}
        }
        match to.quantity.cmp(&from.quantity) {
            Equal => Change::Same,
            Greater => Change::MoreSeats,
            Less => Change::FewerSeats,
        }
    }

    /// When it takes effect; nothing where nothing changes.
    pub const fn when(self) -> Option<When> {
        match self {
            Change::Same => None,
            Change::Upgrade | Change::LongerInterval | Change::MoreSeats => Some(When::Now),
            Change::Downgrade | Change::ShorterInterval | Change::FewerSeats => Some(When::PeriodEnd),
        }
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Change::Same => "same",
            Change::Upgrade => "upgrade",
            Change::Downgrade => "downgrade",
            Change::LongerInterval => "longer_interval",
            Change::ShorterInterval => "shorter_interval",
            Change::MoreSeats => "more_seats",
            Change::FewerSeats => "fewer_seats",
        }
    }
}

/// What a change within a period comes to: the unused rest of the old terms and the same rest at the new ones, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proration {
    /// What is given back: zero or negative.
    pub credit: i64,
    /// What is charged.
    pub debit: i64,
}

impl Proration {
    /// Charged at `at`, when `old` was paid for the whole period and `new` is what the whole period would cost. Each of the two is
    /// rounded on its own.
    pub fn at(at: Timestamp, period: Period, old: i64, new: i64) -> Proration {
        let (left, whole) = seconds(at, period);
        // Adding zero turns a negative nothing into nothing.
        Proration { credit: 0 - share(old, left, whole), debit: share(new, left, whole) }
    }

    /// What it comes to.
    pub const fn net(self) -> i64 {
        self.credit.saturating_add(self.debit)
    }
}

/// The part of `amount` that falls on `left` of `whole` seconds, to the nearest minor unit, halves away from zero.
pub fn share(amount: i64, left: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let numerator = i128::from(amount) * i128::from(left.clamp(0, whole));
    let denominator = i128::from(whole);
    let rounded = (2 * numerator.abs() + denominator) / (2 * denominator) * numerator.signum();
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// Seconds left and whole seconds of a period, as Stripe counts them.
fn seconds(at: Timestamp, period: Period) -> (i64, i64) {
    let end = period.end.as_seconds();
    (end - at.as_seconds(), end - period.start.as_seconds())
}

/// What was used of a metric in the running period, and how much it included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burned {
    /// The metric.
    pub metric: Metric,
    /// Units used.
    pub used: i64,
    /// Units included; nothing: no limit.
    pub included: Option<i64>,
    /// Units of earlier periods that were not paid for, and are taken off the running one.
    pub owed: i64,
    /// The same in the period that the change leads to.
    pub owed_then: i64,
}

/// Whether the unused rest of a period may be given back when a change begins a new one with fresh units.
///
/// A plan that guards against arbitrage gives nothing back once a larger share of its units is used than of its time: else the
/// same money would buy its units again and again.
pub fn gives_back(plan: &Plan, burned: &[Burned], at: Timestamp, period: Period) -> bool {
    if !plan.anti_arbitrage {
        return true;
    }
    let (left, whole) = seconds(at, period);
    let elapsed = i128::from((whole - left).clamp(0, whole.max(0)));
    let within = |burned: &Burned| match burned.included {
        None | Some(0) => true,
        Some(included) => i128::from(burned.used) * i128::from(whole) <= i128::from(included) * elapsed,
    };
    burned.iter().filter(|burned| burned.used > 0).all(within)
}

/// What a change does to one metric's units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The metric.
    pub metric: Metric,
    /// Units used in the running period.
    pub used: i64,
    /// Units included now; nothing: no limit.
    pub included_before: Option<i64>,
    /// Units included by the new plan, less what is owed; nothing: no limit.
    pub included_after: Option<i64>,
    /// Units of earlier periods that were not paid for, and are taken off the running one.
    pub owed_before: i64,
    /// Units that were not paid for, and are taken off the period that the change leads to and those that follow, until none are left.
    pub owed_after: i64,
}

impl Effect {
    /// More was used already than the new plan includes.
    pub fn exceeds(&self) -> bool {
        self.included_after.is_some_and(|included| self.used > included)
    }

    /// `You already used 4,200 of 1,000 api_call.`, where that is so.
    pub fn warning(&self) -> Option<String> {
        let included = self.included_after.filter(|_| self.exceeds())?;
        let (used, included) = (grouped(self.used), grouped(included));
        Some(format!("You already used {used} of {included} {}.", self.metric))
    }

    /// `You used 870 api_call more than was paid for: they are taken off the periods that follow.`, where that is so.
    pub fn debt(&self) -> Option<String> {
        let owed = Some(self.owed_after).filter(|owed| *owed > 0).map(grouped)?;
        Some(format!(
            "You used {owed} {} more than was paid for: they are taken off the periods that follow.",
            self.metric
        ))
    }
}

/// What changing to `plan` does to each metric.
pub fn effects(plan: &Plan, burned: &[Burned]) -> Vec<Effect> {
    let less = |included: i64, burned: &Burned| included - taken_off(included, burned.owed_then);
    let effect = |burned: &Burned| Effect {
        metric: burned.metric.clone(),
        used: burned.used,
        included_before: burned.included,
        included_after: plan.allowance(&burned.metric).included.units().map(|included| less(included, burned)),
        owed_before: burned.owed,
        owed_after: burned.owed_then,
    };
    burned.iter().map(effect).collect()
}

/// `4200` → `4,200`.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}
