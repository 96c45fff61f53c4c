//! What the stand-ins do wrong when asked to: lost, doubled, shuffled and late webhooks, and calls that fail.
//!
//! Everything here can be changed while the server runs; a fresh sandbox has no faults.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Answer this status instead of doing anything; 429 comes without `Retry-After`.
    Status(u16),
    /// Do the work, then never answer: the connection closes without a response.
    LostAnswer,
    /// Do the work, then answer 500.
    ErrorAfterCommit,
    /// Do nothing, answer 500 and keep that under the call's idempotency key: the same key hears it for a day.
    PinnedError,
    /// A gateway's HTML page with status 502.
    BadGateway,
    /// Wait this long in real time, then do the work and answer as ever.
    Slow(Duration),
}

#[derive(Clone, Debug)]
struct Planned {
    path: String,
    /// Matching calls that still pass before it begins.
    passing: u32,
    times: u32,
    failure: Failure,
}

/// What goes wrong at present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) drop_webhooks: bool,
    pub(crate) duplicate_webhooks: bool,
    pub(crate) reorder_seed: Option<u64>,
    pub(crate) webhook_delay: Duration,
    pub(crate) answer_delay: Duration,
    /// What each plan costs more per period at Stigg than at Stripe, in minor units.
    pub(crate) stigg_surcharge: i64,
    planned: Vec<Planned>,
    /// Restricted keys, and what the paths they may not use begin with.
    restricted: Vec<(String, Vec<String>)>,
}

/// A handle on the faults of one sandbox; clones share the same settings.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    settings: Arc<Mutex<Settings>>,
}

impl Settings {
    /// The paths of calls that are still going to fail.
    pub(crate) fn planned_paths(&self) -> Vec<String> {
        self.planned.iter().map(|planned| planned.path.clone()).collect()
    }

    /// Restricted keys with what they lack.
    pub(crate) fn restricted(&self) -> &[(String, Vec<String>)] {
        &self.restricted
    }
}

impl Faults {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// While `drop` is true no webhook is sent: each counts as answered and stays pending at Stripe for good.
    pub fn drop_webhooks(&self, drop: bool) {
        self.change(|settings| settings.drop_webhooks = drop);
    }

    /// While `duplicate` is true each webhook is sent twice.
    pub fn duplicate_webhooks(&self, duplicate: bool) {
        self.change(|settings| settings.duplicate_webhooks = duplicate);
    }

    /// Sends waiting webhooks in an order derived from `seed`; `None` restores the order of events.
    pub fn reorder_webhooks(&self, seed: Option<u64>) {
        self.change(|settings| settings.reorder_seed = seed);
    }

    /// Waits this long, in real time, before each webhook.
    pub fn delay_webhooks(&self, delay: Duration) {
        self.change(|settings| settings.webhook_delay = delay);
    }

    /// Waits this long, in real time, before each answer.
    pub fn delay_answers(&self, delay: Duration) {
        self.change(|settings| settings.answer_delay = delay);
    }

    /// The next `times` calls whose path begins with `path` end in `failure`.
    pub fn fail_next(&self, path: &str, times: u32, failure: Failure) {
        self.fail_after(path, 0, times, failure);
    }

    /// After `passing` more calls whose path begins with `path`, the next `times` of them end in `failure`.
    pub fn fail_after(&self, path: &str, passing: u32, times: u32, failure: Failure) {
        self.change(|settings| settings.planned.push(Planned { path: path.to_owned(), passing, times, failure }));
    }

    /// Whether a planned failure waits for its call.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        !self.settings().planned.is_empty()
    }

    /// From now on this key (`rk_test_…`) lacks the permission for paths that begin with one of these; with none it lacks nothing.
    pub fn restrict_key(&self, key: &str, lacks: &[String]) {
        self.change(|settings| {
            settings.restricted.retain(|(known, _)| known != key);
            if !lacks.is_empty() {
                settings.restricted.push((key.to_owned(), lacks.to_vec()));
            }
        });
    }

    /// Whether a key may use a path.
    pub(crate) fn allows(&self, key: &str, path: &str) -> bool {
        let settings = self.settings();
        let found = settings.restricted.iter().find(|(known, _)| known == key);
        found.is_none_or(|(_, lacks)| !lacks.iter().any(|lacking| path.starts_with(lacking)))
    }

    /// Lets each plan cost more per period at Stigg than at Stripe (less where negative), in minor units: previews then differ.
    pub fn stigg_surcharge(&self, minor: i64) {
        self.change(|settings| settings.stigg_surcharge = minor);
    }

    /// Back to a sandbox without faults.
    pub fn clear(&self) {
        self.change(|settings| *settings = Settings::default());
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses up one planned failure for a call to `path`.
    pub(crate) fn take(&self, path: &str) -> Option<Failure> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let planned =
            settings.planned.iter_mut().find(|planned| planned.times > 0 && path.starts_with(&planned.path))?;
        if planned.passing > 0 {
            planned.passing -= 1;
            return None;
        }
        planned.times -= 1;
        let failure = planned.failure;
        settings.planned.retain(|planned| planned.times > 0);
        Some(failure)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Faults};

    #[test]
    fn a_planned_failure_is_used_up_by_matching_calls_only() {
        let faults = Faults::none();
        faults.fail_next("/v1/customers", 2, Failure::Status(500));
        assert_eq!(faults.take("/v1/prices"), None);
        assert_eq!(faults.take("/v1/customers/cus_1"), Some(Failure::Status(500)));
        assert_eq!(faults.take("/v1/customers"), Some(Failure::Status(500)));
        assert_eq!(faults.take("/v1/customers"), None);
    }
}
