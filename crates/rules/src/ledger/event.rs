//! What the ledger keeps: events that are only ever appended, and holds.

use crate::ids::{HoldId, KeyId, Metric, RequestId};
use crate::ledger::Numbers;
use crate::time::Timestamp;

/// Which verb wrote an event. Part of what makes a call a repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Counted because it fitted (or in shadow mode).
    Record,
    /// Counted in any case.
    Force,
    /// Held; counts nothing by itself.
    Reserve,
    /// Charged from a hold; carries the `request_id` of its reserve.
    Settle,
    /// Put right by an operator.
    Correct,
}

impl Verb {
    /// The word it is written as.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Record => "record",
            Verb::Force => "force",
            Verb::Reserve => "reserve",
            Verb::Settle => "settle",
            Verb::Correct => "correct",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Verb::Record, Verb::Force, Verb::Reserve, Verb::Settle, Verb::Correct]
            .into_iter()
            .find(|verb| verb.as_str() == text)
    }
}

/// Lines from this number on say what the line `item_no - DRAW_LINE` of the same id took of a pool.
pub const DRAW_LINE: i64 = 1 << 20;

/// One line of the ledger. It is also the record of its id, with the first answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The caller's name of the usage.
    pub request_id: RequestId,
    /// Which line of that name, from 0. A settle is the line after its reserve.
    pub item_no: i64,
    /// The period it is counted in, decided by server time.
    pub period_no: i64,
    /// What is counted.
    pub metric: Metric,
    /// Which verb wrote it.
    pub verb: Verb,
    /// What it adds to `used`: 0 for a reserve, negative for some corrections.
    pub delta: i64,
    /// The units that were asked for.
    pub units: i64,
    /// Units of `delta` that were counted without regard to the limit.
    pub forced: i64,
    /// When it happened, as the caller said.
    pub occurred_at: Option<Timestamp>,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// Why it was forced or corrected.
    pub reason: Option<String>,
    /// Where it came from.
    pub source: String,
    /// The event it puts right.
    pub corrects: Option<RequestId>,
    /// The hold it took or charged.
    pub hold_id: Option<HoldId>,
    /// When the hold it took was to expire at first.
    pub expires_at: Option<Timestamp>,
    /// Whether only shadow mode let it pass.
    pub would_deny: bool,
    /// The first answer.
    pub answer: Numbers,
}

impl Event {
    /// Whether it says what another line took of a pool.
    pub fn is_draw(&self) -> bool {
        self.item_no >= DRAW_LINE
    }

    /// What this line took of a pool, among the lines of its id.
    pub(crate) fn draw<'a>(&self, lines: &'a [Event]) -> Option<&'a Event> {
        lines.iter().find(|line| line.item_no == self.item_no.saturating_add(DRAW_LINE))
    }

    /// The first answer as the caller saw it: with a pool, no more is left than that pays for.
    pub(crate) fn shown(&self, lines: &[Event]) -> Numbers {
        let draw = self.draw(lines).filter(|_| self.units != 0);
        draw.map_or(self.answer, |draw| self.answer.drawing(&draw.answer, draw.units.saturating_div(self.units)))
    }
}

/// Where a hold is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// Its units are held.
    Open,
    /// Its time ran out: its units are free again, a late settle is still charged.
    Expired,
    /// Charged.
    Settled {
        /// What was charged.
        units: i64,
    },
    /// Freed.
    Released,
}

impl HoldState {
    /// The word it is written as.
    pub const fn as_str(self) -> &'static str {
        match self {
            HoldState::Open => "open",
            HoldState::Expired => "expired",
            HoldState::Settled { .. } => "settled",
            HoldState::Released => "released",
        }
    }
}

/// Units waiting to be charged or freed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub hold_id: HoldId,
    /// The caller's name of the usage.
    pub request_id: RequestId,
    /// The period it was taken in and is charged to.
    pub period_no: i64,
    /// What is held.
    pub metric: Metric,
    /// How many.
    pub units: i64,
    /// The key whose slice it was taken from.
    pub slice: Option<KeyId>,
    /// Whether only shadow mode let it be taken; then all it charges counts as forced.
    pub would_deny: bool,
    /// Where it is in its life.
    pub state: HoldState,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// When it expires unless it is prolonged.
    pub expires_at: Timestamp,
    /// When it was charged or freed, and the answer to that.
    pub closed: Option<(Timestamp, Numbers)>,
    /// Whether it must be written.
    pub changed: bool,
}

/// What the name of a hold's companion ends with.
const POOL_SUFFIX: &str = "_pool";

/// The companion of a hold whose metric draws on a pool: it holds the pool's units, and lives and ends with the hold.
pub fn companion(hold_id: &HoldId) -> HoldId {
    HoldId::parse(&format!("{hold_id}{POOL_SUFFIX}")).unwrap_or_else(|_| hold_id.clone())
}

/// Whether a hold is another one's companion: it is never named by a caller.
pub fn is_companion(hold_id: &HoldId) -> bool {
    hold_id.as_str().ends_with(POOL_SUFFIX)
}
