//! The one door through which invoices enter.

use tollgate_rules::billing::{InvoiceFact, InvoiceStatus};
use tollgate_rules::ids::OrgKey;

use super::sql;

use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::{audit, topups};

/// Overwrites an org's invoice with what was fetched; says whether that changed anything.
pub(crate) async fn apply_fact(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    fact: &InvoiceFact,
) -> Result<bool, Error> {
    let known = sql::stored(tx, org_key, &fact.invoice_id).await?;
    if known.as_ref() == Some(fact) {
        return Ok(false);
    }
    sql::put(tx, org_key, fact, engine.clock().wall.now()).await?;
    if fact.status == InvoiceStatus::Paid && fact.subscription_id.is_none() {
        // What was bought with it is given in the same transaction, whoever hears of the payment first.
        topups::paid(engine, tx, org_key, &fact.invoice_id).await?;
    }
    // The address of an invoice's page is renewed by billing now and then, which changes nothing about the invoice.
    if known.as_ref().is_some_and(|known| InvoiceFact { url: fact.url.clone(), ..known.clone() } == *fact) {
        return Ok(false);
    }
    let entry = audit::Entry::by_system("billing", org_key, "invoice.updated", fact.invoice_id.as_str());
    let entry = match &known {
        Some(before) => entry.before(summary(before)),
        None => entry,
    };
    audit::append(engine, tx, entry.after(summary(fact))).await?;
    Ok(true)
}

/// What the audit keeps of an invoice; the lines stay in `invoice_refs`.
fn summary(fact: &InvoiceFact) -> serde_json::Value {
    serde_json::json!({
        "status": fact.status.as_str(),
        "number": fact.number,
        "total": fact.total.minor,
        "amountDue": fact.amount_due,
        "amountPaid": fact.amount_paid,
        "currency": fact.total.currency.as_str(),
        "lines": fact.lines.len(),
    })
}
