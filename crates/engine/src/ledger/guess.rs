//! Whether it pays to take ids as new without looking them up.

use std::sync::atomic::{AtomicU32, Ordering};

use tollgate_rules::ledger::Command;

use super::queue::Entry;

/// Groups that look their ids up after a wrong guess: a closed gate that is hammered, or a client that sends everything again.
const CAREFUL_GROUPS: u32 = 16;

/// What is done about the ids of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// Nothing: the unique index finds the ones that are known.
    TakenAsNew,
    /// They are looked up first.
    LookedUp,
}

/// The memory of earlier guesses.
#[derive(Debug, Default)]
pub(super) struct Guess {
    careful: AtomicU32,
}

impl Guess {
    /// Whether these entries are worth the guess: only verbs that need nothing of earlier events, and no wrong guess lately.
    pub(super) fn worthwhile(&self, entries: &[&Entry]) -> bool {
        let careful = self.careful.load(Ordering::Relaxed);
        if careful > 0 {
            self.careful.store(careful - 1, Ordering::Relaxed);
            return false;
        }
        let mut commands = entries.iter().flat_map(|entry| &entry.commands);
        commands.all(|command| match command {
            Command::Record(_)
            | Command::Reserve(_)
            | Command::Settle(_)
            | Command::Release(_)
            | Command::Extend(_) => true,
            Command::Correct(_) | Command::Zero(_) | Command::Seed(_) => false,
        })
    }

    pub(super) fn was_right(&self) {
        self.careful.store(0, Ordering::Relaxed);
    }

    pub(super) fn was_wrong(&self) {
        self.careful.store(CAREFUL_GROUPS, Ordering::Relaxed);
    }
}
