//! Sets what an org's invoices are paid with.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{CustomerChange, SubscriptionChange};
use tollgate_rules::ids::{CustomerId, PaymentMethodId, SubscriptionId};

use super::Error;
use super::apply_fact::Cause;
use super::create::standing;
use super::sync::{stop, sync};
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::operations::{self, Code, Kind, NewOperation, Refusal, Run, Stop};

#[derive(Debug, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    subscription_id: Option<SubscriptionId>,
    payment_method_id: PaymentMethodId,
}

/// Makes a payment method the default of the org's customer and of its subscription; it is attached first if need be.
///
/// # Errors
/// [`Error::NoCustomer`]; [`Error::UnknownPaymentMethod`], also for another customer's; [`Error::PaymentFailed`] when the bank
/// refuses the card: the old method stays. [`Error::BillingUnavailable`]: it will be set by itself.
pub async fn set_default_method(
    engine: &Engine,
    scope: &OrgScope,
    payment_method_id: &PaymentMethodId,
) -> Result<(), Error> {
    let found = standing(engine, scope).await?;
    let customer = found.customer.filter(|customer| !customer.deleted).ok_or(Error::NoCustomer)?;
    let frozen = Frozen {
        customer_id: customer.customer_id,
        subscription_id: found.mirror.map(|mirror| mirror.subscription_id),
        payment_method_id: payment_method_id.clone(),
    };
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::DefaultMethod, dedupe_key: payment_method_id.to_string(), body };
    let (inner, by) = (engine.clone(), scope.clone());
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    match operations::drive(engine, begun).await {
        Ok(_) => Ok(()),
        Err(operations::Error::Refused(refusal)) if refusal.code == Code::Missing => Err(Error::UnknownPaymentMethod),
        Err(error) => Err(error.into()),
    }
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { customer_id, subscription_id, payment_method_id } = run.body()?;
    let engine = run.engine().clone();
    let (customer, wanted) = (customer_id.clone(), payment_method_id.clone());
    // Sample methods of Stripe's test mode (`pm_card_visa`) become a real one when they are attached.
    let attached: PaymentMethodId = run
        .step("attach", |key| async move {
            let method = engine.billing().payment_method(&wanted).await.map_err(stop)?.ok_or_else(missing)?;
            match method.customer_id {
                Some(owner) if owner == customer => Ok(method.payment_method_id),
                Some(_) => Err(missing()),
                None => {
                    let attached = engine.billing().attach_payment_method(&key, &wanted, &customer).await;
                    attached.map(|method| method.payment_method_id).map_err(stop)
                }
            }
        })
        .await?;
    let engine = run.engine().clone();
    let change = CustomerChange { default_payment_method: Some(attached.clone()), ..CustomerChange::default() };
    let customer = customer_id.clone();
    run.step("customer", |key| async move {
        engine.billing().update_customer(&key, &customer, &change).await.map(drop).map_err(stop)
    })
    .await?;
    if let Some(subscription_id) = subscription_id {
        let engine = run.engine().clone();
        let change =
            SubscriptionChange { default_payment_method: Some(attached.clone()), ..SubscriptionChange::default() };
        run.step("subscription", |key| async move {
            engine.billing().update_subscription(&key, &subscription_id, &change).await.map(drop).map_err(stop)
        })
        .await?;
    }
    sync(run.engine(), Cause::Change(run.scope().clone()), &customer_id).await?;
    Ok(json!({ "paymentMethodId": attached.as_str() }))
}

fn missing() -> Stop {
    let message = "no such payment method".to_owned();
    Stop::Refused(Refusal { code: Code::Missing, message, reason: None, client_secret: None })
}
