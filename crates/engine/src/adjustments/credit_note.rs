//! Takes a part of a finalized invoice back: lowers an open one, splits what a paid one gives back.

use serde_json::Value;

use tollgate_connectors::billing::NewCreditNote;
use tollgate_rules::billing::InvoiceStatus;
use tollgate_rules::ids::InvoiceId;
use tollgate_rules::money::Money;

use super::record::{self, Frozen};
use super::{Adjustment, Error, Recorded};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::invoices;
use crate::operations::{Kind, Run, Stop};
use crate::subscriptions::{self, stop};

/// A credit note that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditNote {
    /// Of which invoice.
    pub invoice_id: InvoiceId,
    /// What it takes back, tax included.
    pub amount: i64,
    /// Back to the card.
    pub refund: i64,
    /// To the org's credit.
    pub credit: i64,
    /// Settled elsewhere.
    pub elsewhere: i64,
    /// What the customer reads on it.
    pub memo: Option<String>,
}

/// Makes a credit note.
///
/// # Errors
/// [`Error::NotFound`] for an invoice that is not this org's; [`Error::Wrong`] where amount and parts do not fit the invoice.
pub async fn create_credit_note(
    engine: &Engine,
    scope: &OrgScope,
    asked: CreditNote,
    reason: &str,
) -> Result<Recorded, Error> {
    let reason = record::reason(reason)?;
    let request = checked(engine, scope, asked).await?;
    // Billing knows what earlier notes took: it refuses what is too much before anything is begun.
    engine.billing().preview_credit_note(&request).await?;
    record::make(engine, scope, Kind::CreditNoteCreate, (reason, request)).await
}

async fn checked(engine: &Engine, scope: &OrgScope, asked: CreditNote) -> Result<NewCreditNote, Error> {
    let invoice = {
        let mut connection = engine.read_for(scope).await?;
        invoices::sql::stored(&mut connection, scope.org_key(), &asked.invoice_id).await?
    };
    let invoice = invoice.ok_or(Error::NotFound)?;
    if !(1..=invoice.total.minor).contains(&asked.amount) {
        return Err(Error::wrong("amount", format!("must be from 1 to the invoice's {}", invoice.total.minor)));
    }
    let parts = [asked.refund, asked.credit, asked.elsewhere];
    if parts.iter().any(|part| *part < 0) {
        return Err(Error::wrong("refundAmount", "parts are not negative"));
    }
    let sum = parts.iter().fold(0_i64, |sum, part| sum.saturating_add(*part));
    match invoice.status {
        InvoiceStatus::Open if sum > 0 => {
            return Err(Error::wrong("refundAmount", "nothing was paid yet: the note only lowers what is due"));
        }
        InvoiceStatus::Paid if sum != asked.amount => {
            let message = "of a paid invoice, refundAmount, creditAmount and outOfBandAmount add up to amount";
            return Err(Error::wrong("refundAmount", message));
        }
        InvoiceStatus::Open | InvoiceStatus::Paid => {}
        InvoiceStatus::Draft | InvoiceStatus::Void | InvoiceStatus::Uncollectible => {
            return Err(Error::wrong("invoiceId", format!("the invoice is {}", invoice.status.as_str())));
        }
    }
    Ok(NewCreditNote {
        invoice_id: asked.invoice_id,
        amount: asked.amount,
        refund: asked.refund,
        credit: asked.credit,
        elsewhere: asked.elsewhere,
        memo: asked.memo,
    })
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen::<NewCreditNote> { why, request } = run.body()?;
    let invoice_id = request.invoice_id.clone();
    let (engine, mark) = (run.engine().clone(), run.id().to_owned());
    let forgotten = subscriptions::keys_are_forgotten(run);
    let (credit_note_id, number, total, refund_id): (String, String, Money, Option<String>) = run
        .step("credit_note", |key| async move {
            if forgotten && let Some(found) = engine.billing().find_credit_note(&mark, &request).await.map_err(stop)? {
                return Ok((found.credit_note_id, found.number, found.total, found.refund_id));
            }
            let made = engine.billing().create_credit_note(&key, &mark, &request).await.map_err(stop)?;
            Ok((made.credit_note_id, made.number, made.total, made.refund_id))
        })
        .await?;
    record::write(
        run,
        why,
        Adjustment::CreditNote { credit_note_id, invoice_id, number, total, refund_id, refund_status: None },
    )
    .await
}
