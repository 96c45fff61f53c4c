//! Failures with credentials, counted in memory per network address and in all: what slows a guesser who tries many accounts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Error;
use crate::engine::Engine;

/// Whether somebody at this address may try a credential: not when too many failed from there within the minute, or from everywhere.
/// What takes a credential asks first, and tells of a failure with [`failed_try`].
///
/// # Errors
/// [`Error::Slow`].
pub fn may_try(engine: &Engine, from: Option<IpAddr>) -> Result<(), Error> {
    engine.accounts().budget.check(engine, from)
}

/// A credential that somebody at this address tried was not good.
pub fn failed_try(engine: &Engine, from: Option<IpAddr>) {
    engine.accounts().budget.failed(engine, from);
}

const WINDOW: Duration = Duration::from_secs(60);
/// Addresses counted at once; a full table begins anew.
const ADDRESSES_MAX: usize = 100_000;

/// The failures of the running minute.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Duration,
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Budget {
    /// Refuses who failed too often within the minute, or everybody when all together did.
    pub(crate) fn check(&self, engine: &Engine, from: Option<IpAddr>) -> Result<(), Error> {
        let now = engine.clock().monotonic.now();
        let window = self.current(now);
        let own = from.and_then(|address| window.by_address.get(&address)).copied().unwrap_or(0);
        if own < engine.limits().people.address_failures_max && window.all < engine.limits().people.global_failures_max
        {
            return Ok(());
        }
        Err(Error::Slow(WINDOW.saturating_sub(now.saturating_sub(window.began)).max(Duration::from_secs(1))))
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, engine: &Engine, from: Option<IpAddr>) {
        let mut window = self.current(engine.clock().monotonic.now());
        window.all = window.all.saturating_add(1);
        if let Some(address) = from {
            if window.by_address.len() >= ADDRESSES_MAX {
                window.by_address.clear();
            }
            let count = window.by_address.entry(address).or_default();
            *count = count.saturating_add(1);
        }
        metrics::counter!("tollgate_credential_failures_total").increment(1);
    }

    fn current(&self, now: Duration) -> std::sync::MutexGuard<'_, Window> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(window.began) >= WINDOW {
            *window = Window { began: now, ..Window::default() };
        }
        window
    }
}
