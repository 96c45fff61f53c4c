//! Usage events, counters and holds, written by one group-commit writer.
//!
//! Words: an *event* is a line of the ledger and the record of its `request_id`; a *counter* is what a period has used and held of a
//! metric; a *hold* waits to be settled or released; a *standing* is what is left now, in memory; a *receipt* is a signed, stateless
//! token on every decision; a *group* is what one transaction commits.
//!
//! Tables: `ledger_heads unit_debts usage_periods usage_counters usage_limits usage_events usage_holds usage_rollups_hourly key_usage`.
//!
//! Invariants, each with a test here:
//! - the sum of events equals the counter, the sum of open holds equals `held`, the rollups equal the events;
//! - under a hard stop, units accepted without force never exceed what is included and granted, nor the slice of the key that asks;
//! - an accepted id is answered with its first answer; a denial writes nothing;
//! - a period is opened exactly once, by whoever comes first after its start;
//! - what was answered was committed before.
//!
//! Nothing here decides: [`tollgate_rules::ledger::decide`] does, between loading a book and writing what grew in it.

mod book;
mod carry;
mod check;
mod commit;
mod correct;
mod debts;
mod ended;
mod error;
mod events;
mod explain;
mod facts;
mod group;
mod guess;
mod history;
mod hold;
mod holds;
mod meter;
mod queue;
mod receipt;
mod record;
mod reset;
mod rollover;
mod rows;
mod seed;
pub(crate) mod sql;
mod standing;
mod store;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

pub use check::check;
pub use correct::correct;
pub use error::Error;
pub use events::{EventFilter, EventLine, events};
pub use explain::{Explained, explain, explain_to};
pub use history::{By, History, Point, history};
pub use hold::{NewHold, extend, org_of_hold, release, reserve, settle};
pub use holds::{HoldLine, holds};
pub use receipt::Signed;
pub use record::{record, record_batch};
pub use reset::{Counters, Reset, ResetDone, reset};
pub use rollover::refresh;
pub use seed::seed;
pub use standing::standing;
pub use sweep::{Swept, next_due, sweep};
pub use tollgate_rules::ledger::{
    Check, Checked, Correct, Corrected, Counted, Denial, Extend, HoldAnswer, HoldTtl, Item, Numbers, Outcome, Reason,
    Record, Recorded, Refusal, Release, Reserved, Seeded, Settle, Standing,
};
pub use verify::{Drift, Verified, rebuild, verify};

pub(crate) use commit::Ledger;
pub(crate) use debts::{debts, foreseen};
pub(crate) use rollover::lock;
pub(crate) use verify::differing;
