//! Sweep: open what is due and free what expired for orgs that nobody asks about.

use tollgate_rules::time::Timestamp;

use super::queue::Entry;
use super::{Error, commit, sql};
use crate::engine::Engine;

/// Orgs of one turn of the sweeper.
const ORGS_PER_TURN: i64 = 200;
/// Turns of one sweep; more is left to the next one.
const TURNS_MAX: usize = 10_000;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Orgs whose books were brought up to date.
    pub orgs: u64,
}

/// Brings every org up to date whose period, trial, grace or override ended, or that has holds whose time ran out.
///
/// # Errors
/// [`Error::Unavailable`]; what was swept until then stays so.
pub async fn sweep(engine: &Engine) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    let mut last = Vec::new();
    for _ in 0..TURNS_MAX {
        let mut connection = engine.db().read().await?;
        let due = sql::orgs_due(&mut connection, engine.now(), ORGS_PER_TURN).await?;
        drop(connection);
        if due.is_empty() {
            break;
        }
        if due == last {
            tracing::error!(orgs = due.len(), "orgs stay due after a sweep; the next sweep tries again");
            break;
        }
        let mut waiting = Vec::with_capacity(due.len());
        for org_key in &due {
            waiting.push(engine.ledger().submit(Entry::look(*org_key))?);
        }
        for receiver in waiting {
            commit::answers(receiver).await?;
            swept.orgs += 1;
        }
        last = due;
    }
    Ok(swept)
}

/// The next moment after now at which an org's rights change by themselves or a hold expires; nothing when none does.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn next_due(engine: &Engine) -> Result<Option<Timestamp>, Error> {
    let mut connection = engine.db().read().await?;
    let due = sql::next_due(&mut connection, engine.now()).await?;
    Ok(due.filter(|due| *due < Timestamp::MAX))
}
