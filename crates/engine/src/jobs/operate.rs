//! What an operator does with one job: run it now, or give a dead letter another life.

use serde_json::json;

use super::list::listed;
use super::{Failure, Listed, claim, run as runner, sql};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::incidents;

/// Why a job cannot be operated on.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// No such job.
    #[error("no such job")]
    NotFound,
    /// It is in another state than the call needs.
    #[error("the job is {0}")]
    WrongState(String),
    /// The database's.
    #[error(transparent)]
    Database(#[from] Error),
}

/// How a run by hand went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The job afterwards.
    pub job: Listed,
    /// Why it failed; none when it worked.
    pub error: Option<String>,
}

/// Runs a queued job now, whenever it is due, and says how it went.
///
/// # Errors
/// [`OperateError::WrongState`] when it runs already or is over.
pub async fn run(engine: &Engine, scope: &OperatorScope, job_id: &str) -> Result<Ran, OperateError> {
    let found = find(engine, job_id).await?;
    let Some(job) = claim::claim_one(engine, job_id).await? else { return Err(OperateError::WrongState(found.state)) };
    note(engine, scope, job_id, Note::Run).await?;
    let error = match runner::run_claimed(engine, &job).await {
        Ok(_) => None,
        Err(Failure::Retry(error) | Failure::Dead(error)) => Some(error),
    };
    Ok(Ran { job: find(engine, job_id).await?, error })
}

/// Puts a dead letter back into the queue, due now.
///
/// # Errors
/// [`OperateError::WrongState`] when it is not dead, or one of its name waits already.
pub async fn retry(engine: &Engine, scope: &OperatorScope, job_id: &str) -> Result<Listed, OperateError> {
    let found = find(engine, job_id).await?;
    if !note(engine, scope, job_id, Note::Requeue).await? {
        let state = if found.state == "dead" { "queued again under another id".to_owned() } else { found.state };
        return Err(OperateError::WrongState(state));
    }
    engine.wake_workers();
    find(engine, job_id).await
}

async fn find(engine: &Engine, job_id: &str) -> Result<Listed, OperateError> {
    let mut connection = engine.db().read().await?;
    let row = sql::by_id(&mut connection, job_id).await?.ok_or(OperateError::NotFound)?;
    Ok(listed(&row)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Note {
    Run,
    Requeue,
}

/// Writes the audit entry, with the requeueing where that is asked for; false where there was nothing to requeue.
async fn note(engine: &Engine, scope: &OperatorScope, job_id: &str, note: Note) -> Result<bool, Error> {
    let (task, scope, job_id) = (engine.clone(), scope.clone(), job_id.to_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if note == Note::Requeue && !sql::requeue(&mut tx, &job_id, task.now(), task.clock().wall.now()).await? {
            return Ok(false);
        }
        if note == Note::Requeue {
            // Should it die again, it is another incident.
            incidents::close(&task, &mut tx, incidents::Kind::DeadJob, &job_id).await?;
        }
        let (action, state) = match note {
            Note::Run => ("jobs.run", "running"),
            Note::Requeue => ("jobs.retry", "queued"),
        };
        let entry = audit::Entry::server(&scope, action, job_id).after(json!({ "state": state }));
        audit::append(&task, &mut tx, entry).await?;
        tx.commit().await?;
        Ok(true)
    };
    engine.db().detached(write).await
}
