//! Time and randomness: the only module that reads the system's clocks and its random source.
//!
//! Three clocks are three types, because each answers another question: the [`BusinessClock`] decides periods, trials, holds and grants
//! (in `dev` the sandbox moves it); the [`WallClock`] is the real date (sessions, leases between machines, log times);
//! the [`MonotonicClock`] only measures (timeouts, caches). [`Entropy`] makes ids and secrets.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use tollgate_rules::time::Timestamp;

/// The clocks and the random source an engine runs with.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    /// Decides.
    pub business: BusinessClock,
    /// Dates.
    pub wall: WallClock,
    /// Measures.
    pub monotonic: MonotonicClock,
    /// Ids and secrets.
    pub entropy: Entropy,
}

/// The clock of decisions.
#[derive(Debug, Clone, Default)]
pub struct BusinessClock(Business);

#[derive(Debug, Clone, Default)]
enum Business {
    #[default]
    System,
    Offset(Arc<AtomicI64>),
    Fixed(Arc<AtomicI64>),
}

impl BusinessClock {
    /// The system's time.
    #[must_use]
    pub fn system() -> BusinessClock {
        BusinessClock(Business::System)
    }

    /// The system's time plus an offset in µs that someone else moves: the sandbox's clock.
    #[must_use]
    pub fn offset(offset_micros: Arc<AtomicI64>) -> BusinessClock {
        BusinessClock(Business::Offset(offset_micros))
    }

    /// A clock that stands still until [`BusinessClock::set`]: tests.
    #[must_use]
    pub fn fixed(at: Timestamp) -> BusinessClock {
        BusinessClock(Business::Fixed(Arc::new(AtomicI64::new(at.as_micros()))))
    }

    /// Moves a fixed clock; an offset clock is moved so that it shows `at` now. The system's clock does not move.
    pub fn set(&self, at: Timestamp) {
        match &self.0 {
            Business::System => {}
            Business::Offset(offset) => offset.store(at.as_micros().saturating_sub(system_micros()), Ordering::Release),
            Business::Fixed(micros) => micros.store(at.as_micros(), Ordering::Release),
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(match &self.0 {
            Business::System => system_micros(),
            Business::Offset(offset) => system_micros().saturating_add(offset.load(Ordering::Acquire)),
            Business::Fixed(micros) => micros.load(Ordering::Acquire),
        })
    }
}

/// The real date.
#[derive(Debug, Clone, Default)]
pub struct WallClock(());

impl WallClock {
    /// The system's time.
    #[must_use]
    pub fn system() -> WallClock {
        WallClock(())
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(system_micros())
    }
}

/// A clock that only goes forward.
#[derive(Debug, Clone, Default)]
pub struct MonotonicClock(());

impl MonotonicClock {
    /// The system's monotonic time.
    #[must_use]
    pub fn system() -> MonotonicClock {
        MonotonicClock(())
    }

    /// Time since the process first asked; only differences mean something.
    #[must_use]
    pub fn now(&self) -> Duration {
        static START: OnceLock<std::time::Instant> = OnceLock::new();
        START.get_or_init(monotonic_instant).elapsed()
    }
}

/// The random source: the system's, or a seeded one for tests that replay.
#[derive(Debug, Clone, Default)]
pub struct Entropy(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Seeded(Arc<Mutex<(u64, u64)>>),
}

impl Entropy {
    /// The operating system's random source.
    #[must_use]
    pub fn system() -> Entropy {
        Entropy(Source::System)
    }

    /// A stream that is the same for the same seed. Never for secrets outside tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Entropy {
        Entropy(Source::Seeded(Arc::new(Mutex::new((seed, 0)))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => system_random(&mut bytes),
            Source::Seeded(state) => {
                for chunk in bytes.chunks_mut(32) {
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.1 = state.1.wrapping_add(1);
                    let mut hash = Sha256::new();
                    hash.update(state.0.to_be_bytes());
                    hash.update(state.1.to_be_bytes());
                    let block = hash.finalize();
                    for (byte, random) in chunk.iter_mut().zip(block.iter()) {
                        *byte = *random;
                    }
                }
            }
        }
        bytes
    }

    /// A number in `0..=max`, near enough to uniform for jitter.
    #[must_use]
    pub fn up_to(&self, max: u64) -> u64 {
        let random = u64::from_be_bytes(self.bytes::<8>());
        if max == u64::MAX { random } else { random % (max + 1) }
    }

    /// A new id: prefix and a time-ordered UUID (version 7) without dashes.
    #[must_use]
    pub fn id(&self, prefix: &str, at: Timestamp) -> String {
        let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or(0);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid();
        format!("{prefix}{}", uuid.simple())
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[expect(clippy::disallowed_methods, reason = "this module is where the system's clock is read")]
fn system_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "this module is where the monotonic clock is read")]
fn monotonic_instant() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this module is where randomness comes from")]
fn system_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("an operating system without randomness cannot run this program");
}
