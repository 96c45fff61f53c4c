//! Gives an org its customer at billing, once.

use serde_json::{Value, json};

use tollgate_connectors::billing;
use tollgate_rules::ids::CustomerId;

use super::apply_fact::Cause;
use super::sync::{stop, sync};
use super::{Error, sql};
use crate::access::OrgScope;
use crate::db::{self, Connection};
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Begun, Kind, NewOperation, Run, Stop};
use crate::orgs;

/// The org's customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensured {
    /// Its id at billing.
    pub customer_id: CustomerId,
    /// Whether this call made it.
    pub created: bool,
}

/// Makes the org's customer, or answers the one it has. The address is used when it is made; it changes at billing from then on.
///
/// # Errors
/// [`Error::BadEmail`]; [`Error::BillingUnavailable`]: the customer will be there by itself.
pub async fn ensure_customer(engine: &Engine, scope: &OrgScope, email: &str) -> Result<Ensured, Error> {
    orgs::check_email(email).map_err(|_| Error::BadEmail)?;
    if let Some(customer_id) = known(&mut engine.read_for(scope).await?, scope).await? {
        return Ok(Ensured { customer_id, created: false });
    }
    let name = orgs::get(engine, scope).await.map_err(|error| db::Error::Unavailable(error.to_string()))?.name;
    let new = billing::NewCustomer { org_id: scope.org_id().clone(), email: Some(email.to_owned()), name: Some(name) };
    let body = serde_json::to_value(new).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::CustomerEnsure, dedupe_key: "customer".to_owned(), body };
    let (inner, by) = (engine.clone(), scope.clone());
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        // Another caller's operation may have ended since we looked: then its customer is there, and ours is not begun.
        if let Some(customer_id) = known(&mut tx, &by).await? {
            tx.rollback().await?;
            return Ok(Err(customer_id));
        }
        tx.commit().await?;
        Ok::<_, db::Error>(Ok(begun))
    };
    let begun = match engine.db().detached(begin).await? {
        Ok(begun) => begun,
        Err(customer_id) => return Ok(Ensured { customer_id, created: false }),
    };
    let created = matches!(begun, Begun::New(_));
    operations::drive(engine, begun).await?;
    let customer_id = known(&mut engine.read_for(scope).await?, scope).await?.ok_or(Error::NoCustomer)?;
    Ok(Ensured { customer_id, created })
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let new: billing::NewCustomer = run.body()?;
    let engine = run.engine().clone();
    let forgotten = super::create::keys_are_forgotten(run);
    let customer_id: CustomerId = run
        .step("customer", |key| async move {
            let email = new.email.as_deref().unwrap_or_default();
            if forgotten && let Some(found) = engine.billing().find_customer(email, &new.org_id).await.map_err(stop)? {
                return Ok(found.customer_id);
            }
            point(&engine, "customer.before_send").map_err(db::Error::from)?;
            let made = engine.billing().create_customer(&key, &new).await.map_err(stop)?;
            point(&engine, "customer.sent").map_err(db::Error::from)?;
            Ok(made.customer_id)
        })
        .await?;
    point(run.engine(), "customer.stored").map_err(db::Error::from)?;
    sync(run.engine(), Cause::Change(run.scope().clone()), &customer_id).await?;
    point(run.engine(), "customer.synced").map_err(db::Error::from)?;
    Ok(json!({ "customerId": customer_id.as_str() }))
}

async fn known(connection: &mut Connection, scope: &OrgScope) -> Result<Option<CustomerId>, db::Error> {
    let customer = sql::customer(connection, scope.org_key()).await?;
    Ok(customer.filter(|customer| !customer.deleted).map(|customer| customer.customer_id))
}
