//! How often and how long one call to an outside service is tried.
//!
//! The numbers and the randomness are the caller's: a connector only carries them out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A source of random numbers, handed in so that tests and the simulator are repeatable.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Limits of one call: attempts, the time of each, and the time of all together.
#[derive(Clone)]
pub struct Pacing {
    /// How often one call is sent at most, the first time included.
    pub attempts_max: u32,
    /// How long one attempt may take, connect and body included.
    pub attempt_timeout: Duration,
    /// How long the whole call may take, pauses included.
    pub deadline: Duration,
    /// The pause after the first failure is drawn from zero to this; the bound doubles with each further failure.
    pub backoff_base: Duration,
    /// The bound of a pause stops growing here.
    pub backoff_max: Duration,
    /// Bytes of an answer that are read at most.
    pub body_bytes_max: usize,
    /// Where the jitter comes from.
    pub random: Random,
}

impl Pacing {
    /// The official Stripe libraries' rule (0.5 s doubling, two retries), within 30 seconds, with full jitter.
    pub fn with_random(random: Random) -> Self {
        Self {
            attempts_max: 3,
            attempt_timeout: Duration::from_secs(12),
            deadline: Duration::from_secs(30),
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(5),
            body_bytes_max: 8 << 20,
            random,
        }
    }

    /// The pause before attempt `failures + 1`: full jitter, so that many callers that failed together spread out.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let bound = self.backoff_base.saturating_mul(factor).min(self.backoff_max);
        let bound_micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros((self.random)() % bound_micros.saturating_add(1))
    }
}

impl fmt::Debug for Pacing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pacing")
            .field("attempts_max", &self.attempts_max)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_drawn_from_zero_to_the_doubling_bound() {
        let longest = Pacing::with_random(Arc::new(|| 500_000));
        assert_eq!(longest.pause(1), Duration::from_millis(500));
        let wrapped = Pacing::with_random(Arc::new(|| 500_001));
        assert_eq!(wrapped.pause(1), Duration::ZERO);
        let second = Pacing::with_random(Arc::new(|| 1_000_000));
        assert_eq!(second.pause(2), Duration::from_secs(1));
        let many = Pacing::with_random(Arc::new(|| 5_000_000));
        assert_eq!(many.pause(200), Duration::from_secs(5));
    }
}
