//! The job that runs what stopped half-way.

use std::time::Duration;

use tollgate_rules::ids::OperationId;

use super::{Error, Operation, drive, sql};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::jobs::{Claimed, Failure, Outcome};

/// Resumes the operation that the job names, when nobody holds it.
pub(crate) async fn resume(engine: &Engine, job: &Claimed) -> Result<Outcome, Failure> {
    let operation_id = OperationId::parse(job.key()).map_err(|error| Failure::Dead(error.to_string()))?;
    let Some(org_key) = job.org_key() else { return Err(Failure::Dead("the job names no org".to_owned())) };
    let (task, id, ours) = (engine.clone(), operation_id.clone(), job.clone());
    let take = async move {
        let wall = task.clock().wall.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        if !ours.still_ours(&mut tx).await? {
            return Ok(Taken::Over);
        }
        let ended_before = wall.minus(task.limits().clock_skew);
        let lease_until = wall.plus(task.limits().operation_lease);
        let taken = match sql::take(&mut tx, org_key, &id, ended_before, lease_until).await? {
            Some(operation) => Taken::Ours(Box::new(operation)),
            None if sql::is_running(&mut tx, org_key, &id).await? => Taken::Held,
            None => Taken::Over,
        };
        tx.commit().await?;
        Ok::<_, db::Error>(taken)
    };
    match engine.db().detached(take).await? {
        Taken::Over => Ok(Outcome::Done),
        Taken::Held => Ok(Outcome::Again { at: engine.now().plus(Duration::from_secs(5)) }),
        Taken::Ours(operation) => match Box::pin(drive::run(engine, *operation)).await {
            Ok(_) | Err(Error::Refused(_)) => Ok(Outcome::Done),
            Err(error @ (Error::Pending { .. } | Error::Database(_))) => Err(Failure::Retry(error.to_string())),
        },
    }
}

enum Taken {
    /// We hold it now.
    Ours(Box<Operation>),
    /// Someone else does.
    Held,
    /// It ended, or the job is no longer ours.
    Over,
}
