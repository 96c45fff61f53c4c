//! One run of an operation: its steps, each under its own key, each answer stored before the next.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use tollgate_connectors::billing::IdempotencyKey;
use tollgate_rules::time::Timestamp;

use super::{Kind, Operation, Stop, sql};
use crate::access::OrgScope;
use crate::db::{self, Lane};
use crate::engine::Engine;

/// Under which name beside the steps' it is stored how often the keys changed.
pub(super) const KEYS: &str = "!keys";

/// A run that holds the operation's lease.
#[derive(Debug)]
pub(crate) struct Run<'e> {
    pub(super) engine: &'e Engine,
    pub(super) scope: OrgScope,
    pub(super) operation: Operation,
}

impl Run<'_> {
    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        self.engine
    }

    /// The right it was begun with.
    pub(crate) fn scope(&self) -> &OrgScope {
        &self.scope
    }

    /// Its id: what its objects outside are marked with.
    pub(crate) fn id(&self) -> &str {
        self.operation.operation_id.as_str()
    }

    /// What it changes.
    pub(crate) fn kind(&self) -> Kind {
        self.operation.kind
    }

    /// The frozen body.
    ///
    /// # Errors
    /// A bug, when the body is not of this shape.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Stop> {
        decode(&self.operation.body)
    }

    /// When it was begun (wall clock): providers forget keys after a day, then a step must look first.
    pub(crate) fn begun_at(&self) -> Timestamp {
        self.operation.created_at
    }

    /// Whether the outside kept a failure under a key of ours: a step must look first.
    pub(crate) fn has_new_keys(&self) -> bool {
        self.keys() > 0
    }

    /// A name for a step that has to be done again whenever the keys change.
    pub(crate) fn anew(&self, name: &str) -> String {
        match self.keys() {
            0 => name.to_owned(),
            keys => format!("{name}~{keys}"),
        }
    }

    fn keys(&self) -> i64 {
        self.operation.steps.get(KEYS).and_then(Value::as_i64).unwrap_or(0)
    }

    /// From now on the steps that are not over have other keys.
    pub(super) async fn take_new_keys(&mut self) -> Result<(), Stop> {
        let keys = self.keys() + 1;
        self.operation.steps.insert(KEYS.to_owned(), keys.into());
        self.store_steps().await
    }

    /// Runs one step, or gives its stored answer. `call` gets the key to send; what it returns is stored durably.
    ///
    /// Nothing secret may be in the answer.
    pub(crate) async fn step<T, F, Fut>(&mut self, name: &str, call: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(IdempotencyKey) -> Fut,
        Fut: Future<Output = Result<T, Stop>>,
    {
        if let Some(stored) = self.operation.steps.get(name) {
            return decode(stored);
        }
        let step = if name.contains('~') { name.to_owned() } else { self.anew(name) };
        let key = IdempotencyKey::of_step(self.operation.operation_id.as_str(), &step)
            .map_err(|error| Stop::Database(db::Error::Bug(error.to_string())))?;
        let answer = Box::pin(call(key)).await?;
        let stored =
            serde_json::to_value(&answer).map_err(|error| Stop::Database(db::Error::Bug(error.to_string())))?;
        self.operation.steps.insert(name.to_owned(), stored);
        self.store_steps().await?;
        Ok(answer)
    }

    /// Stores the steps and renews the lease, unless another worker has it.
    async fn store_steps(&mut self) -> Result<(), Stop> {
        self.operation.lease_until = self.engine.clock().wall.now().plus(self.engine.limits().operation_lease);
        let (task, operation) = (self.engine.clone(), self.operation.clone());
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            let ours = sql::store_steps(&mut tx, &operation, task.clock().wall.now()).await?;
            tx.commit().await?;
            Ok::<_, db::Error>(ours)
        };
        if self.engine.db().detached(write).await? { Ok(()) } else { Err(Stop::Lost) }
    }
}

fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Stop> {
    T::deserialize(value).map_err(|error| Stop::Database(db::Error::Bug(format!("a stored answer: {error}"))))
}
