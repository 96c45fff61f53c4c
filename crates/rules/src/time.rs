//! A moment in time: microseconds UTC, written as RFC 3339 with `Z`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A moment in UTC with microsecond precision, between the years −9999 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// A text that is not a moment in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written in RFC 3339, such as 2026-02-15T09:00:00Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// The earliest moment that can be written.
    pub const MIN: Timestamp = Timestamp(-377_705_023_201_000_000);
    /// The last moment that can be written; stands for "never" where an end is asked for.
    pub const MAX: Timestamp = Timestamp(253_402_207_200_000_000);

    /// The moment `micros` microseconds after 1970; clamped to what can be written.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// The moment `seconds` seconds after 1970; clamped to what can be written.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds after 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds after 1970, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Reads a moment in RFC 3339, with `Z` or an offset; digits below a microsecond are cut.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] for anything else, also for the wider spellings of ISO 8601.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        if !has_rfc3339_shape(text.as_bytes()) {
            return Err(InvalidTimestamp);
        }
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self::from_micros(moment.as_nanosecond().div_euclid(1_000).try_into().map_err(|_| InvalidTimestamp)?))
    }

    /// The moment `duration` later, at most [`Timestamp::MAX`].
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(duration)))
    }

    /// The moment `duration` earlier, at least [`Timestamp::MIN`].
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(duration)))
    }

    /// The moment `days` times 24 hours later.
    pub fn plus_days(self, days: u32) -> Self {
        self.plus(Duration::from_hours(24).saturating_mul(days))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The date and time of day in UTC.
    pub(crate) fn civil(self) -> jiff::civil::DateTime {
        self.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).datetime()
    }

    /// The moment of a date and time of day in UTC; clamped to what can be written.
    pub(crate) fn from_civil(civil: jiff::civil::DateTime) -> Self {
        match jiff::tz::Offset::UTC.to_timestamp(civil) {
            Ok(moment) => Self::from_micros(moment.as_microsecond()),
            Err(_) if civil.year() > 0 => Self::MAX,
            Err(_) => Self::MIN,
        }
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).expect("a Timestamp is clamped to what jiff can hold")
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_jiff().fmt(f)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        Self::parse_rfc3339(&text)
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> String {
        moment.to_string()
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// `YYYY-MM-DDTHH:MM:SS[.digits](Z|±HH:MM)`: jiff reads more spellings than RFC 3339 allows.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    if text.len() < SHAPE.len() + 1 || text.len() > 40 {
        return false;
    }
    let (head, mut tail) = text.split_at(SHAPE.len());
    let head_fits = head.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        other => byte == other,
    });
    if let [b'.', rest @ ..] = tail {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return false;
        }
        tail = &rest[digits..];
    }
    let offset_fits = match tail {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    head_fits && offset_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_without_a_fraction_when_it_has_none() {
        assert_eq!(Timestamp::from_seconds(1_771_146_000).to_string(), "2026-02-15T09:00:00Z");
        assert_eq!(Timestamp::from_micros(1_771_146_000_000_001).to_string(), "2026-02-15T09:00:00.000001Z");
        assert_eq!(Timestamp::from_micros(1_771_146_000_250_000).to_string(), "2026-02-15T09:00:00.25Z");
    }

    #[test]
    fn an_offset_is_turned_into_utc() {
        let parsed = Timestamp::parse_rfc3339("2026-02-15T10:30:00.1234567+01:30").unwrap();
        assert_eq!(parsed.to_string(), "2026-02-15T09:00:00.123456Z");
    }

    #[test]
    fn only_rfc_3339_is_read() {
        for wrong in [
            "",
            "2026-02-15",
            "2026-02-15T09:00:00",
            "2026-02-15 09:00:00Z",
            "2026-02-30T00:00:00Z",
            "20260215T090000Z",
            "2026-02-15T09:00:00+01",
            "2026-02-15T09:00:00Z[UTC]",
            "2026-02-15T09:00Z",
            "1771146000",
            "2026-13-01T00:00:00Z",
            "2026-02-15T09:00:00.Z",
            "2026-02-15T24:00:00Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(wrong), Err(InvalidTimestamp), "{wrong}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert!(!Timestamp::MIN.to_string().is_empty());
    }
}
