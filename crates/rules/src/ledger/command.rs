//! What can be asked of the ledger.

use crate::ids::{HoldId, Metric, RequestId};
use crate::period::PeriodKey;
use crate::quantity::Units;
use crate::time::Timestamp;
use std::time::Duration;

/// One thing asked of one org's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Check and count in one step.
    Record(Record),
    /// Hold units.
    Reserve(Reserve),
    /// Charge a hold.
    Settle(Settle),
    /// Free a hold.
    Release(Release),
    /// Prolong a hold.
    Extend(Extend),
    /// Put a count right.
    Correct(Correct),
    /// Bring a count to 0.
    Zero(Zero),
    /// Make sure that the current period is open.
    Seed(Seed),
}

/// Units of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is counted.
    pub metric: Metric,
    /// How many.
    pub units: Units,
}

/// Counts usage of one or several metrics: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The caller's name of this usage, unique in the org.
    pub request_id: RequestId,
    /// What is counted, at least one.
    pub items: Vec<Item>,
    /// When it happened, as the caller says; kept as data, never decides the period.
    pub occurred_at: Option<Timestamp>,
    /// Where it came from (`api`); not part of what makes a repeat.
    pub source: String,
    /// The reason to count it even past the limit; nothing: it must fit.
    pub force: Option<String>,
}

/// Holds units of one metric until they are settled, released or expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The caller's name of this usage, unique in the org.
    pub request_id: RequestId,
    /// The id of the hold if it is taken; a repeat is answered with the first one.
    pub hold_id: HoldId,
    /// What is held.
    pub metric: Metric,
    /// How many.
    pub units: Units,
    /// For how long.
    pub ttl: HoldTtl,
    /// Where it came from (`api`).
    pub source: String,
}

/// Charges what was really used of a hold and frees the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The hold.
    pub hold_id: HoldId,
    /// What was really used; more than was held is counted as forced.
    pub units: Units,
}

/// Frees a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The hold.
    pub hold_id: HoldId,
}

/// Prolongs a hold to `ttl` from now; never shortens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extend {
    /// The hold.
    pub hold_id: HoldId,
    /// For how long from now.
    pub ttl: HoldTtl,
}

/// Appends an entry that puts an earlier event right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correct {
    /// The name of this correction, unique in the org.
    pub request_id: RequestId,
    /// The event that was wrong.
    pub corrects: RequestId,
    /// Which metric of it; needed only where the event counted several.
    pub metric: Option<Metric>,
    /// Signed units to add.
    pub units: i64,
    /// Why.
    pub reason: String,
}

/// Appends an entry that brings a counter of the current period to 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zero {
    /// The name of this correction, unique in the org.
    pub request_id: RequestId,
    /// The counter.
    pub metric: Metric,
    /// Why.
    pub reason: String,
}

/// Asks for the current period's counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The counter.
    pub metric: Metric,
    /// The period the caller believes to be current.
    pub period_key: Option<PeriodKey>,
}

/// How long a hold lives: 1 second to 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldTtl(Duration);

/// A time to live outside 1 to 86400 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ttlSeconds is a whole number from 1 to 86400")]
pub struct InvalidTtl;

impl HoldTtl {
    /// The longest life in seconds.
    pub const SECONDS_MAX: i64 = 86_400;

    /// Accepts a time to live in seconds.
    ///
    /// # Errors
    /// [`InvalidTtl`] outside 1..=86400.
    pub fn from_seconds(seconds: i64) -> Result<Self, InvalidTtl> {
        match u64::try_from(seconds) {
            Ok(whole) if (1..=Self::SECONDS_MAX).contains(&seconds) => Ok(Self(Duration::from_secs(whole))),
            _ => Err(InvalidTtl),
        }
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl Command {
    /// The caller's name of the usage, where the command has one.
    pub fn request_id(&self) -> Option<&RequestId> {
        match self {
            Command::Record(record) => Some(&record.request_id),
            Command::Reserve(reserve) => Some(&reserve.request_id),
            Command::Correct(correct) => Some(&correct.request_id),
            Command::Zero(zero) => Some(&zero.request_id),
            Command::Settle(_) | Command::Release(_) | Command::Extend(_) | Command::Seed(_) => None,
        }
    }

    /// The hold it speaks of, where there is one already.
    pub fn hold_id(&self) -> Option<&HoldId> {
        match self {
            Command::Settle(settle) => Some(&settle.hold_id),
            Command::Release(release) => Some(&release.hold_id),
            Command::Extend(extend) => Some(&extend.hold_id),
            Command::Record(_) | Command::Reserve(_) | Command::Correct(_) | Command::Zero(_) | Command::Seed(_) => {
                None
            }
        }
    }
}
