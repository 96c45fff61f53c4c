//! The ledger's decisions: pure, sequential and deterministic.
//!
//! A [`Book`] is what one org's ledger knows while a batch is decided: its head (access, plan, period), the counters, the ids that
//! were accepted before and the holds concerned. [`decide`] takes the commands one after another; each gets its answer, and what
//! must be written (events, counters, holds) gathers in the book. The engine loads a book under the org's lock, writes what
//! gathered in the same transaction and answers after the commit.
//!
//! What always holds, however commands are ordered or repeated:
//! - units accepted without force never go beyond included + granted (hard stop), nor beyond the slice of the key that asks;
//! - the sum of the events' deltas is `used`, the sum of open holds is `held`;
//! - what draws on a pool takes its rate of it, to the unit, when it is used, held, freed and put right;
//! - an accepted id is answered with its first answer; a refused one leaves no trace.

mod answer;
mod book;
mod command;
mod correct;
mod decide;
mod demand;
mod event;
mod hold;
mod numbers;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod pool_tests;
mod record;
mod slice;
mod standing;
#[cfg(test)]
mod tests;

pub use answer::{
    Answer, Checked, Corrected, Counted, Denial, HoldAnswer, Outcome, Reason, Recorded, Refusal, Reserved, Rule, Seeded,
};
pub use book::{Book, Head, OpenPeriod, SpendCap};
pub use command::{Command, Correct, Extend, HoldTtl, InvalidTtl, Item, Record, Release, Reserve, Seed, Settle, Zero};
pub use decide::decide;
pub use demand::spent;
pub use event::{DRAW_LINE, Event, Hold, HoldState, Verb, companion, is_companion};
pub use numbers::{Counter, Limit, Numbers, TOTAL_MAX};
pub use record::{OCCURRED_AGE_MAX, OCCURRED_AHEAD_MAX};
pub use slice::Slice;
pub use standing::{Check, Standing, check};
