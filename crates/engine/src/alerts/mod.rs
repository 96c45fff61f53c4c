//! Alerts about usage, and what each org used each day. Tables `usage_alerts usage_summaries`.
//!
//! An alert is raised once per period, metric and kind: when half, four fifths or all of what is included and granted is used, and
//! when the pace so far leads beyond it. The org's address gets a letter with the row, in the same transaction. A summary is one row per
//! org, metric and day, made from the hourly rollups after the day is over; where the flag `usage_digest` is on, a letter tells of it.

mod digest;
mod job;
mod list;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use tollgate_rules::ids::{Metric, OrgKey};
use tollgate_rules::period::Period;
use tollgate_rules::time::Timestamp;

pub(crate) use job::job;
pub use list::{list, summaries};

/// Why an alert was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Half is used.
    Half,
    /// Four fifths are used.
    FourFifths,
    /// All is used.
    All,
    /// At this pace all is used before the period ends.
    Forecast,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Half, Kind::FourFifths, Kind::All, Kind::Forecast];

    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Half => "50",
            Kind::FourFifths => "80",
            Kind::All => "100",
            Kind::Forecast => "forecast",
        }
    }

    fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it holds for so much of a limit at a moment of a period.
    fn holds(self, used: i64, limit: i64, (period, now): (Period, Timestamp)) -> bool {
        let (used, limit) = (i128::from(used), i128::from(limit));
        match self {
            Kind::Half => used * 100 >= limit * 50,
            Kind::FourFifths => used * 100 >= limit * 80,
            Kind::All => used >= limit,
            Kind::Forecast => {
                let whole = i128::from(period.end.as_micros()) - i128::from(period.start.as_micros());
                let gone = i128::from(now.as_micros()) - i128::from(period.start.as_micros());
                // The first fifth of a period says too little about the rest.
                gone * 5 >= whole && used * whole > limit * gone
            }
        }
    }
}

/// An alert that was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Why.
    pub kind: Kind,
    /// About what.
    pub metric: Metric,
    /// In which period.
    pub period_key: String,
    /// What was used then.
    pub used: i64,
    /// What was included and granted then.
    pub limit: i64,
    /// When.
    pub raised_at: Timestamp,
    pub(crate) org_key: OrgKey,
}

/// What an org used of a metric on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The day's start, UTC.
    pub day: Timestamp,
    /// Of what.
    pub metric: Metric,
    /// Units.
    pub units: i64,
    /// Ledger events.
    pub events: i64,
}
