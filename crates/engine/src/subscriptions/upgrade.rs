//! Changes to a higher plan, a longer interval or more seats now: charged at once, in force once it is paid. In a trial every choice
//! of a plan ends the trial and charges. The old state stays until then.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{Payment, SubscriptionChange};
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::{CustomerId, InvoiceId, PlanCode, SubscriptionId};
use tollgate_rules::period::Interval;
use tollgate_rules::quote::When;

use super::Error;
use super::apply_fact::Cause;
use super::schedules::release;
use super::sync::{stop, sync};
use super::tax;
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::fault::point;
use crate::metering;
use crate::operations::{self, Code, Kind, NewOperation, Refusal, Run, Stop};
use crate::quotes::{self, Given, Held, Wanted, Weighed};

/// What is chosen. What is left out stays as the subscription has it, or as the quote says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The plan; in a trial it may be the one being tried. A quote brings it along.
    pub new_plan_code: Option<PlanCode>,
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    subscription_id: SubscriptionId,
    plan_code: PlanCode,
    change: SubscriptionChange,
    #[serde(default)]
    quote_id: Option<String>,
}

/// Changes what an org pays for now. With a quote exactly what it shows is charged, or nothing.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::NotSelfService`], [`Error::NotSoldSo`], [`Error::BadQuantity`], [`Error::QuoteDiffers`];
/// [`Error::NoSubscription`], [`Error::NotChangeable`], [`Error::AlreadyOnPlan`], [`Error::IsDowngrade`] for what happens at the
/// period's end instead; [`Error::UnknownQuote`], [`Error::QuoteStale`]. [`Error::PaymentFailed`] without a payment method or when
/// the card is declined, [`Error::PaymentActionRequired`] when the customer must confirm: all stays as it was, and once confirmed
/// the change is in force. [`Error::BillingUnavailable`]: the change completes by itself.
pub async fn upgrade(engine: &Engine, scope: &OrgScope, upgrade: &Upgrade) -> Result<Upgraded, Error> {
    let (weighed, free) = match &upgrade.quote_id {
        Some(quote_id) => match quotes::hold(engine, scope, quote_id, &Given::of(upgrade)).await? {
            Held::Confirmed(plan_code) => return Ok(Upgraded { plan_code }),
            Held::Holds(held) => (held.0, held.1.amount.minor == 0),
        },
        None => (quotes::weigh(engine, scope, &Wanted::of(upgrade)?).await?, false),
    };
    if weighed.when == When::PeriodEnd {
        return Err(Error::IsDowngrade(weighed.effective_at));
    }
    if !free && !weighed.has_payment_method() {
        let message = "There is no payment method yet.".to_owned();
        return Err(Error::PaymentFailed { message, reason: Some("no_payment_method".to_owned()) });
    }
    let Weighed { customer, mirror, plan, change, .. } = weighed;
    let frozen = Frozen {
        customer_id: customer.customer_id,
        subscription_id: mirror.subscription_id,
        plan_code: plan.code,
        change,
        quote_id: upgrade.quote_id.clone(),
    };
    begin_and_drive(engine, scope, &frozen).await?;
    Ok(Upgraded { plan_code: frozen.plan_code })
}

async fn begin_and_drive(engine: &Engine, scope: &OrgScope, frozen: &Frozen) -> Result<(), Error> {
    let body = serde_json::to_value(frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::PlanUpgrade, dedupe_key: "plan".to_owned(), body };
    let begun = operations::begin_alone(engine, scope, operation).await?;
    if let operations::Begun::Running(other) = &begun
        && !frozen.asks_the_same(&other.body)
    {
        return Err(Error::Busy(other.operation_id.clone()));
    }
    operations::drive(engine, begun).await?;
    Ok(())
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let frozen: Frozen = run.body()?;
    point(run.engine(), "upgrade.begun").map_err(db::Error::from)?;
    if frozen.change.automatic_tax {
        // A change that waits for its payment cannot bring it along.
        tax::switch_on(run, &frozen.subscription_id).await?;
    }
    give_up_waiting(run, &frozen.subscription_id).await?;
    let released = release(run, &frozen.subscription_id).await?;
    if !frozen.change.metered.is_empty() {
        // The running period ends with the change: what was used in it is told before.
        let (engine, org_key) = (run.engine().clone(), run.scope().org_key());
        Box::pin(metering::report(&engine, Some(org_key))).await.map_err(|error| Stop::Later(error.to_string()))?;
    }
    let sent = send(run, &frozen).await;
    point(run.engine(), "upgrade.sent").map_err(db::Error::from)?;
    if let Ok(Sent::Declined(invoice)) = &sent {
        void(run, "void", invoice.clone()).await?;
        point(run.engine(), "upgrade.voided").map_err(db::Error::from)?;
    }
    let changes_nothing = match &sent {
        Ok(Sent::Settled) => false,
        Ok(Sent::Declined(_)) => true,
        Err(Stop::Refused(refusal)) => refusal.code != Code::PaymentActionRequired,
        Err(Stop::Later(_) | Stop::Stuck(_) | Stop::Database(_) | Stop::Lost) => false,
    };
    if changes_nothing && let Some(schedule) = released {
        // What was going to happen by itself is going to happen still.
        schedule.put_back(run).await?;
    }
    // Whatever became of it, the mirror shows it before the caller hears of it.
    let synced = sync(run.engine(), Cause::Change(run.scope().clone()), &frozen.customer_id).await;
    let outcome = sent?;
    synced?;
    point(run.engine(), "upgrade.synced").map_err(db::Error::from)?;
    match outcome {
        Sent::Declined(_) => Err(declined()),
        Sent::Settled => {
            confirm_quote(run, frozen.quote_id).await?;
            Ok(json!({ "planCode": frozen.plan_code.as_str() }))
        }
    }
}

/// What became of the change at billing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sent {
    Settled,
    /// It waits for this invoice, which will not be paid.
    Declined(Option<InvoiceId>),
}

async fn send(run: &mut Run<'_>, frozen: &Frozen) -> Result<Sent, Stop> {
    let engine = run.engine().clone();
    let (subscription, wanted) = (frozen.subscription_id.clone(), frozen.change.clone());
    run.step("subscription", |key| async move {
        // After a lost answer of long ago: what is asked for may be in force already.
        let now = engine.billing().subscription(&subscription).await.map_err(stop)?.ok_or_else(gone)?;
        let item = wanted.item.as_ref();
        let there = item.is_some_and(|item| now.price_id == item.price_id && now.quantity == item.quantity);
        if now.status == SubscriptionStatus::Active && there {
            return Ok(Sent::Settled);
        }
        point(&engine, "upgrade.before_send").map_err(db::Error::from)?;
        let changed = engine.billing().update_subscription(&key, &subscription, &wanted).await.map_err(stop)?;
        point(&engine, "upgrade.before_stored").map_err(db::Error::from)?;
        match changed.payment {
            Payment::Settled => Ok(Sent::Settled),
            Payment::ActionRequired { client_secret } => Err(needs_confirmation(client_secret)),
            Payment::Declined => Ok(Sent::Declined(changed.invoice_id)),
        }
    })
    .await
}

/// An earlier change may still wait to be confirmed: the new choice replaces it.
pub(super) async fn give_up_waiting(run: &mut Run<'_>, subscription_id: &SubscriptionId) -> Result<(), Stop> {
    let (engine, subscription) = (run.engine().clone(), subscription_id.clone());
    let (look, give_up) = (run.anew("waiting"), run.anew("void_waiting"));
    let waiting: Option<InvoiceId> =
        run.step(&look, |_| async move { engine.billing().waiting_invoice(&subscription).await.map_err(stop) }).await?;
    void(run, &give_up, waiting).await
}

async fn void(run: &mut Run<'_>, step: &str, invoice: Option<InvoiceId>) -> Result<(), Stop> {
    let Some(invoice) = invoice else { return Ok(()) };
    let engine = run.engine().clone();
    run.step(step, |key| async move { engine.billing().void_invoice(&key, &invoice).await.map_err(stop) }).await
}

async fn confirm_quote(run: &Run<'_>, quote_id: Option<String>) -> Result<(), db::Error> {
    let Some(quote_id) = quote_id else { return Ok(()) };
    let (engine, org_key) = (run.engine().clone(), run.scope().org_key());
    let write = async move {
        let mut tx = engine.db().begin_for(org_key.0).await?;
        quotes::sql::confirm(&mut tx, org_key, &quote_id, engine.clock().wall.now()).await?;
        tx.commit().await
    };
    run.engine().db().detached(write).await
}

pub(super) fn needs_confirmation(client_secret: SecretString) -> Stop {
    Stop::Refused(Refusal {
        code: Code::PaymentActionRequired,
        message: "The payment must be confirmed.".to_owned(),
        reason: None,
        client_secret: Some(client_secret),
    })
}

pub(super) fn declined() -> Stop {
    Stop::Refused(Refusal {
        code: Code::PaymentFailed,
        message: "The card was declined.".to_owned(),
        reason: None,
        client_secret: None,
    })
}

fn gone() -> Stop {
    let message = "the subscription does not exist any more".to_owned();
    Stop::Refused(Refusal { code: Code::Missing, message, reason: None, client_secret: None })
}

impl Frozen {
    /// Whether a stored body asks for the same; without a quote the instant of the asking makes no difference.
    fn asks_the_same(&self, stored: &Value) -> bool {
        let Ok(mut other) = Frozen::deserialize(stored) else { return false };
        if self.quote_id.is_none() {
            other.change.proration_at = self.change.proration_at;
        }
        *self == other
    }
}

impl Given {
    fn of(upgrade: &Upgrade) -> Given {
        Given { plan_code: upgrade.new_plan_code.clone(), interval: upgrade.interval, quantity: upgrade.quantity }
    }
}

impl Wanted {
    fn of(upgrade: &Upgrade) -> Result<Wanted, Error> {
        let plan_code = upgrade.new_plan_code.clone().ok_or(Error::UnknownPlan)?;
        Ok(Wanted { plan_code, interval: upgrade.interval, quantity: upgrade.quantity, coupon: None })
    }
}
