//! Drives an operation to its outcome, or joins whoever does.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tollgate_rules::ids::OrgId;

use super::{Error, Operation, Refusal, Run, State, Stop, dispatch, sql};
use crate::access::{OrgRef, OrgScope};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::{checkouts, jobs, orgs};

/// How often a caller who joined looks whether it is over.
const JOIN_POLL: Duration = Duration::from_millis(50);

/// Runs the operation that `begin` stored (after the commit), or waits for the run that has it.
///
/// The run happens in a task of its own: a caller that goes away does not stop it.
///
/// # Errors
/// [`Error::Refused`] for good, [`Error::Pending`] when the outside does not answer in time.
pub(crate) async fn drive(engine: &Engine, begun: super::Begun) -> Result<Value, Error> {
    match begun {
        super::Begun::New(operation) => {
            let task = engine.clone();
            engine.db().detached(async move { Box::pin(run(&task, operation)).await }).await
        }
        super::Begun::Running(operation) => join(engine, operation).await,
    }
}

/// Runs an operation whose lease we hold.
pub(super) async fn run(engine: &Engine, operation: Operation) -> Result<Value, Error> {
    let org = org_of(engine, &operation).await?;
    let scope = OrgScope::restored(org, operation.actor.clone(), operation.corr_id.clone());
    let operation_id = operation.operation_id.clone();
    let mut run = Run { engine, scope, operation };
    let stopped = match dispatch::advance(&mut run).await {
        Ok(outcome) => {
            end(&run, End::Done(outcome.clone())).await?;
            return Ok(outcome);
        }
        Err(Stop::Stuck(detail)) => {
            tracing::warn!(%operation_id, detail, "the outside keeps a failure under a key; the operation goes on with others");
            run.take_new_keys().await.err().unwrap_or(Stop::Later(detail))
        }
        Err(stopped) => stopped,
    };
    match stopped {
        Stop::Refused(refusal) => {
            end(&run, End::Refused(refusal.clone())).await?;
            Err(Error::Refused(refusal))
        }
        Stop::Later(detail) | Stop::Stuck(detail) => {
            tracing::warn!(operation = run.kind().as_str(), %operation_id, corr_id = run.scope.corr_id(), detail, "an operation waits for the outside");
            end(&run, End::Later).await?;
            Err(Error::Pending { operation_id })
        }
        Stop::Database(error) => Err(Error::Database(error)),
        Stop::Lost => join(engine, run.operation).await,
    }
}

/// Whose it is. An operation of an org that is not there yet says in its body which one it is going to be.
async fn org_of(engine: &Engine, operation: &Operation) -> Result<OrgRef, db::Error> {
    let key = operation.org_key;
    let id = match key {
        checkouts::NO_ORG => OrgId::deserialize(&operation.body["org_id"])
            .map_err(|error| db::Error::Bug(format!("an operation of no org: {error}")))?,
        key => orgs::id_of(engine, key).await?,
    };
    Ok(OrgRef { key, id })
}

enum End {
    Done(Value),
    Refused(Refusal),
    Later,
}

/// Writes how the run ended. A lost lease is no error: who has it now writes the end.
async fn end(run: &Run<'_>, end: End) -> Result<(), db::Error> {
    let (task, operation) = (run.engine.clone(), run.operation.clone());
    let write = async move {
        let wall = task.clock().wall.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        let ours = match &end {
            End::Done(outcome) => sql::done(&mut tx, &operation, outcome, wall).await?,
            End::Refused(refusal) => sql::failed(&mut tx, &operation, refusal, wall).await?,
            End::Later => {
                // The job that `begin` queued waits for the whole lease; nobody holds it now, so go on soon.
                if operation.attempts == 0 {
                    jobs::enqueue(&task, &mut tx, &soon(&task, &operation)).await?;
                }
                sql::release(&mut tx, &operation, wall).await?
            }
        };
        tx.commit().await?;
        if !ours {
            tracing::warn!(operation_id = %operation.operation_id, "an operation was taken over before its end was written");
        }
        Ok(())
    };
    run.engine.db().detached(write).await
}

fn soon(engine: &Engine, operation: &Operation) -> jobs::Job {
    jobs::Job {
        kind: jobs::Kind::Operation,
        key: operation.operation_id.as_str().to_owned(),
        org_key: Some(operation.org_key),
        payload: Value::Null,
        run_at: engine.now().plus(Duration::from_secs(1)),
        corr_id: operation.corr_id.clone(),
    }
}

async fn join(engine: &Engine, operation: Operation) -> Result<Value, Error> {
    let deadline = engine.clock().monotonic.now() + engine.limits().operation_join;
    loop {
        let found = {
            let mut connection = engine.db().read().await?;
            sql::by_id(&mut connection, operation.org_key, &operation.operation_id).await?
        };
        let found = found.ok_or_else(|| db::Error::Bug("a running operation is gone".to_owned()))?;
        match found.state {
            State::Done => return Ok(found.outcome.unwrap_or(Value::Null)),
            State::Failed => return Err(Error::Refused(stored_refusal(&found))),
            State::Running if engine.clock().monotonic.now() >= deadline => {
                return Err(Error::Pending { operation_id: operation.operation_id });
            }
            State::Running => tokio::time::sleep(JOIN_POLL).await,
        }
    }
}

pub(super) fn stored_refusal(operation: &Operation) -> Refusal {
    let (code, message) = operation.refusal.clone().unwrap_or((super::Code::Refused, String::new()));
    Refusal { code, message, reason: None, client_secret: None }
}
