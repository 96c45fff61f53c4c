//! Stripe's billing calendar: steps of an interval from the original anchor, the day clamped to the month's end.
//!
//! `../shared/reference/stripe.md` d: 31 Jan → 28 Feb → 31 Mar, always from the anchor; time of day kept, UTC. A year
//! step keeps month and day; 29 Feb becomes 28 Feb in other years (derived from the same rule, not in Stripe's pages).

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The last moment the sandbox knows, in the year 9000; billing dates a few years later still have a calendar.
pub(crate) const TIME_MAX: i64 = 221_876_582_399;
/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// A price's interval: so many days, weeks, months or years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    Days(i64),
    Months(i64),
}

impl Interval {
    /// Reads `recurring.interval` and `interval_count`.
    pub(crate) fn parse(interval: &str, count: i64) -> Option<Self> {
        match interval {
            "day" => Some(Self::Days(count)),
            "week" => Some(Self::Days(count * 7)),
            "month" => Some(Self::Months(count)),
            "year" => Some(Self::Months(count * 12)),
            _ => None,
        }
    }

    /// The anchor moved by `n` intervals, in seconds.
    pub(crate) fn step(self, anchor: i64, n: i64) -> i64 {
        match self {
            Self::Days(days) => anchor + n * days * DAY,
            Self::Months(months) => add_months(anchor, n * months),
        }
    }

    /// The period that contains `at`: the steps of the anchor around it.
    pub(crate) fn period_at(self, anchor: i64, at: i64) -> (i64, i64) {
        let length = match self {
            Self::Days(days) => days * DAY,
            Self::Months(months) => months * 31 * DAY,
        };
        // A month is at most 31 days, so this lies at or before the step wanted when `at` is after the anchor.
        let mut n = (at - anchor).div_euclid(length);
        while self.step(anchor, n) > at {
            n -= 1;
        }
        while self.step(anchor, n + 1) <= at {
            n += 1;
        }
        (self.step(anchor, n), self.step(anchor, n + 1))
    }
}

fn add_months(anchor: i64, months: i64) -> i64 {
    let stepped = Timestamp::from_second(anchor)
        .ok()
        .map(|at| at.to_zoned(TimeZone::UTC))
        .and_then(|at| Span::new().try_months(months).ok().and_then(|span| at.checked_add(span).ok()))
        .map(|at| at.timestamp().as_second());
    stepped.expect("billing dates lie within jiff's years -9999 to 9999")
}

/// A date as invoice lines print it: `01 Sep 2020`.
pub(crate) fn printed_date(at: i64) -> String {
    Timestamp::from_second(at).map(|at| at.strftime("%d %b %Y").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Interval;
    use jiff::Timestamp;

    fn at(date: &str) -> i64 {
        format!("{date}T09:30:00Z").parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn month_ends_are_clamped_from_the_original_anchor() {
        let month = Interval::parse("month", 1).unwrap();
        let anchor = at("2026-01-31");
        let steps: Vec<i64> = (1..=3).map(|n| month.step(anchor, n)).collect();
        assert_eq!(steps, [at("2026-02-28"), at("2026-03-31"), at("2026-04-30")]);
        assert_eq!(month.period_at(anchor, at("2026-03-31") - 1), (at("2026-02-28"), at("2026-03-31")));
        assert_eq!(month.period_at(anchor, at("2026-03-31")), (at("2026-03-31"), at("2026-04-30")));
        assert_eq!(month.period_at(anchor, at("2025-12-31") - 1), (at("2025-11-30"), at("2025-12-31")));
    }

    #[test]
    fn a_leap_day_anchor_returns_in_leap_years() {
        let year = Interval::parse("year", 1).unwrap();
        let steps: Vec<i64> = (1..=4).map(|n| year.step(at("2028-02-29"), n)).collect();
        assert_eq!(steps, [at("2029-02-28"), at("2030-02-28"), at("2031-02-28"), at("2032-02-29")]);
    }
}
