//! A job in the transaction that wants it.

use serde_json::Value;

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::{Kind, sql};
use crate::db::{Error, Tx};
use crate::engine::Engine;

/// A job to be done.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// With the kind, its name: queued once, and run one at a time.
    pub(crate) key: String,
    /// Whose, where it concerns one org.
    pub(crate) org_key: Option<OrgKey>,
    /// What the run needs to know beyond the key.
    pub(crate) payload: Value,
    /// Business time from which it may run.
    pub(crate) run_at: Timestamp,
    /// The trace it continues.
    pub(crate) corr_id: String,
}

/// Queues the job; where one of its name waits already, that one runs at the earlier of the two times.
///
/// Workers look for due jobs every few hundred milliseconds; [`Engine::wake_workers`] after the commit saves that wait.
pub(crate) async fn enqueue(engine: &Engine, tx: &mut Tx, job: &Job) -> Result<(), Error> {
    let job_id = engine.new_id("job_");
    sql::insert(tx, &job_id, job, engine.clock().wall.now()).await
}
