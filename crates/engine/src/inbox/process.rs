//! Processes an event: lease the customer, fetch the object, overwrite the projection, mark done, all or nothing.

use std::time::Duration;

use super::apply::{self, FetchError};
use super::sql::{self, Failed, Waiting, Work};
use super::{Error, Lease, Lost, Outcome, State};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::fault::{self, Reached};
use crate::incidents;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// Our projection is as billing says. Also for an object that is gone there, or of no org of ours.
    Converged,
    /// It failed, and is tried again by itself unless it is dead.
    Failed {
        /// Where the event stands.
        state: State,
        /// What went wrong.
        error: String,
    },
}

/// Processes one stored event now; a dead one is tried once more. Repeats change nothing.
///
/// # Errors
/// [`Error::NotFound`] for an id that is not stored.
pub async fn process(engine: &Engine, event_id: &str) -> Result<Processed, Error> {
    let found = sql::by_event(&mut engine.db().read().await?, event_id).await?;
    let (work, stored, _) = found.ok_or(Error::NotFound)?;
    match stored {
        State::Done => return Ok(Processed::Converged),
        State::Pending => {}
        State::Dead => revive(engine, event_id).await?,
    }
    // A task of its own: a caller that goes away leaves no fetch half written.
    let (worker, object) = (engine.clone(), work);
    engine.db().detached(async move { process_object(&worker, &object).await }).await?;
    let found = sql::by_event(&mut engine.db().read().await?, event_id).await?;
    let (_, state, error) = found.ok_or(Error::NotFound)?;
    Ok(match state {
        State::Done => Processed::Converged,
        State::Pending | State::Dead => Processed::Failed { state, error: error.unwrap_or_default() },
    })
}

async fn revive(engine: &Engine, event_id: &str) -> Result<(), db::Error> {
    let now = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    sql::revive(&mut tx, event_id, now).await?;
    tx.commit().await
}

/// Why a try failed. The words go into the event's row, without addresses or secrets.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error(transparent)]
    Fault(#[from] Reached),
}

/// Brings one object's projection up to date and finishes all its waiting events. A failure is written into their rows.
pub(super) async fn process_object(engine: &Engine, work: &Work) -> Result<(), db::Error> {
    let lane = work.customer_id.as_ref().map_or(work.object_id.as_str(), |customer| customer.as_str());
    let lease = match Lease::acquire(engine, lane).await {
        Ok(lease) => lease,
        Err(Lost::Database(error)) => return Err(error),
        // Whoever holds the customer will be done some time; the event stays due and costs no try.
        Err(Lost::Busy | Lost::Overtaken) => return Ok(()),
    };
    // Read under the lease: events stored after this are not covered by the fetch below.
    let waiting = sql::newest_pending(&mut engine.db().read().await?, work).await?;
    let Some(waiting) = waiting else {
        lease.release(engine).await;
        return Ok(());
    };
    match converge(engine, work, &waiting, &lease).await {
        Ok(outcome) => {
            tracing::debug!(object = work.object_id, outcome = outcome.as_str(), "an inbox object converged");
            metrics::counter!("tollgate_inbox_processed_total", "outcome" => outcome.as_str()).increment(1);
            Ok(())
        }
        Err(failure) => {
            let error = failure.to_string();
            note_failure(engine, work, &waiting, &error).await?;
            lease.release(engine).await;
            Ok(())
        }
    }
}

/// The fetch, then one transaction: the effect, its audit, the events' end and the lease's.
async fn converge(engine: &Engine, work: &Work, waiting: &Waiting, lease: &Lease) -> Result<Outcome, Failure> {
    fault::point(engine, "inbox.process.before_fetch")?;
    let fetched = apply::fetch(engine, work).await?;
    fault::point(engine, "inbox.process.after_fetch")?;
    let now = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    lease.hold(&mut tx).await?;
    fault::point(engine, "inbox.process.before_apply")?;
    let written = apply::write(engine, &mut tx, &waiting.event_id, &fetched).await?;
    fault::point(engine, "inbox.process.after_apply")?;
    sql::finish(&mut tx, work, waiting.up_to, written.outcome, now).await?;
    incidents::close(engine, &mut tx, incidents::Kind::DeadInboxEvent, &work.object_id).await?;
    fault::point(engine, "inbox.process.before_commit")?;
    lease.release_with(&mut tx).await?;
    tx.commit().await?;
    apply::written(engine, &written).await;
    fault::point(engine, "inbox.process.after_commit")?;
    Ok(written.outcome)
}

async fn note_failure(engine: &Engine, work: &Work, waiting: &Waiting, error: &str) -> Result<(), db::Error> {
    let limits = engine.limits();
    let run_at = engine.clock().wall.now().plus(pause(engine, waiting.attempts));
    let failed = Failed { error, run_at, attempts_max: limits.inbox_attempts_max };
    let mut tx = engine.db().begin(Lane::Control).await?;
    sql::fail(&mut tx, work, waiting.up_to, &failed).await?;
    let attempt = waiting.attempts + 1;
    if attempt >= limits.inbox_attempts_max {
        let (kind, subject) = (incidents::Kind::DeadInboxEvent, work.object_id.as_str());
        let seen = incidents::Seen { org_key: incidents::SERVER, kind, subject, detail: error };
        incidents::open(engine, &mut tx, &seen).await?;
    }
    tx.commit().await?;
    if attempt >= limits.inbox_attempts_max {
        metrics::counter!("tollgate_inbox_dead_total").increment(1);
        tracing::error!(object = work.object_id, attempt, error, "an inbox event is a dead letter");
    } else {
        tracing::warn!(object = work.object_id, attempt, error, "an inbox event failed and is tried again");
    }
    Ok(())
}

/// Full jitter: from zero to a bound that doubles with each failed try.
fn pause(engine: &Engine, failures: i64) -> Duration {
    let limits = engine.limits();
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let bound = limits.job_backoff_first.saturating_mul(factor).min(limits.job_backoff_max);
    let bound_micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(engine.clock().entropy.up_to(bound_micros))
}
