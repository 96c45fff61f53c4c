//! What erasing takes away at billing: an org's customer, and a person's address where an org's invoices go to it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{self, CustomerChange};
use tollgate_rules::ids::{CustomerId, OrgKey};

use super::sql;
use crate::access::{OrgRef, OrgScope};
use crate::audit;
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Kind, NewOperation, Run, Stop};
use crate::{orgs, subscriptions};

/// Customers of one person's address that are looked at in one turn.
const CUSTOMERS_MAX: i64 = 100;

/// Whether the outside has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    /// There was nothing, or no longer is.
    Clear,
    /// Something was under way or is: what billing says about it comes in later, so erasing here waits for the next turn.
    Waits,
}

/// What is taken away; frozen with the operation.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    customer_id: CustomerId,
    /// Where invoices go from now on, when the customer stays.
    #[serde(default)]
    contact: Option<String>,
}

/// Deletes the customer of an org that is being erased. Invoices stay at billing, which has to keep them.
pub(super) async fn delete_customer(engine: &Engine, org_key: OrgKey) -> Result<Outside, db::Error> {
    let known = subscriptions::sql::customer(&mut engine.db().read().await?, org_key).await?;
    let Some(customer) = known.filter(|customer| !customer.deleted && engine.billing().is_on()) else {
        return Ok(Outside::Clear);
    };
    let body = Body { customer_id: customer.customer_id, contact: None };
    run(engine, org_key, Kind::CustomerDelete, &body).await
}

/// Sends the invoices that went to a person who is being erased to their orgs' own addresses, or to nobody.
pub(super) async fn forget_address(engine: &Engine, email: &str) -> Result<Outside, db::Error> {
    if !engine.billing().is_on() {
        return Ok(Outside::Clear);
    }
    let mut outside = Outside::Clear;
    for paid in sql::paid_by_address(&mut engine.db().read().await?, email, CUSTOMERS_MAX).await? {
        let body = Body { customer_id: paid.customer_id, contact: paid.contact };
        run(engine, paid.org_key, Kind::CustomerForget, &body).await?;
        outside = Outside::Waits;
    }
    Ok(outside)
}

async fn run(engine: &Engine, org_key: OrgKey, kind: Kind, body: &Body) -> Result<Outside, db::Error> {
    let org = OrgRef { key: org_key, id: orgs::id_of(engine, org_key).await? };
    let scope = OrgScope::restored(org, "system:erasure".to_owned(), String::new());
    let dedupe_key = body.customer_id.to_string();
    let body = serde_json::to_value(body).map_err(|error| db::Error::Bug(error.to_string()))?;
    let begun = operations::begin_alone(engine, &scope, NewOperation { kind, dedupe_key, body }).await?;
    match operations::drive(engine, begun).await {
        Ok(_) => Ok(Outside::Clear),
        Err(operations::Error::Pending { .. }) => Ok(Outside::Waits),
        Err(operations::Error::Refused(refusal)) => {
            let code = refusal.code.as_str();
            tracing::error!(
                orgId = scope.org_id().as_str(),
                code,
                "billing refused to forget a customer; erasing waits until it does"
            );
            Ok(Outside::Waits)
        }
        Err(operations::Error::Database(error)) => Err(error),
    }
}

/// The steps of the operation that deletes a customer.
pub(crate) async fn advance_delete(run: &mut Run<'_>) -> Result<Value, Stop> {
    let body: Body = run.body()?;
    let (engine, id) = (run.engine().clone(), body.customer_id.clone());
    run.step("delete", |key| async move {
        point(&engine, "erasure.customer.before_send").map_err(db::Error::from)?;
        match engine.billing().delete_customer(&key, &id).await {
            // An earlier try may have got there without our hearing of it.
            Ok(()) | Err(billing::Error::Missing(_)) => {}
            Err(error) => return Err(subscriptions::stop(error)),
        }
        point(&engine, "erasure.customer.sent").map_err(db::Error::from)?;
        Ok(true)
    })
    .await?;
    note(run, "customers.delete", body).await
}

/// The steps of the operation that takes an address away from a customer who stays.
pub(crate) async fn advance_forget(run: &mut Run<'_>) -> Result<Value, Stop> {
    let body: Body = run.body()?;
    let (engine, id) = (run.engine().clone(), body.customer_id.clone());
    // An empty text takes the address away.
    let change = CustomerChange { email: Some(body.contact.clone().unwrap_or_default()), ..CustomerChange::default() };
    run.step("forget", |key| async move {
        point(&engine, "erasure.address.before_send").map_err(db::Error::from)?;
        match engine.billing().update_customer(&key, &id, &change).await {
            Ok(_) | Err(billing::Error::Missing(_)) => {}
            Err(error) => return Err(subscriptions::stop(error)),
        }
        Ok(true)
    })
    .await?;
    note(run, "customers.forget", body).await
}

/// Our table follows, with its entry in the journal.
async fn note(run: &Run<'_>, action: &'static str, body: Body) -> Result<Value, Stop> {
    let (task, scope, gone) = (run.engine().clone(), run.scope().clone(), run.kind() == Kind::CustomerDelete);
    let write = async move {
        let (org_key, now) = (scope.org_key(), task.now());
        let mut tx = task.db().begin(Lane::Control).await?;
        let changed = if gone {
            sql::customer_gone(&mut tx, org_key, &body.customer_id, now).await?
        } else {
            sql::customer_renamed(&mut tx, (org_key, &body.customer_id), body.contact.as_deref(), now).await?;
            true
        };
        if changed {
            let entry = audit::Entry::of(&scope, action, body.customer_id.as_str());
            audit::append(&task, &mut tx, entry).await?;
        }
        tx.commit().await
    };
    run.engine().db().detached(write).await?;
    Ok(json!({}))
}
