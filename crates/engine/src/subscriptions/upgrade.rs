//! Chooses a paid plan now. In a trial that ends the trial and charges; the old state stays until it is paid.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{ItemChange, Payment, PaymentBehavior, SubscriptionChange, TrialChange};
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::catalog::Plan;
use tollgate_rules::ids::{CustomerId, PlanCode, SubscriptionId};
use tollgate_rules::period::Interval;

use super::Error;
use super::apply_fact::Cause;
use super::create::{QUANTITY_MAX, Standing, standing};
use super::mirror::Mirror;
use super::sync::{stop, sync};
use crate::access::OrgScope;
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::operations::{self, Code, Kind, NewOperation, Refusal, Run, Stop};
use crate::plans;

/// What is chosen. What is left out stays as the subscription has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The plan; in a trial it may be the one being tried.
    pub new_plan_code: PlanCode,
    /// How often it is charged.
    pub interval: Option<Interval>,
    /// Seats.
    pub quantity: Option<i64>,
    /// A quote that fixes the amount.
    pub quote_id: Option<String>,
}

/// The plan in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// Its code.
    pub plan_code: PlanCode,
}

#[derive(Debug, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    subscription_id: SubscriptionId,
    plan_code: PlanCode,
    change: SubscriptionChange,
}

/// Ends an org's trial by choosing a paid plan: charged now, in force once it is paid.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::NotSelfService`], [`Error::BadQuantity`], [`Error::UnknownQuote`]; [`Error::NoSubscription`];
/// outside a trial [`Error::AlreadyOnPlan`] or [`Error::NeedsQuote`]. [`Error::PaymentFailed`] without a payment method or when the
/// card is declined, [`Error::PaymentActionRequired`] when the customer must confirm: the trial goes on as it was.
/// [`Error::BillingUnavailable`]: the change completes by itself.
pub async fn upgrade(engine: &Engine, scope: &OrgScope, upgrade: &Upgrade) -> Result<Upgraded, Error> {
    if upgrade.quote_id.is_some() {
        return Err(Error::UnknownQuote);
    }
    let catalog = plans::catalog(engine);
    let plan = catalog.plan(upgrade.new_plan_code.as_str()).ok_or(Error::UnknownPlan)?;
    let found = standing(engine, scope).await?;
    let (customer_id, mirror) = choosable(&found, plan, upgrade)?;
    let quantity = upgrade.quantity.unwrap_or(mirror.quantity);
    let interval = upgrade.interval.unwrap_or(mirror.interval);
    let price_id = plans::price_for(engine, plan, interval).await?.ok_or(Error::UnknownPlan)?;
    let change = SubscriptionChange {
        item: Some(ItemChange { item_id: mirror.item_id.clone(), price_id, quantity }),
        trial: TrialChange::EndNow,
        payment: Some(PaymentBehavior::PendingIfIncomplete),
        ..SubscriptionChange::default()
    };
    let frozen =
        Frozen { customer_id, subscription_id: mirror.subscription_id.clone(), plan_code: plan.code.clone(), change };
    begin_and_drive(engine, scope, &frozen).await?;
    Ok(Upgraded { plan_code: frozen.plan_code })
}

/// Whether the choice can be made at all.
fn choosable<'s>(found: &'s Standing, plan: &Plan, upgrade: &Upgrade) -> Result<(CustomerId, &'s Mirror), Error> {
    let interval = |mirror: &Mirror| upgrade.interval.unwrap_or(mirror.interval);
    if plan.code.is_trial() {
        return Err(Error::UnknownPlan);
    }
    if !plan.self_service {
        return Err(Error::NotSelfService);
    }
    if upgrade.quantity.is_some_and(|quantity| !(1..=QUANTITY_MAX).contains(&quantity)) {
        return Err(Error::BadQuantity);
    }
    let customer = found.customer.as_ref().filter(|customer| !customer.deleted).ok_or(Error::NoSubscription)?;
    let mirror = found.mirror.as_ref().ok_or(Error::NoSubscription)?;
    plan.price(interval(mirror)).ok_or(Error::UnknownPlan)?;
    if mirror.status != SubscriptionStatus::Trialing {
        let on_it = mirror.plan.as_ref().is_some_and(|(code, _)| code == plan.code.as_str());
        let same =
            on_it && interval(mirror) == mirror.interval && upgrade.quantity.is_none_or(|q| q == mirror.quantity);
        return Err(if same { Error::AlreadyOnPlan } else { Error::NeedsQuote });
    }
    if customer.default_payment_method.is_none() && mirror.default_payment_method.is_none() {
        let message = "There is no payment method yet.".to_owned();
        return Err(Error::PaymentFailed { message, reason: Some("no_payment_method".to_owned()) });
    }
    Ok((customer.customer_id.clone(), mirror))
}

async fn begin_and_drive(engine: &Engine, scope: &OrgScope, frozen: &Frozen) -> Result<(), Error> {
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::PlanUpgrade, dedupe_key: "plan".to_owned(), body: body.clone() };
    let (inner, by) = (engine.clone(), scope.clone());
    let begin = async move {
        let mut tx = inner.db().begin(Lane::Control).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    if let operations::Begun::Running(other) = &begun
        && other.body != body
    {
        return Err(Error::Busy(other.operation_id.clone()));
    }
    operations::drive(engine, begun).await?;
    Ok(())
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { customer_id, subscription_id, plan_code, change } = run.body()?;
    let engine = run.engine().clone();
    let cause = Cause::Change(run.scope().clone());
    let (subscription, wanted) = (subscription_id.clone(), change.clone());
    let sent = run
        .step("subscription", |key| async move {
            // After a lost answer of long ago: what is asked for may be in force already.
            let now = engine.billing().subscription(&subscription).await.map_err(stop)?.ok_or_else(gone)?;
            let price = wanted.item.as_ref().map(|item| &item.price_id);
            if now.status == SubscriptionStatus::Active && Some(&now.price_id) == price {
                return Ok(());
            }
            let changed = engine.billing().update_subscription(&key, &subscription, &wanted).await.map_err(stop)?;
            paid(changed.payment)
        })
        .await;
    // Whatever became of it, the mirror shows it before the caller hears of it.
    let synced = sync(run.engine(), cause, &customer_id).await;
    sent?;
    synced?;
    Ok(json!({ "planCode": plan_code.as_str() }))
}

fn paid(payment: Payment) -> Result<(), Stop> {
    match payment {
        Payment::Settled => Ok(()),
        Payment::ActionRequired { client_secret } => Err(Stop::Refused(Refusal {
            code: Code::PaymentActionRequired,
            message: "The payment must be confirmed.".to_owned(),
            reason: None,
            client_secret: Some(client_secret),
        })),
        Payment::Declined => Err(Stop::Refused(Refusal {
            code: Code::PaymentFailed,
            message: "The card was declined.".to_owned(),
            reason: None,
            client_secret: None,
        })),
    }
}

fn gone() -> Stop {
    let message = "the subscription does not exist any more".to_owned();
    Stop::Refused(Refusal { code: Code::Missing, message, reason: None, client_secret: None })
}
