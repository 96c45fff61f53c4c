//! A histogram of latencies: fixed memory, about 1.5 % resolution, integers only.

use std::time::Duration;

/// Values below this have a bucket each; above, every power of two is cut into `STEPS` buckets.
const EXACT: u64 = 128;
const STEPS: u64 = 64;

/// Counts of durations by size.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 128 + 57 * 64], count: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub(super) fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(index(nanoseconds)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// Adds all counts of another.
    pub(super) fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
    }

    /// How many durations were counted.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The duration that `percent` of all stay at or below (rounded down to the bucket's start).
    #[must_use]
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(start_of(bucket));
            }
        }
        Duration::ZERO
    }
}

fn index(nanoseconds: u64) -> usize {
    let place = if nanoseconds < EXACT {
        nanoseconds
    } else {
        let exponent = u64::from(63 - nanoseconds.leading_zeros());
        let step = (nanoseconds >> (exponent - 6)) - STEPS;
        EXACT + (exponent - 7) * STEPS + step
    };
    usize::try_from(place).expect("there are fewer than 4,000 buckets")
}

fn start_of(bucket: usize) -> u64 {
    let place = u64::try_from(bucket).expect("there are fewer than 4,000 buckets");
    if place < EXACT {
        return place;
    }
    let exponent = (place - EXACT) / STEPS + 7;
    let step = (place - EXACT) % STEPS;
    (STEPS + step) << (exponent - 6)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, index, start_of};
    use std::time::Duration;

    #[test]
    fn a_bucket_starts_at_or_just_below_its_values() {
        for value in [0, 1, 127, 128, 129, 1_000, 65_535, 1_000_000, 123_456_789, u64::MAX] {
            let start = start_of(index(value));
            assert!(start <= value && value - start <= value / 64 + 1, "{value} fell into the bucket of {start}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_counted_values() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        let close = |percent: u64, micros: u64| {
            let found = histogram.percentile(percent);
            let wanted = Duration::from_micros(micros);
            assert!(found <= wanted && wanted - found <= wanted / 50, "p{percent} is {found:?}, not about {wanted:?}");
        };
        close(50, 50);
        close(99, 99);
        close(100, 100);
        assert_eq!(histogram.count(), 100);
    }
}
