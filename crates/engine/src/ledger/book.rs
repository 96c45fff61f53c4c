//! The books of a group: one per org, with who asked for each new event.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_rules::ids::{KeyId, OrgKey};
use tollgate_rules::ledger::{Answer, Book, Command, Refusal, decide};
use tollgate_rules::time::Timestamp;

/// One org's book, and what only the engine knows about it.
#[derive(Debug)]
pub(super) struct OrgBook {
    /// What the rules decide on.
    pub(super) book: Book,
    /// Who asked for each event that was appended, in their order.
    pub(super) actors: Vec<Arc<str>>,
    /// When the next open hold that was there before the group expires.
    pub(super) next_hold_end: Timestamp,
    /// Whether a command of the group did something: then it is written.
    acted: bool,
}

/// The books of a group by org.
pub(super) type Books = BTreeMap<OrgKey, OrgBook>;

impl OrgBook {
    pub(super) fn new(book: Book) -> OrgBook {
        OrgBook { book, actors: Vec::new(), next_hold_end: Timestamp::MAX, acted: false }
    }

    /// Decides one command and remembers who asked: its name, and the key where it has a slice.
    pub(super) fn decide(
        &mut self,
        command: &Command,
        (actor, slice): (&Arc<str>, Option<&KeyId>),
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let answer = decide(&mut self.book, command, slice, now);
        self.actors.resize_with(self.book.appended.len(), || Arc::clone(actor));
        // A hold that is extended or freed appends no event, but must be written; a denial or a repeat must not write.
        self.acted |= matches!(&answer, Ok(Answer::Hold(answer)) if !answer.repeat);
        answer
    }

    /// Frees what has expired, and writes it.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        let now = self.book.now(now);
        self.book.expire_holds(now);
        self.acted |= self.book.changed();
    }

    /// Whether the group must write this book: expired holds alone wait for the sweeper, so that a denial costs no disk.
    pub(super) fn must_write(&self) -> bool {
        self.acted || !self.book.appended.is_empty()
    }

    /// When the next open hold expires, those of the group included.
    pub(super) fn holds_until(&self) -> Timestamp {
        use tollgate_rules::ledger::HoldState;
        let open = self.book.holds.values().filter(|hold| hold.state == HoldState::Open);
        open.map(|hold| hold.expires_at).fold(self.next_hold_end, Timestamp::min)
    }
}
