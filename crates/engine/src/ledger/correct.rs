//! Correct: append an entry that puts an earlier event right.

use tollgate_rules::ledger::{Answer, Command, Correct, Corrected};

use super::receipt::Signed;
use super::{Error, commit};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Adds signed units to the counter of the corrected event, in that event's period. `used` never falls below 0.
///
/// # Errors
/// [`Error::Refused`] (`CorrectsUnknown`, `BelowZero`, `Reused`, …), [`Error::Overloaded`], [`Error::Unavailable`].
pub async fn correct(engine: &Engine, scope: &OrgScope, correct: Correct) -> Result<Signed<Corrected>, Error> {
    match commit::one(engine, scope, Command::Correct(correct)).await? {
        Answer::Corrected(answer) => Ok(engine.ledger().signed(scope, "correct", answer)),
        other => Err(commit::wrong_answer(&other)),
    }
}
