//! What all adjustments share: begin the operation, drive it, and write down what it made.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use tollgate_rules::ids::CustomerId;
use tollgate_rules::time::Timestamp;

use super::{Adjustment, Error, Recorded, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::db;
use crate::engine::Engine;
use crate::operations::{self, NewOperation, Run, Stop};
use crate::subscriptions;

/// The frozen body of an operation: what is asked of billing, and why.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Frozen<T> {
    pub(super) why: Why,
    pub(super) request: T,
}

/// Why something is given, and since when that is known (business clock).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Why {
    reason: String,
    at: Timestamp,
}

/// Begins an operation of this kind and drives it to what it made.
pub(super) async fn make<T: Serialize>(
    engine: &Engine,
    scope: &OrgScope,
    kind: operations::Kind,
    (reason, request): (String, T),
) -> Result<Recorded, Error> {
    let frozen = Frozen { why: Why { reason, at: engine.now() }, request };
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    // Each call gives once more: repeats of a call go by its `Idempotency-Key`.
    let operation = NewOperation { kind, dedupe_key: engine.new_id(""), body };
    let (inner, by) = (engine.clone(), scope.clone());
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    let outcome = operations::drive(engine, begun).await?;
    Ok(read(outcome)?)
}

pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, db::Error> {
    serde_json::from_value(value).map_err(|error| db::Error::Bug(format!("a stored adjustment: {error}")))
}

/// Writes down what the operation made, once, with its audit entry; the operation's outcome.
pub(super) async fn write(run: &Run<'_>, why: Why, adjustment: Adjustment) -> Result<Value, Stop> {
    let bug = |error: serde_json::Error| db::Error::Bug(error.to_string());
    let (task, scope) = (run.engine().clone(), run.scope().clone());
    let recorded = Recorded {
        adjustment_id: run.id().to_owned(),
        org_id: scope.org_id().to_string(),
        adjustment,
        reason: why.reason,
        actor: scope.actor().to_owned(),
        created_at: why.at,
    };
    let outcome = serde_json::to_value(&recorded).map_err(bug)?;
    let detail = serde_json::to_value(&recorded.adjustment).map_err(bug)?;
    let write = async move {
        let mut tx = task.begin_for(&scope).await?;
        if sql::insert(&mut tx, &scope, &recorded, &detail).await? {
            let after = serde_json::json!({ "adjustment": detail, "reason": recorded.reason });
            let entry = audit::Entry::of(&scope, recorded.adjustment.kind().action(), recorded.adjustment.billing_id());
            audit::append(&task, &mut tx, entry.after(after)).await?;
        }
        tx.commit().await
    };
    run.engine().db().detached(write).await?;
    Ok(outcome)
}

/// The org's customer at billing.
pub(super) async fn customer(engine: &Engine, scope: &OrgScope) -> Result<CustomerId, Error> {
    let mut connection = engine.read_for(scope).await?;
    let customer = subscriptions::sql::customer(&mut connection, scope.org_key()).await?;
    let customer = customer.filter(|customer| !customer.deleted);
    customer.map(|customer| customer.customer_id).ok_or(Error::NoCustomer)
}

/// Most bytes of a reason, as of every name on the wire.
const REASON_BYTES_MAX: usize = 200;

/// Why it is given has to be said.
pub(super) fn reason(text: &str) -> Result<String, Error> {
    let good = !text.trim().is_empty() && text.len() <= REASON_BYTES_MAX && !text.chars().any(char::is_control);
    if good {
        Ok(text.to_owned())
    } else {
        Err(Error::wrong("reason", "must be 1 to 200 bytes without control characters"))
    }
}
