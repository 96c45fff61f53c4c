//! Fetches what a hint is about and writes it through the projection's one door.

use tollgate_connectors::billing::{Error as BillingError, ObjectKind};
use tollgate_rules::billing::{CustomerFact, InvoiceFact, SubscriptionFact};
use tollgate_rules::ids::{CustomerId, InvoiceId, OrgKey, SubscriptionId};

use super::Outcome;
use super::sql::{self, Work};
use crate::db::{self, Tx};
use crate::engine::Engine;
use crate::fault;
use crate::subscriptions::{self, Applied, Cause, Fact};
use crate::{invoices, orgs};

/// An object as it is at billing, with what it hangs on: whose it is, and the subscription an invoice is for.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    customer: Option<CustomerFact>,
    subscription: Option<SubscriptionFact>,
    invoice: Option<InvoiceFact>,
    /// The object is of no org of ours; nothing else was fetched.
    foreign: bool,
}

/// What a write did.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) outcome: Outcome,
    /// Whose rights may have changed.
    org_key: Option<OrgKey>,
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
            return Ok(Fetched { foreign: true, ..Fetched::default() });
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

/// Overwrites the projection with what was fetched, in the caller's transaction.
pub(super) async fn write(
    engine: &Engine,
    tx: &mut Tx,
    corr_id: &str,
    fetched: &Fetched,
) -> Result<Written, db::Error> {
    if fetched.foreign {
        return Ok(Written { outcome: Outcome::Foreign, org_key: None });
    }
    let cause = Cause::Hint { worker: "inbox", corr_id: corr_id.to_owned() };
    let mut written = Written { outcome: Outcome::Gone, org_key: None };
    if let Some(customer) = &fetched.customer {
        let fact = Fact::Customer(customer.clone());
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
    Ok(written)
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

/// After the commit: no decision may be taken on what was known before.
pub(super) fn written(engine: &Engine, written: &Written) {
    if let (Outcome::Applied, Some(org_key)) = (written.outcome, written.org_key) {
        engine.ledger().forget(org_key);
    }
}
