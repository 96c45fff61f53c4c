//! Argon2id, off the async threads and bounded: each hash takes 19 MiB and tens of milliseconds.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::Error;
use crate::clock::Entropy;
use crate::db;
use crate::limits::Limits;

/// The floor of the OWASP cheat sheet (2025): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// Whether this is one of the most common passwords, or one of them with digits or marks behind it.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let bare = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    COMMON.contains(lower.as_str()) || (bare.len() >= 6 && COMMON.contains(bare)) || {
        let mut letters = lower.chars();
        letters.next().is_some_and(|first| letters.all(|c| c == first))
    }
}

/// Computes hashes, a few at once.
#[derive(Debug)]
pub(crate) struct Hashing {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    dummy: OnceLock<String>,
    #[cfg(test)]
    pub(crate) computed: std::sync::atomic::AtomicU64,
}

impl Hashing {
    pub(crate) fn new(limits: &Limits) -> Hashing {
        Hashing {
            running: Arc::new(Semaphore::new(limits.people.password_hashes_max)),
            waiting: Arc::new(Semaphore::new(limits.people.password_hashes_waiting_max)),
            dummy: OnceLock::new(),
            #[cfg(test)]
            computed: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, entropy: &Entropy, password: &SecretString) -> Result<String, Error> {
        let (salt, password) = (entropy.bytes::<16>(), password.clone());
        self.run(move || hashed(password.expose_secret(), &salt)).await?
    }

    /// Whether the password belongs to the hash. Without a hash the same work is done, and the answer is no.
    pub(crate) async fn verify(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, Error> {
        let (known, password) = (hash.is_some(), password.clone());
        let hash = match hash {
            Some(hash) => hash.to_owned(),
            None => self.dummy()?,
        };
        let fits =
            self.run(move || argon().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok());
        Ok(fits.await? && known)
    }

    /// The hash of a password that nobody has. Computed once, at start, so that the first unknown address costs no more.
    pub(crate) fn dummy(&self) -> Result<String, Error> {
        if let Some(hash) = self.dummy.get() {
            return Ok(hash.clone());
        }
        let hash = hashed("a password that nobody has", b"no account at all")?;
        Ok(self.dummy.get_or_init(|| hash).clone())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let _waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let _running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Error::Overloaded)?;
        #[cfg(test)]
        self.computed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| Error::Database(db::Error::Bug(format!("hashing a password: {error}"))))
    }
}

fn argon() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these are valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hashed(password: &str, salt: &[u8]) -> Result<String, Error> {
    let hash: Result<PasswordHash, _> = argon().hash_password_with_salt(password.as_bytes(), salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| Error::Database(db::Error::Bug(format!("hashing a password: {error}"))))
}
