//! The last denials, for the start page of `tollgate dev`. Denials are never written anywhere; these few live in memory only.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tollgate_rules::time::Timestamp;

/// How many are remembered.
const KEPT_MAX: usize = 20;
/// How many are shown.
const SHOWN_MAX: usize = 5;

/// A denial as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) org_name: String,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) at: Timestamp,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<VecDeque<Denied>>);

impl Denials {
    pub(crate) fn remember(&self, denied: Denied) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(denied);
        kept.truncate(KEPT_MAX);
    }

    /// An org's last ones, newest first.
    pub(crate) fn of(&self, org_name: &str) -> Vec<Denied> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|denied| denied.org_name == org_name).take(SHOWN_MAX).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_rules::time::Timestamp;

    use super::{Denials, Denied, SHOWN_MAX};

    #[test]
    fn only_an_orgs_own_last_denials_are_shown() {
        let denials = Denials::default();
        for number in 0..30 {
            let org_name = if number % 2 == 0 { "Acme" } else { "Other" }.to_owned();
            let at = Timestamp::from_seconds(number);
            denials.remember(Denied { org_name, code: "quota_exceeded", message: number.to_string(), at });
        }
        let shown = denials.of("Acme");
        assert_eq!(shown.len(), SHOWN_MAX);
        assert_eq!(shown.first().map(|one| one.message.as_str()), Some("28"));
    }
}
