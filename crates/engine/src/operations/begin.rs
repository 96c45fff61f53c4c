//! An operation in the transaction that decides on it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use tollgate_rules::ids::OperationId;

use super::{Kind, Operation, State, sql};
use crate::access::OrgScope;
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::jobs;

/// A change to be made outside.
#[derive(Debug, Clone)]
pub(crate) struct NewOperation {
    pub(crate) kind: Kind,
    /// Two operations of one kind and dedupe key of an org never run beside each other.
    pub(crate) dedupe_key: String,
    /// All that its steps need; it never changes.
    pub(crate) body: Value,
}

/// What `begin` found.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is stored; drive it after the commit.
    New(Operation),
    /// The same change is under way; drive joins it.
    Running(Operation),
}

/// Stores the operation, held by the caller, with the job that resumes it if the caller stops half-way.
pub(crate) async fn begin(engine: &Engine, tx: &mut Tx, scope: &OrgScope, new: NewOperation) -> Result<Begun, Error> {
    let lease = engine.limits().operation_lease;
    let now = engine.clock().wall.now();
    let id = engine.new_id("op_");
    let operation = Operation {
        org_key: scope.org_key(),
        operation_id: OperationId::parse(&id).map_err(|error| Error::Bug(error.to_string()))?,
        kind: new.kind,
        body: new.body,
        steps: Map::new(),
        state: State::Running,
        outcome: None,
        refusal: None,
        attempts: 0,
        epoch: 1,
        lease_until: now.plus(lease),
        actor: scope.actor().to_owned(),
        corr_id: scope.corr_id().to_owned(),
        created_at: now,
    };
    if !sql::insert(tx, &operation, &new.dedupe_key).await? {
        let running = sql::running(tx, scope.org_key(), new.kind, &new.dedupe_key).await?;
        return running
            .map(Begun::Running)
            .ok_or_else(|| Error::Unavailable("the same operation ended just now".to_owned()));
    }
    let job = jobs::Job {
        kind: jobs::Kind::Operation,
        key: id,
        org_key: Some(scope.org_key()),
        payload: json!({}),
        run_at: engine.now().plus(lease + Duration::from_secs(1)),
        corr_id: scope.corr_id().to_owned(),
    };
    jobs::enqueue(engine, tx, &job).await?;
    Ok(Begun::New(operation))
}

/// The same in a transaction of its own, where nothing else is decided with it.
pub(crate) async fn begin_alone(engine: &Engine, scope: &OrgScope, new: NewOperation) -> Result<Begun, Error> {
    let (inner, by) = (engine.clone(), scope.clone());
    let write = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = begin(&inner, &mut tx, &by, new).await?;
        tx.commit().await?;
        Ok::<_, Error>(begun)
    };
    engine.db().detached(write).await
}
