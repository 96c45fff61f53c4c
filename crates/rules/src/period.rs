//! Quota periods: month steps from an anchor, half-open, UTC, and the labels they carry.
//!
//! A period is identified by (subscription, start instant). [`PeriodKey`] is only a label: `2026-01`, and `2026-01.2` for a
//! second period that starts in the same month of the same org.

#[cfg(test)]
mod tests;

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How often a price is charged. Quota periods are monthly for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Charged every month.
    Month,
    /// Charged every year.
    Year,
}

impl Interval {
    /// `month` or `year`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Interval::Month => "month",
            Interval::Year => "year",
        }
    }

    /// The letter that ends a lookup key: `m` or `y`.
    pub const fn letter(self) -> &'static str {
        match self {
            Interval::Month => "m",
            Interval::Year => "y",
        }
    }

    /// Reads `month` or `year`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "month" => Some(Interval::Month),
            "year" => Some(Interval::Year),
            _ => None,
        }
    }
}

/// A half-open span of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The first moment of the period.
    pub start: Timestamp,
    /// The first moment after the period.
    pub end: Timestamp,
}

impl Period {
    /// The period from `start` up to `end`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `at` belongs to the period.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The part that lies inside `outer` as well; `start` equals `end` when there is none.
    pub fn within(self, outer: Period) -> Period {
        let start = self.start.max(outer.start);
        Period { start, end: self.end.min(outer.end).max(start) }
    }
}

/// The moment `n` months after `anchor` (before, when negative): the same day and time of day, the day clamped to the month's
/// end. Always counted from the original anchor, so 31 January gives 28 February and then 31 March.
pub fn month_step(anchor: Timestamp, n: i32) -> Timestamp {
    let from = anchor.civil();
    let months = i32::from(from.year()) * 12 + i32::from(from.month()) - 1;
    let target = months.saturating_add(n);
    let (Ok(year), Ok(month)) = (i16::try_from(target.div_euclid(12)), i8::try_from(target.rem_euclid(12) + 1)) else {
        return if n > 0 { Timestamp::MAX } else { Timestamp::MIN };
    };
    let Ok(first) = jiff::civil::Date::new(year, month, 1) else {
        return if n > 0 { Timestamp::MAX } else { Timestamp::MIN };
    };
    let day = from.day().min(first.days_in_month());
    let date = jiff::civil::Date::new(year, month, day).expect("the day is clamped to the month");
    Timestamp::from_civil(date.to_datetime(from.time()))
}

/// The monthly step from `anchor` that contains `at`, before or after the anchor.
pub fn quota_period(anchor: Timestamp, at: Timestamp) -> Period {
    let (from, to) = (anchor.civil(), at.civil());
    let mut n = (i32::from(to.year()) - i32::from(from.year())) * 12 + i32::from(to.month()) - i32::from(from.month());
    if month_step(anchor, n) > at {
        n -= 1;
    }
    Period { start: month_step(anchor, n), end: month_step(anchor, n + 1) }
}

/// A period's label: the month of its start in UTC, and which of the org's periods starting in that month it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeriodKey {
    year: i16,
    month: i8,
    nth: u16,
}

/// A text that is not a period's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a period is written as a month, such as 2026-01 or 2026-01.2")]
pub struct InvalidPeriodKey;

impl PeriodKey {
    /// The label of the `nth` period (1 is the first) of an org that starts in the month of `start`.
    pub fn label(start: Timestamp, nth: u16) -> Self {
        let civil = start.civil();
        Self { year: civil.year(), month: civil.month(), nth: nth.max(1) }
    }

    /// Reads `2026-01` or `2026-01.2`.
    ///
    /// # Errors
    /// [`InvalidPeriodKey`] for any other spelling (`2026-1`, `2026-01.1`, `2026-01.02`).
    pub fn parse(text: &str) -> Result<Self, InvalidPeriodKey> {
        let (month, nth) = match text.split_once('.') {
            None => (text, 1),
            Some((month, nth)) => (month, ordinal(nth).ok_or(InvalidPeriodKey)?),
        };
        let [y1, y2, y3, y4, b'-', m1, m2] = month.as_bytes() else { return Err(InvalidPeriodKey) };
        if ![y1, y2, y3, y4, m1, m2].iter().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidPeriodKey);
        }
        let year = month[..4].parse().map_err(|_| InvalidPeriodKey)?;
        let month = month[5..].parse().map_err(|_| InvalidPeriodKey)?;
        if (1..=12).contains(&month) { Ok(Self { year, month, nth }) } else { Err(InvalidPeriodKey) }
    }

    /// Which of the month's periods it is; 1 is the first.
    pub const fn nth(&self) -> u16 {
        self.nth
    }

    /// Whether the label names a month without saying which of its periods, and so stands for the newest one.
    pub const fn is_plain_month(&self) -> bool {
        self.nth == 1
    }

    /// Whether both labels are of the same month.
    pub const fn same_month(&self, other: &PeriodKey) -> bool {
        self.year == other.year && self.month == other.month
    }
}

/// `2`, `3`, …: the first has no number, and a leading zero is not a spelling of it.
fn ordinal(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|nth| plain && *nth >= 2)
}

impl std::fmt::Display for PeriodKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)?;
        if self.nth > 1 { write!(f, ".{}", self.nth) } else { Ok(()) }
    }
}

impl TryFrom<String> for PeriodKey {
    type Error = InvalidPeriodKey;
    fn try_from(text: String) -> Result<Self, InvalidPeriodKey> {
        Self::parse(&text)
    }
}

impl From<PeriodKey> for String {
    fn from(key: PeriodKey) -> String {
        key.to_string()
    }
}
