//! After a change at billing: fetch what it made of the customer, its subscriptions and what was charged, and let it in through the
//! same doors as a webhook would.

use tollgate_connectors::billing;
use tollgate_rules::billing::InvoiceFact;
use tollgate_rules::ids::CustomerId;

use super::apply_fact::{Applied, Cause, Fact, apply_fact};
use crate::db::Lane;
use crate::engine::Engine;
use crate::inbox::{Lease, Lost};
use crate::invoices;
use crate::operations::{Code, Refusal, Stop};

/// Fetches a customer with its subscriptions under its lease and applies what came. Whichever of this and the webhook comes first
/// wins; the second changes nothing.
pub(crate) async fn sync(engine: &Engine, cause: Cause, customer_id: &CustomerId) -> Result<(), Stop> {
    let lease = Lease::acquire(engine, customer_id.as_str()).await.map_err(lost)?;
    let (facts, invoices) = match fetch(engine, customer_id).await {
        Ok(fetched) => fetched,
        Err(error) => {
            lease.release(engine).await;
            return Err(stop(error));
        }
    };
    let inner = engine.clone();
    let write = async move {
        let mut tx = inner.db().begin(Lane::Control).await?;
        lease.hold(&mut tx).await?;
        let (mut of, mut changed) = (None, None);
        for fact in &facts {
            match apply_fact(&inner, &mut tx, &cause, fact).await? {
                Applied::Changed(org_key) => (of, changed) = (Some(org_key), Some(org_key)),
                Applied::Unchanged(org_key) => of = Some(org_key),
                Applied::Foreign => {}
            }
        }
        if let Some(org_key) = of {
            for invoice in &invoices {
                invoices::apply_fact(&inner, &mut tx, org_key, invoice).await?;
            }
        }
        lease.release_with(&mut tx).await?;
        tx.commit().await?;
        if let Some(org_key) = changed {
            inner.ledger().forget(org_key);
        }
        Ok::<_, Lost>(())
    };
    engine.db().detached(write).await.map_err(lost)
}

async fn fetch(engine: &Engine, customer_id: &CustomerId) -> Result<(Vec<Fact>, Vec<InvoiceFact>), billing::Error> {
    let billing = engine.billing();
    let mut facts: Vec<Fact> = billing.customer(customer_id).await?.map(Fact::Customer).into_iter().collect();
    let mut invoices = Vec::new();
    for subscription in billing.subscriptions_of(customer_id).await? {
        if let Some(latest) = subscription.latest_invoice.as_ref().filter(|_| subscription.ended_at.is_none()) {
            // Only so that whoever just paid finds it in the list at once: its webhook brings it in any case.
            invoices.extend(billing.invoice(latest).await.ok().flatten());
        }
        facts.push(Fact::Subscription(Box::new(subscription)));
    }
    Ok((facts, invoices))
}

/// What an error of billing means to an operation.
pub(crate) fn stop(error: billing::Error) -> Stop {
    let detail = error.to_string();
    let refuse = |code, message: String| Stop::Refused(Refusal { code, message, reason: None, client_secret: None });
    match error {
        billing::Error::Unavailable(_) => Stop::Later(detail),
        billing::Error::Declined { message, client_secret: Some(secret), .. } => Stop::Refused(Refusal {
            code: Code::PaymentActionRequired,
            message,
            reason: None,
            client_secret: Some(secret),
        }),
        billing::Error::Declined { message, reason, client_secret: None, .. } => {
            Stop::Refused(Refusal { code: Code::PaymentFailed, message, reason, client_secret: None })
        }
        billing::Error::Missing(_) => refuse(Code::Missing, detail),
        billing::Error::NoPlace(_) => refuse(Code::NoPlace, detail),
        billing::Error::BadTaxId(_) => refuse(Code::BadTaxId, detail),
        billing::Error::Credentials(_) => refuse(Code::Credentials, detail),
        billing::Error::Off => refuse(Code::Off, detail),
        billing::Error::StoredFailure(_) => Stop::Stuck(detail),
        billing::Error::Refused(_) | billing::Error::Garbled(_) => refuse(Code::Refused, detail),
    }
}

fn lost(error: Lost) -> Stop {
    match error {
        Lost::Busy | Lost::Overtaken => Stop::Later(error.to_string()),
        Lost::Database(error) => Stop::Database(error),
    }
}
