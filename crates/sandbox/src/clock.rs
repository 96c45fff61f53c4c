//! The sandbox's time and randomness: the only module here that asks the system for either.
//!
//! One clock rules everything at the stand-ins: system time plus an offset that only grows. The offset is an atomic that
//! the embedding process shares, so that its own business clock and Stripe's never disagree.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;

/// What signatures of the provider stand-in draw on.
pub(crate) fn randomness() -> SystemRandom {
    SystemRandom::new()
}

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// System time plus the sandbox's offset, in microseconds since 1970 UTC.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// The moment it is at the sandbox now.
    #[must_use]
    pub fn now_micros(&self) -> i64 {
        system_micros().saturating_add(self.offset.load(Ordering::SeqCst))
    }

    /// The offset in microseconds, shared with whoever must live in the same time.
    #[must_use]
    pub fn offset(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.offset)
    }

    /// Takes up an offset stored by an earlier run.
    pub(crate) fn restore(&self, offset: i64) {
        self.offset.store(offset, Ordering::SeqCst);
    }

    /// The offset at which it would be `micros` right now; never less than the present one, because time does not go back.
    pub(crate) fn offset_for(&self, micros: i64) -> i64 {
        micros.saturating_sub(system_micros()).max(self.offset.load(Ordering::SeqCst))
    }

    /// Moves forward to `offset`; a smaller one changes nothing.
    pub(crate) fn advance(&self, offset: i64) {
        self.offset.fetch_max(offset, Ordering::SeqCst);
    }
}

/// The offset that makes a new sandbox begin at `micros`, which may lie in the past: nothing has happened yet.
pub(crate) fn offset_starting_at(micros: i64) -> i64 {
    micros.saturating_sub(system_micros())
}

/// 32 random bytes from the operating system, the seed of all ids and secrets of one sandbox.
///
/// # Errors
/// The operating system has no randomness to give.
pub(crate) fn random_seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0_u8; 32];
    #[expect(clippy::disallowed_methods, reason = "this module is the sandbox's source of randomness")]
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

fn system_micros() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this module is the sandbox's clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
