//! Claims of jobs, and what their holders may still do.

use serde_json::Value;

use tollgate_rules::ids::OrgKey;

use super::{Kind, sql};
use crate::db::{Error, Lane, Tx};
use crate::engine::Engine;

/// A job that this worker holds until its lease ends.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub(super) job_id: String,
    pub(super) kind: Kind,
    pub(super) key: String,
    pub(super) org_key: Option<OrgKey>,
    pub(super) payload: Value,
    pub(super) attempts: i64,
    pub(super) epoch: i64,
    pub(super) corr_id: String,
}

impl Claimed {
    /// `job_…`.
    #[must_use]
    pub fn job_id(&self) -> &str {
        &self.job_id
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name within the kind.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whose, where it concerns one org.
    #[must_use]
    pub fn org_key(&self) -> Option<OrgKey> {
        self.org_key
    }

    /// What it was given.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// Which try this is, from 1.
    #[must_use]
    pub fn attempts(&self) -> i64 {
        self.attempts
    }

    /// The trace it continues.
    #[must_use]
    pub fn corr_id(&self) -> &str {
        &self.corr_id
    }

    /// Whether this worker still holds the job, as the first statement of a transaction with effects: where it says no,
    /// drop the transaction. On PostgreSQL the row stays locked until the end, so nobody can take the job in between.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn still_ours(&self, tx: &mut Tx) -> Result<bool, Error> {
        sql::still_ours(tx, &self.job_id, self.epoch).await
    }
}

/// Claims up to `limit` due jobs.
pub(super) async fn claim_due(engine: &Engine, limit: i64) -> Result<Vec<Claimed>, Error> {
    let (now, wall) = (engine.now(), engine.clock().wall.now());
    // A lease of another node counts as ended only after the clock difference that leases tolerate.
    let ended_before = wall.minus(engine.limits().clock_skew);
    {
        let mut connection = engine.db().read().await?;
        if !sql::any_due(&mut connection, now, ended_before).await? {
            return Ok(Vec::new());
        }
    }
    let (task, lease_until) = (engine.clone(), wall.plus(engine.limits().job_lease));
    let claim = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let claimed = sql::claim(&mut tx, &sql::ClaimDue { now, ended_before, lease_until, wall, limit }).await?;
        tx.commit().await?;
        Ok(claimed)
    };
    match engine.db().detached(claim).await {
        // On PostgreSQL another node may have begun a job of the same name in this instant: it is theirs.
        Err(Error::Conflict(_)) => Ok(Vec::new()),
        other => other,
    }
}

/// Claims one queued job by its id, whenever it is due.
pub(super) async fn claim_one(engine: &Engine, job_id: &str) -> Result<Option<Claimed>, Error> {
    let wall = engine.clock().wall.now();
    let (task, job_id) = (engine.clone(), job_id.to_owned());
    let lease_until = wall.plus(engine.limits().job_lease);
    let claim = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let claimed = sql::claim_one(&mut tx, &job_id, lease_until, wall).await?;
        tx.commit().await?;
        Ok(claimed)
    };
    match engine.db().detached(claim).await {
        Err(Error::Conflict(_)) => Ok(None),
        other => other,
    }
}
