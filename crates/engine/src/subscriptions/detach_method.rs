//! Takes a payment method away from an org.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_rules::ids::{CustomerId, PaymentMethodId};

use super::Error;
use super::apply_fact::Cause;
use super::create::standing;
use super::sync::{stop, sync};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::fault::point;
use crate::operations::{self, Code, Kind, NewOperation, Refusal, Run, Stop};

#[derive(Debug, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    payment_method_id: PaymentMethodId,
}

/// Takes a payment method away from the org's customer for good. Billing would also take away the only one that a running
/// subscription is charged to, and notice at the next renewal; here that is refused.
///
/// # Errors
/// [`Error::NoCustomer`]; [`Error::UnknownPaymentMethod`], also for another customer's; [`Error::OnlyMethod`];
/// [`Error::BillingUnavailable`]: it is taken away by itself.
pub async fn detach_method(
    engine: &Engine,
    scope: &OrgScope,
    payment_method_id: &PaymentMethodId,
) -> Result<(), Error> {
    let found = standing(engine, scope).await?;
    let customer = found.customer.filter(|customer| !customer.deleted).ok_or(Error::NoCustomer)?;
    if let Some(mirror) = found.mirror {
        let mut charged = mirror.default_payment_method.iter().chain(&customer.default_payment_method);
        let others = charged.clone().any(|method| method != payment_method_id);
        if !others && charged.any(|method| method == payment_method_id) {
            return Err(Error::OnlyMethod);
        }
    }
    let frozen = Frozen { customer_id: customer.customer_id, payment_method_id: payment_method_id.clone() };
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::MethodDetach, dedupe_key: payment_method_id.to_string(), body };
    let begun = operations::begin_alone(engine, scope, operation).await?;
    match operations::drive(engine, begun).await {
        Ok(_) => Ok(()),
        Err(operations::Error::Refused(refusal)) if refusal.code == Code::Missing => Err(Error::UnknownPaymentMethod),
        Err(error) => Err(error.into()),
    }
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { customer_id, payment_method_id } = run.body()?;
    let (engine, owner, id) = (run.engine().clone(), customer_id.clone(), payment_method_id.clone());
    run.step("found", |_| async move {
        match engine.billing().payment_method(&id).await.map_err(stop)? {
            Some(method) if method.customer_id.as_ref() == Some(&owner) => Ok(()),
            Some(_) | None => Err(missing()),
        }
    })
    .await?;
    let (engine, id) = (run.engine().clone(), payment_method_id.clone());
    run.step("detach", |key| async move {
        point(&engine, "detach.before_send").map_err(db::Error::from)?;
        // After a lost answer: what is nobody's any more was taken away.
        let there = engine.billing().payment_method(&id).await.map_err(stop)?;
        if there.is_some_and(|method| method.customer_id.is_some()) {
            engine.billing().detach_payment_method(&key, &id).await.map_err(stop)?;
        }
        Ok(point(&engine, "detach.sent").map_err(db::Error::from)?)
    })
    .await?;
    sync(run.engine(), Cause::Change(run.scope().clone()), &customer_id).await?;
    Ok(json!({ "paymentMethodId": payment_method_id.as_str() }))
}

fn missing() -> Stop {
    let message = "no such payment method".to_owned();
    Stop::Refused(Refusal { code: Code::Missing, message, reason: None, client_secret: None })
}
