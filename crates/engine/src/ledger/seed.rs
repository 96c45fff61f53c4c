//! Seed: make sure that the current period is open, and say where it stands.

use tollgate_rules::ids::Metric;
use tollgate_rules::ledger::{Answer, Command, Outcome, Seed, Seeded};
use tollgate_rules::period::PeriodKey;

use super::{Error, commit};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Opens the current period if need be and answers its counter. `used` is the true count, 0 when new.
///
/// # Errors
/// [`Error::Refused`] with `OtherPeriod` when `period_key` names another period; [`Error::Overloaded`], [`Error::Unavailable`].
pub async fn seed(
    engine: &Engine,
    scope: &OrgScope,
    metric: Metric,
    period_key: Option<PeriodKey>,
) -> Result<Outcome<Seeded>, Error> {
    match commit::one(engine, scope, Command::Seed(Seed { metric, period_key })).await? {
        Answer::Seeded(answer) => Ok(answer),
        other => Err(commit::wrong_answer(&other)),
    }
}
