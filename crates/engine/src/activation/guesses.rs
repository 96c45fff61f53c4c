//! Counts codes that nobody ever made, so that eight characters cannot be found by trying.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Error;
use crate::engine::Engine;

const WINDOW: Duration = Duration::from_secs(600);
/// Addresses remembered at once; when there are more, the oldest window of all begins anew.
const ADDRESSES_MAX: usize = 10_000;

/// Guesses in the running window of ten minutes.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    began: Duration,
    all: u32,
    by_address: HashMap<String, u32>,
}

impl Guesses {
    /// Refuses whoever has guessed too often.
    pub(super) fn admit(&self, engine: &Engine, address: Option<&str>) -> Result<(), Error> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = engine.clock().monotonic.now();
        let age = now.saturating_sub(counted.began);
        if age >= WINDOW || counted.by_address.len() > ADDRESSES_MAX {
            *counted = Counted { began: now, ..Counted::default() };
            return Ok(());
        }
        let own = address.and_then(|address| counted.by_address.get(address)).copied().unwrap_or(0);
        let limits = engine.limits();
        if counted.all < limits.guesses_max && own < limits.guesses_per_address_max {
            return Ok(());
        }
        Err(Error::TooManyGuesses(WINDOW.saturating_sub(age).as_secs().max(1)))
    }

    /// Counts a code that nobody made.
    pub(super) fn missed(&self, address: Option<&str>) {
        metrics::counter!("tollgate_activation_guesses_total").increment(1);
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.all = counted.all.saturating_add(1);
        if let Some(address) = address {
            let own = counted.by_address.entry(address.to_owned()).or_default();
            *own = own.saturating_add(1);
        }
    }
}
