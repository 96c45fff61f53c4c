//! Runs jobs: the worker's loop, one job's run, what follows from its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use tollgate_rules::time::Timestamp;

use super::{Claimed, Failure, Outcome, claim, dispatch, sql};
use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::incidents;

/// The worker: claims what is due and runs it, until told to stop; then waits for what runs.
pub(crate) async fn work(engine: Engine, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(engine.limits().jobs_running_max));
    let mut running = JoinSet::new();
    let mut pause = engine.limits().job_poll;
    while !*stop.borrow() {
        tokio::select! {
            _ = stop.changed() => continue,
            () = engine.woken() => {}
            () = tokio::time::sleep(pause) => {}
        }
        while running.try_join_next().is_some() {}
        let free = i64::try_from(slots.available_permits()).unwrap_or(i64::MAX);
        if free == 0 {
            continue;
        }
        match claim::claim_due(&engine, free).await {
            Ok(claimed) => {
                // Where there was work there is often more: look again at once.
                pause = if claimed.is_empty() { engine.limits().job_poll } else { Duration::from_millis(1) };
                for job in claimed {
                    let permit = Arc::clone(&slots).acquire_owned().await;
                    let engine = engine.clone();
                    running.spawn(async move {
                        // How it went is written down by the run itself.
                        let _ = run_claimed(&engine, &job).await;
                        drop(permit);
                    });
                }
            }
            Err(error) => {
                pause = Duration::from_secs(1);
                tracing::warn!(%error, "looking for due jobs failed; it is tried again");
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// Runs everything that is due now, and what becomes due by that, until nothing is. Returns how many runs that were.
///
/// # Errors
/// The database's.
pub async fn run_due(engine: &Engine) -> Result<u64, Error> {
    let mut runs = 0;
    loop {
        let claimed = claim::claim_due(engine, 50).await?;
        if claimed.is_empty() {
            return Ok(runs);
        }
        for job in claimed {
            // How it went is written down by the run itself.
            let _ = run_claimed(engine, &job).await;
            runs += 1;
        }
    }
}

/// After a crash: jobs that a gone process held may be taken at once.
pub(crate) async fn recover(engine: &Engine) -> Result<(), Error> {
    let mut tx = engine.db().begin(Lane::Control).await?;
    let taken_over = sql::recover(&mut tx).await?;
    tx.commit().await?;
    if taken_over > 0 {
        tracing::info!(taken_over, "jobs of a process that ended are run again");
    }
    Ok(())
}

/// Runs one claimed job and writes down how it went. Never panics.
pub(super) async fn run_claimed(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let started = engine.clock().monotonic.now();
    let result = guarded(engine, job).await;
    let duration_ms = engine.clock().monotonic.now().saturating_sub(started).as_millis();
    let kind = job.kind.as_str();
    let word = match &result {
        Ok(_) => "ok",
        Err(Failure::Retry(_)) => "retry",
        Err(Failure::Dead(_)) => "dead",
    };
    metrics::counter!("tollgate_jobs_total", "kind" => kind, "outcome" => word).increment(1);
    if let Err(failure) = &result {
        tracing::warn!(job = kind, job_id = job.job_id, attempts = job.attempts, corr_id = job.corr_id, %failure, "a job failed");
    } else {
        tracing::debug!(job = kind, job_id = job.job_id, %duration_ms, corr_id = job.corr_id, "a job ended");
    }
    let (task, ended, ours) = (engine.clone(), result.clone(), job.clone());
    if let Err(error) = engine.db().detached(async move { end(&task, &ours, ended).await }).await {
        tracing::warn!(job = kind, job_id = job.job_id, %error, "a job's end could not be written; it runs again when its lease ends");
    }
    result
}

/// Runs the job in a task of its own: a panic fails the job, a lost lease or a hung run cuts it.
async fn guarded(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let (task_engine, task_job) = (engine.clone(), job.clone());
    let mut task = tokio::spawn(async move { dispatch::dispatch(&task_engine, &task_job).await });
    let lease = engine.limits().job_lease;
    for _ in 0..engine.limits().job_leases_max.saturating_mul(3) {
        match tokio::time::timeout(lease / 3, &mut task).await {
            Ok(Ok(result)) => return result,
            Ok(Err(join)) => return Err(Failure::Retry(format!("the run ended abnormally: {join}"))),
            Err(_) => {
                if let Ok(false) = extend(engine, job).await {
                    task.abort();
                    return Err(Failure::Retry("the lease was lost".to_owned()));
                }
            }
        }
    }
    task.abort();
    Err(Failure::Retry("the run took too long".to_owned()))
}

async fn extend(engine: &Engine, job: &Claimed) -> Result<bool, Error> {
    let (task, ours) = (engine.clone(), job.clone());
    let write = async move {
        let until = task.clock().wall.now().plus(task.limits().job_lease);
        let mut tx = task.db().begin(Lane::Control).await?;
        let extended = sql::extend(&mut tx, &ours, until).await?;
        tx.commit().await?;
        Ok(extended)
    };
    engine.db().detached(write).await
}

async fn end(engine: &Engine, job: &Claimed, result: Result<Outcome, Failure>) -> Result<(), Error> {
    let wall = engine.clock().wall.now();
    let mut tx = engine.db().begin(Lane::Control).await?;
    match result {
        Ok(Outcome::Done) => sql::done(&mut tx, job, wall).await?,
        Ok(Outcome::Again { at }) => sql::again(&mut tx, job, &sql::Again { run_at: at, error: None, wall }).await?,
        Err(Failure::Retry(error)) if job.attempts < job.kind.attempts_max(engine.limits()) => {
            let again = sql::Again { run_at: retry_at(engine, job.attempts), error: Some(&error), wall };
            sql::again(&mut tx, job, &again).await?
        }
        Err(Failure::Retry(error) | Failure::Dead(error)) => {
            tracing::error!(
                job = job.kind.as_str(),
                job_id = job.job_id,
                error,
                "a job is a dead letter; look at jobs.list, then jobs.retry"
            );
            metrics::counter!("tollgate_jobs_dead_total", "kind" => job.kind.as_str()).increment(1);
            let seen = incidents::Seen {
                org_key: job.org_key.map_or(incidents::SERVER, |key| key.0),
                kind: incidents::Kind::DeadJob,
                subject: &job.job_id,
                detail: &format!("{} {}: {error}", job.kind.as_str(), job.key),
            };
            incidents::open(engine, &mut tx, &seen).await?;
            sql::dead(&mut tx, job, &error, wall).await?
        }
    };
    tx.commit().await
}

/// Full jitter: a random pause up to an exponentially growing bound, so that failed jobs do not come back together.
fn retry_at(engine: &Engine, attempts: i64) -> Timestamp {
    let limits = engine.limits();
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(30);
    let bound = limits.job_backoff_first.saturating_mul(2_u32.saturating_pow(doublings)).min(limits.job_backoff_max);
    let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX - 1);
    engine.now().plus(Duration::from_millis(engine.clock().entropy.up_to(millis)))
}
