//! Fetches what a hint is about and writes it through the projection's one door.

use tollgate_connectors::billing::{CheckoutFact, CheckoutState, Error as BillingError, ObjectKind, RefundFact};
use tollgate_rules::billing::{CustomerFact, InvoiceFact, SubscriptionFact, SubscriptionStatus};
use tollgate_rules::ids::{CustomerId, InvoiceId, OrgId, OrgKey, SubscriptionId};

use super::Outcome;
use super::sql::{self, Work};
use crate::access::{OrgRef, OrgScope};
use crate::db::{self, Tx};
use crate::engine::Engine;
use crate::fault;
use crate::subscriptions::{self, Applied, Cause, Fact};
use crate::{adjustments, checkouts, invoices, ledger, orgs, plans};

/// An object as it is at billing, with what it hangs on: whose it is, and the subscription an invoice is for.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    customer: Option<CustomerFact>,
    subscription: Option<SubscriptionFact>,
    invoice: Option<InvoiceFact>,
    session: Option<CheckoutFact>,
    refund: Option<RefundFact>,
    /// The checkout of ours that makes an org out of all this, where the customer is of none yet.
    checkout: Option<String>,
    /// The object is of no org of ours; nothing else was fetched.
    foreign: bool,
}

/// What a write did.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) outcome: Outcome,
    /// Whose rights may have changed.
    org_key: Option<OrgKey>,
    /// The org that was made of it.
    made: Option<OrgId>,
}

/// Why an object could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Billing(#[from] BillingError),
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error("the stored id is none: {0}")]
    BadId(String),
}

/// Fetches an object. Only under the customer's lease.
///
/// The customer comes first: an object of somebody else's customer may hold anything and is looked at no further, and
/// the customer's mark is what finds the org when nothing else was heard of it yet.
pub(super) async fn fetch(engine: &Engine, work: &Work) -> Result<Fetched, FetchError> {
    let billing = engine.billing();
    let mut fetched = Fetched::default();
    if let Some(customer_id) = &work.customer_id {
        fetched.customer = billing.customer(customer_id).await?;
        if !is_ours(engine, customer_id, fetched.customer.as_ref()).await? {
            fetched.checkout = checkout_behind(engine, work).await?;
            if fetched.checkout.is_none() {
                return Ok(Fetched { foreign: true, ..Fetched::default() });
            }
        }
    }
    match sql::object_kind(work.object_kind) {
        ObjectKind::Subscription => {
            fetched.subscription = billing.subscription(&parse(SubscriptionId::parse(&work.object_id))?).await?;
        }
        ObjectKind::Invoice => {
            fetched.invoice = billing.invoice(&parse(InvoiceId::parse(&work.object_id))?).await?;
            let subscription = fetched.invoice.as_ref().and_then(|invoice| invoice.subscription_id.as_ref());
            if let Some(subscription_id) = subscription {
                fetched.subscription = billing.subscription(subscription_id).await?;
            }
        }
        ObjectKind::Checkout => {
            fetched.session = billing.checkout(&work.object_id).await?;
            let subscription = fetched.session.as_ref().and_then(|session| session.subscription_id.as_ref());
            if let Some(subscription_id) = subscription.filter(|_| fetched.customer.is_some()) {
                fetched.subscription = billing.subscription(subscription_id).await?;
            }
        }
        ObjectKind::Refund => fetched.refund = billing.refund(&work.object_id).await?,
        // What hangs on a payment method or its set-up is the customer's default.
        ObjectKind::Customer | ObjectKind::PaymentMethod | ObjectKind::SetupIntent | ObjectKind::Other => {}
    }
    Ok(fetched)
}

fn parse<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, FetchError> {
    parsed.map_err(|error| FetchError::BadId(error.to_string()))
}

async fn is_ours(engine: &Engine, customer_id: &CustomerId, fetched: Option<&CustomerFact>) -> Result<bool, db::Error> {
    let mut connection = engine.db().read().await?;
    if subscriptions::sql::customer_by_id(&mut connection, customer_id).await?.is_some() {
        return Ok(true);
    }
    match fetched.and_then(|customer| customer.org_id.as_ref()) {
        Some(org_id) => Ok(orgs::sql::org_key(&mut connection, org_id).await?.is_some()),
        None => Ok(false),
    }
}

/// The checkout of ours that an object of an unknown customer comes from: a mark of ours, with a row of ours.
async fn checkout_behind(engine: &Engine, work: &Work) -> Result<Option<String>, FetchError> {
    let billing = engine.billing();
    let subscription_id = match sql::object_kind(work.object_kind) {
        ObjectKind::Subscription => Some(parse(SubscriptionId::parse(&work.object_id))?),
        // What we have no words for is somebody else's.
        ObjectKind::Invoice => match billing.invoice(&parse(InvoiceId::parse(&work.object_id))?).await {
            Err(BillingError::Garbled(_)) => None,
            invoice => invoice?.and_then(|invoice| invoice.subscription_id),
        },
        ObjectKind::Checkout => match billing.checkout(&work.object_id).await {
            Err(BillingError::Garbled(_)) => None,
            session => session?.and_then(|session| session.subscription_id),
        },
        ObjectKind::Customer
        | ObjectKind::PaymentMethod
        | ObjectKind::SetupIntent
        | ObjectKind::Refund
        | ObjectKind::Other => None,
    };
    let Some(subscription_id) = subscription_id else { return Ok(None) };
    let Some(checkout_id) = billing.checkout_of_subscription(&subscription_id).await? else { return Ok(None) };
    let mut connection = engine.db().read().await?;
    Ok(checkouts::is_ours(&mut connection, &checkout_id).await?.then_some(checkout_id))
}

/// Overwrites the projection with what was fetched, in the caller's transaction.
pub(super) async fn write(
    engine: &Engine,
    tx: &mut Tx,
    corr_id: &str,
    fetched: &Fetched,
) -> Result<Written, db::Error> {
    if fetched.foreign {
        return Ok(Written { outcome: Outcome::Foreign, org_key: None, made: None });
    }
    let cause = Cause::Hint { worker: "inbox", corr_id: corr_id.to_owned() };
    let made = made_org(engine, tx, corr_id, fetched).await?;
    if fetched.checkout.is_some() && made.is_none() {
        return Ok(Written { outcome: Outcome::Foreign, org_key: None, made: None });
    }
    let mut written = Written { outcome: Outcome::Gone, org_key: None, made };
    if let Some(customer) = &fetched.customer {
        let org_id = written.made.clone().or_else(|| customer.org_id.clone());
        let fact = Fact::Customer(CustomerFact { org_id, ..customer.clone() });
        written.note(subscriptions::apply_fact(engine, tx, &cause, &fact).await?);
    }
    fault::point(engine, "inbox.apply.after_customer")?;
    if let Some(subscription) = &fetched.subscription {
        let fact = Fact::Subscription(Box::new(subscription.clone()));
        written.note(subscriptions::apply_fact(engine, tx, &cause, &fact).await?);
    }
    fault::point(engine, "inbox.apply.after_subscription")?;
    if let (Some(invoice), Some(org_key)) = (&fetched.invoice, written.org_key) {
        let changed = invoices::apply_fact(engine, tx, org_key, invoice).await?;
        written.note(if changed { Applied::Changed(org_key) } else { Applied::Unchanged(org_key) });
    }
    if let Some(refund) = &fetched.refund {
        let org_key = written.org_key;
        written.note(adjustments::follow_refund(engine, tx, org_key, refund).await?);
    }
    if let Some((checkout_id, state)) = fetched.session.as_ref().and_then(ended) {
        let org_key = checkouts::over(engine, tx, checkout_id, state == CheckoutState::Complete).await?;
        written.note(org_key.map_or(Applied::Foreign, Applied::Unchanged));
    }
    Ok(written)
}

/// The org that a checkout makes, once its subscription is there and paid or tried.
async fn made_org(engine: &Engine, tx: &mut Tx, corr_id: &str, fetched: &Fetched) -> Result<Option<OrgId>, db::Error> {
    let status = fetched.subscription.as_ref().map(|subscription| subscription.status);
    let waits = matches!(status, None | Some(SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired));
    match &fetched.checkout {
        Some(checkout_id) if !waits => checkouts::fulfil(engine, tx, corr_id, checkout_id).await,
        Some(_) | None => Ok(None),
    }
}

fn ended(session: &CheckoutFact) -> Option<(&str, CheckoutState)> {
    let checkout_id = session.checkout_id.as_deref()?;
    (session.state != CheckoutState::Open).then_some((checkout_id, session.state))
}

impl Written {
    fn note(&mut self, applied: Applied) {
        let (outcome, org_key) = match applied {
            Applied::Changed(org_key) => (Outcome::Applied, Some(org_key)),
            Applied::Unchanged(org_key) => (Outcome::Unchanged, Some(org_key)),
            Applied::Foreign => (Outcome::Foreign, None),
        };
        // One change among several facts is a change.
        if self.outcome != Outcome::Applied {
            self.outcome = outcome;
        }
        self.org_key = org_key.or(self.org_key);
    }
}

/// After the commit: no decision may be taken on what was known before. An org that was made has its counters at once; should this
/// fail, its first use opens them.
pub(super) async fn written(engine: &Engine, written: &Written) {
    let Some(org_key) = written.org_key else { return };
    if written.outcome == Outcome::Applied {
        engine.ledger().forget(org_key);
    }
    let Some(org_id) = &written.made else { return };
    engine.wake_workers();
    let org = OrgRef { key: org_key, id: org_id.clone() };
    let scope = OrgScope::restored(org, "system:checkout".to_owned(), String::new());
    let Some(metric) = plans::catalog(engine).metrics.keys().next().cloned() else { return };
    if let Err(error) = ledger::seed(engine, &scope, metric, None).await {
        tracing::warn!(%error, orgId = org_id.as_str(), "the counters of an org that a checkout made are opened later");
    }
}
