//! Stripe's words into ours. Nothing is guessed: what has no word of ours is an error that names the field.

mod adjustments;
mod hosted;

pub(crate) use adjustments::{credit, credit_note, promotion, refund, refundable};
pub(crate) use hosted::{checkout, checkout_mark, saved_method};

use secrecy::SecretString;
use tollgate_rules::billing::{
    CustomerFact, InvoiceFact, InvoiceLine, InvoiceStatus, PendingPrice, SubscriptionFact, SubscriptionStatus,
};
use tollgate_rules::ids::{CustomerId, InvoiceId, OrgId, PaymentMethodId, PriceId, SubscriptionId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::{Interval, Period};
use tollgate_rules::time::Timestamp;

use super::calls::ORG_MARK;
use super::client::Answer;
use super::error::Error as StripeError;
use super::wire;
use crate::billing::{
    Error, EventHint, ObjectKind, ObjectRef, Payment, PaymentMethodFact, PhaseItem, PreviewFact, PriceFact,
    ProductFact, ScheduleFact, WebhookEndpointFact,
};

/// A value that Tollgate has no word for. The object is left as it was known before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} of {object} is {value:?}, which Tollgate has no word for")]
pub(crate) struct NoWord {
    object: String,
    field: &'static str,
    value: String,
}

impl From<NoWord> for Error {
    fn from(error: NoWord) -> Self {
        Self::Garbled(error.to_string())
    }
}

impl From<StripeError> for Error {
    fn from(error: StripeError) -> Self {
        let detail = error.to_string();
        match error {
            StripeError::Card(refusal) => Self::Declined {
                detail,
                message: refusal.message,
                reason: refusal.decline_code.or(refusal.code),
                client_secret: refusal.client_secret.map(SecretString::from),
            },
            StripeError::Missing(_) => Self::Missing(detail),
            StripeError::Refused(refusal) => match refusal.code.as_deref() {
                Some("customer_tax_location_invalid") => Self::NoPlace(detail),
                Some("tax_id_invalid") => Self::BadTaxId(detail),
                _ => Self::Refused(detail),
            },
            StripeError::KeyReused(_) => Self::Refused(detail),
            StripeError::Credentials(_) => Self::Credentials(detail),
            StripeError::Busy(_) | StripeError::Unknown(_) => Self::Unavailable(detail),
            StripeError::StoredFailure(_) => Self::StoredFailure(detail),
            StripeError::Garbled(_) => Self::Garbled(detail),
        }
    }
}

/// A lookup's answer, with "does not exist" as `None`.
pub(crate) fn found<T>(answer: Result<Answer<T>, StripeError>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer.value)),
        Err(StripeError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stripe counts whole seconds.
pub(crate) fn whole_seconds(time: Timestamp) -> i64 {
    time.as_seconds()
}

pub(crate) fn customer(customer: &wire::Customer) -> Result<CustomerFact, NoWord> {
    let object = &customer.id;
    let marked = customer.metadata.as_ref().and_then(|pairs| pairs.get(ORG_MARK));
    let method = customer.invoice_settings.as_ref().and_then(|settings| settings.default_payment_method.as_ref());
    Ok(CustomerFact {
        customer_id: word(object, "id", object, CustomerId::parse)?,
        email: customer.email.clone(),
        // A mark that cannot be an org's is somebody else's; the customer is then of no org of ours.
        org_id: marked.and_then(|mark| OrgId::parse(mark).ok()),
        default_payment_method: method.map(|method| payment_method_id(object, method.id())).transpose()?,
        deleted: customer.deleted,
    })
}

/// A deleted product is gone.
pub(crate) fn product(product: wire::Product) -> Option<ProductFact> {
    (!product.deleted).then(|| ProductFact {
        product_id: product.id,
        name: product.name.unwrap_or_default(),
        active: product.active.unwrap_or(true),
        metadata: product.metadata.unwrap_or_default(),
    })
}

pub(crate) fn price(price: &wire::Price) -> Result<PriceFact, NoWord> {
    let currency = price.currency.as_deref().map(|code| currency(&price.id, code)).transpose()?;
    let amount = price.unit_amount.zip(currency).map(|(minor, currency)| Money::new(minor, currency));
    Ok(PriceFact {
        price_id: word(&price.id, "id", &price.id, PriceId::parse)?,
        product_id: price.product.as_ref().map(|product| product.id().to_owned()),
        lookup_key: price.lookup_key.clone(),
        active: price.active.unwrap_or(true),
        amount,
        interval: price.recurring.as_ref().and_then(known_interval),
        metadata: price.metadata.clone().unwrap_or_default(),
    })
}

/// Only whole months and years are sold; every second month is not a month.
fn known_interval(recurring: &wire::Recurring) -> Option<Interval> {
    match (&recurring.interval, recurring.interval_count.unwrap_or(1)) {
        (wire::Interval::Month, 1) => Some(Interval::Month),
        (wire::Interval::Month, 12) | (wire::Interval::Year, 1) => Some(Interval::Year),
        _ => None,
    }
}

pub(crate) fn subscription(subscription: &wire::Subscription) -> Result<SubscriptionFact, NoWord> {
    let object = subscription.id.as_str();
    let item = counting_item(subscription)?;
    let invoice = subscription.latest_invoice.as_ref();
    let method = subscription.default_payment_method.as_ref();
    let trial = subscription.trial_start.zip(subscription.trial_end);
    let missing = || no_word(object, "items.data.price.recurring.interval", &format!("{:?}", item.price.recurring));
    let interval = item.price.recurring.as_ref().and_then(known_interval).ok_or_else(missing)?;
    let ends_with_period = subscription.cancel_at_period_end.unwrap_or(false);
    let cancel_at = subscription.cancel_at.or(ends_with_period.then_some(item.current_period_end));
    Ok(SubscriptionFact {
        subscription_id: word(object, "id", object, SubscriptionId::parse)?,
        customer_id: word(object, "customer", subscription.customer.id(), CustomerId::parse)?,
        status: subscription_status(object, &subscription.status)?,
        price_id: word(object, "items.data.price.id", &item.price.id, PriceId::parse)?,
        lookup_key: item.price.lookup_key.clone(),
        item_id: item.id.clone(),
        quantity: item.quantity.unwrap_or(1),
        interval,
        anchor: Timestamp::from_seconds(subscription.billing_cycle_anchor),
        item_period: period(item.current_period_start, item.current_period_end),
        trial: trial.map(|(start, end)| period(start, end)),
        cancel_at: cancel_at.map(Timestamp::from_seconds),
        ended_at: subscription.ended_at.map(Timestamp::from_seconds),
        created: Timestamp::from_seconds(subscription.created),
        default_payment_method: method.map(|method| payment_method_id(object, method.id())).transpose()?,
        latest_invoice: invoice
            .map(|found| word(object, "latest_invoice", found.id(), InvoiceId::parse))
            .transpose()?,
        latest_invoice_created: invoice
            .and_then(wire::Expandable::object)
            .map(|invoice| Timestamp::from_seconds(invoice.created)),
        pending_price: pending_price(subscription, item)?,
    })
}

/// The price that the schedule's next phase brings, where it is another one or another number of it.
fn pending_price(
    subscription: &wire::Subscription,
    item: &wire::SubscriptionItem,
) -> Result<Option<PendingPrice>, NoWord> {
    let found = subscription.schedule.as_ref().and_then(wire::Expandable::object);
    let Some(found) = found.filter(|found| found.current_phase.is_some()) else { return Ok(None) };
    let schedule = schedule(found)?;
    let Some((runs, items)) = schedule.next else { return Ok(None) };
    let same = |next: &&PhaseItem| {
        next.price_id.as_str() == item.price.id && next.quantity.is_none_or(|quantity| Some(quantity) == item.quantity)
    };
    let known = |next: &&PhaseItem| schedule.running.contains(next);
    match items.iter().find(|next| !same(next) && !known(next)) {
        Some(next) => {
            let quantity = next.quantity.unwrap_or(1);
            Ok(Some(PendingPrice { price_id: next.price_id.clone(), at: runs.start, quantity }))
        }
        None => Ok(None),
    }
}

pub(crate) fn schedule(schedule: &wire::Schedule) -> Result<ScheduleFact, NoWord> {
    let object = schedule.id.as_str();
    let current = schedule.current_phase.ok_or_else(|| no_word(object, "current_phase", "null"))?;
    let items = |phase: &wire::Phase| phase.items.iter().map(|item| phase_item(object, item)).collect();
    let running = schedule.phases.iter().find(|phase| phase.start_date == current.start_date);
    let next = schedule.phases.iter().find(|phase| phase.start_date >= current.end_date);
    let begins = |phase: &wire::Phase| Ok((period(phase.start_date, phase.end_date), items(phase)?));
    Ok(ScheduleFact {
        schedule_id: schedule.id.clone(),
        period: period(current.start_date, current.end_date),
        running: running.map(items).transpose()?.unwrap_or_default(),
        next: next.map(begins).transpose()?,
    })
}

fn phase_item(object: &str, item: &wire::PhaseItem) -> Result<PhaseItem, NoWord> {
    let price_id = word(object, "phases.items.price", item.price.id(), PriceId::parse)?;
    Ok(PhaseItem { price_id, quantity: item.quantity })
}

/// The item that is a plan: the first one charged by count. Metered items only carry overage.
fn counting_item(subscription: &wire::Subscription) -> Result<&wire::SubscriptionItem, NoWord> {
    let metered = |item: &&wire::SubscriptionItem| {
        item.price.recurring.as_ref().and_then(|recurring| recurring.usage_type.as_deref()) == Some("metered")
    };
    let mut items = subscription.items.data.iter();
    items.find(|item| !metered(item)).ok_or_else(|| no_word(&subscription.id, "items", "none charged by count"))
}

/// For sweeps: one subscription without words of ours must not hide the others.
pub(crate) fn subscription_or_log(found: &wire::Subscription) -> Option<SubscriptionFact> {
    match subscription(found) {
        Ok(fact) => Some(fact),
        Err(error) => {
            tracing::warn!(%error, "a subscription at Stripe is left out");
            None
        }
    }
}

fn subscription_status(object: &str, status: &wire::SubscriptionStatus) -> Result<SubscriptionStatus, NoWord> {
    Ok(match status {
        wire::SubscriptionStatus::Trialing => SubscriptionStatus::Trialing,
        wire::SubscriptionStatus::Active => SubscriptionStatus::Active,
        wire::SubscriptionStatus::PastDue => SubscriptionStatus::PastDue,
        wire::SubscriptionStatus::Unpaid => SubscriptionStatus::Unpaid,
        wire::SubscriptionStatus::Canceled => SubscriptionStatus::Canceled,
        wire::SubscriptionStatus::Paused => SubscriptionStatus::Paused,
        wire::SubscriptionStatus::Incomplete => SubscriptionStatus::Incomplete,
        wire::SubscriptionStatus::IncompleteExpired => SubscriptionStatus::IncompleteExpired,
        wire::SubscriptionStatus::Other(status) => return Err(no_word(object, "status", status)),
    })
}

pub(crate) fn invoice(invoice: &wire::Invoice) -> Result<InvoiceFact, NoWord> {
    let object = invoice.id.as_str();
    let currency = currency(object, &invoice.currency)?;
    let customer = invoice.customer.as_ref().ok_or_else(|| no_word(object, "customer", "null"))?;
    let parent = invoice.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
    let subscription = parent.and_then(|details| details.subscription.as_ref());
    let lines = invoice.lines.iter().flat_map(|lines| &lines.data);
    Ok(InvoiceFact {
        invoice_id: word(object, "id", object, InvoiceId::parse)?,
        customer_id: word(object, "customer", customer.id(), CustomerId::parse)?,
        subscription_id: subscription
            .map(|found| word(object, "parent.subscription_details", found.id(), SubscriptionId::parse))
            .transpose()?,
        number: invoice.number.clone(),
        status: invoice_status(object, invoice.status.as_ref())?,
        total: Money::new(invoice.total, currency),
        amount_due: invoice.amount_due,
        amount_paid: invoice.amount_paid,
        url: invoice.hosted_invoice_url.clone(),
        created: Timestamp::from_seconds(invoice.created),
        period: period(invoice.period_start.unwrap_or(invoice.created), invoice.period_end.unwrap_or(invoice.created)),
        reason: invoice.billing_reason.clone(),
        lines: lines.map(|line| invoice_line(object, line)).collect::<Result<_, _>>()?,
    })
}

/// What a preview says is due now. Where Stripe shows the next renewal beside a change within the period, only the change is due
/// now (`../shared/reference/stripe.md` b.6).
pub(crate) fn preview(invoice: &wire::Invoice) -> Result<PreviewFact, NoWord> {
    let object = invoice.id.as_str();
    let lines = invoice.lines.iter().flat_map(|lines| &lines.data).map(|line| invoice_line(object, line));
    let lines: Vec<InvoiceLine> = lines.collect::<Result<_, _>>()?;
    let currency = currency(object, &invoice.currency)?;
    Ok(PreviewFact { currency, total: invoice.total, amount_due: invoice.amount_due, lines })
}

fn invoice_line(object: &str, line: &wire::InvoiceLine) -> Result<InvoiceLine, NoWord> {
    let parent = line.parent.as_ref();
    let source =
        parent.and_then(|parent| parent.subscription_item_details.as_ref().or(parent.invoice_item_details.as_ref()));
    let added = line.taxes.iter().flatten().filter(|tax| tax.tax_behavior.as_deref() == Some("exclusive"));
    let price = line.pricing.as_ref().and_then(|pricing| pricing.price_details.as_ref()?.price.as_ref());
    Ok(InvoiceLine {
        description: line.description.clone(),
        amount: Money::new(line.amount, currency(object, &line.currency)?),
        quantity: line.quantity,
        period: period(line.period.start, line.period.end),
        proration: source.and_then(|source| source.proration).unwrap_or(false),
        discount: line.discount_amounts.iter().flatten().map(|one| one.amount).sum(),
        tax_added: added.map(|tax| tax.amount).sum(),
        price_id: price.map(|price| price.id().to_owned()),
    })
}

fn invoice_status(object: &str, status: Option<&wire::InvoiceStatus>) -> Result<InvoiceStatus, NoWord> {
    Ok(match status {
        Some(wire::InvoiceStatus::Draft) => InvoiceStatus::Draft,
        Some(wire::InvoiceStatus::Open) => InvoiceStatus::Open,
        Some(wire::InvoiceStatus::Paid) => InvoiceStatus::Paid,
        Some(wire::InvoiceStatus::Void) => InvoiceStatus::Void,
        Some(wire::InvoiceStatus::Uncollectible) => InvoiceStatus::Uncollectible,
        Some(wire::InvoiceStatus::Other(status)) => return Err(no_word(object, "status", status)),
        None => return Err(no_word(object, "status", "null")),
    })
}

pub(crate) fn payment_method(method: &wire::PaymentMethod) -> Result<PaymentMethodFact, NoWord> {
    let customer = method.customer.as_ref();
    Ok(PaymentMethodFact {
        payment_method_id: payment_method_id(&method.id, &method.id)?,
        customer_id: customer.map(|found| word(&method.id, "customer", found.id(), CustomerId::parse)).transpose()?,
    })
}

pub(crate) fn webhook_endpoint(endpoint: wire::WebhookEndpoint) -> WebhookEndpointFact {
    WebhookEndpointFact {
        endpoint_id: endpoint.id,
        url: endpoint.url,
        enabled: endpoint.status.as_deref() == Some("enabled"),
        secret: endpoint.secret.map(SecretString::from),
    }
}

pub(crate) fn event(event: &wire::Event) -> Result<EventHint, NoWord> {
    let object = &event.data.object;
    let kind = object_kind(object.object.as_deref());
    let former = event.data.previous_attributes.as_ref().and_then(|former| former.customer.as_ref());
    let customer = match kind {
        ObjectKind::Customer => object.id.as_deref(),
        _ => object.customer.as_ref().or(former).map(wire::Expandable::id),
    };
    Ok(EventHint {
        event_id: event.id.clone(),
        account: event.account.clone().unwrap_or_default(),
        kind: event.kind.clone(),
        created: Timestamp::from_seconds(event.created),
        object: ObjectRef { kind, id: object.id.clone().unwrap_or_default() },
        customer_id: customer.map(|id| word(&event.id, "data.object.customer", id, CustomerId::parse)).transpose()?,
        api_version: event.api_version.clone(),
        live: event.livemode.unwrap_or(false),
    })
}

fn object_kind(word: Option<&str>) -> ObjectKind {
    match word {
        Some("customer") => ObjectKind::Customer,
        Some("subscription") => ObjectKind::Subscription,
        Some("invoice") => ObjectKind::Invoice,
        Some("payment_method") => ObjectKind::PaymentMethod,
        Some("setup_intent") => ObjectKind::SetupIntent,
        Some("checkout.session") => ObjectKind::Checkout,
        Some("refund") => ObjectKind::Refund,
        _ => ObjectKind::Other,
    }
}

/// What a change left open to be paid.
pub(crate) enum OpenPayment {
    /// Nothing.
    Nothing,
    /// Something, without a payment that could be confirmed.
    Unknown,
    /// Something, by this payment intent.
    Intent(String),
}

/// A change waits for its payment when Stripe holds it as a pending update, or when the first payment is missing.
pub(crate) fn open_payment(subscription: &wire::Subscription) -> OpenPayment {
    let first_missing = subscription.status == wire::SubscriptionStatus::Incomplete;
    if subscription.pending_update.is_none() && !first_missing {
        return OpenPayment::Nothing;
    }
    let invoice = subscription.latest_invoice.as_ref().and_then(wire::Expandable::object);
    let secret = invoice.and_then(|invoice| invoice.confirmation_secret.as_ref());
    let secret = secret.and_then(|confirmation| confirmation.client_secret.as_deref());
    match secret.and_then(intent_of_secret) {
        Some(intent) => OpenPayment::Intent(intent.to_owned()),
        None => OpenPayment::Unknown,
    }
}

/// A client secret is `<payment intent>_secret_<random>`; the invoice names its intent nowhere nearer.
pub(crate) fn intent_of_secret(secret: &str) -> Option<&str> {
    secret.split_once("_secret_").map(|(intent, _)| intent)
}

pub(crate) fn payment(intent: wire::PaymentIntent) -> Payment {
    match (intent.status.as_str(), intent.client_secret) {
        ("succeeded" | "processing", _) => Payment::Settled,
        ("requires_action" | "requires_confirmation", Some(secret)) => {
            Payment::ActionRequired { client_secret: SecretString::from(secret) }
        }
        _ => Payment::Declined,
    }
}

fn payment_method_id(object: &str, id: &str) -> Result<PaymentMethodId, NoWord> {
    word(object, "payment_method", id, PaymentMethodId::parse)
}

fn currency(object: &str, code: &str) -> Result<Currency, NoWord> {
    word(object, "currency", code, Currency::parse)
}

fn period(start: i64, end: i64) -> Period {
    Period::new(Timestamp::from_seconds(start), Timestamp::from_seconds(end))
}

fn word<T, E>(
    object: &str,
    field: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, NoWord> {
    parse(text).map_err(|_| no_word(object, field, text))
}

fn no_word(object: &str, field: &'static str, value: &str) -> NoWord {
    NoWord { object: object.to_owned(), field, value: value.to_owned() }
}
