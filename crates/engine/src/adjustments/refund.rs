//! Gives money of a paid invoice back to the card it was paid with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use tollgate_connectors::billing::NewRefund;
use tollgate_rules::ids::InvoiceId;
use tollgate_rules::money::Money;

use super::record::{self, Frozen};
use super::{Adjustment, Error, Recorded};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::invoices;
use crate::operations::{Kind, Run, Stop};
use crate::subscriptions::{self, stop};

/// A refund that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Of which invoice.
    pub invoice_id: InvoiceId,
    /// How much; all that is left where nothing is said.
    pub amount: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    invoice_id: InvoiceId,
    refund: NewRefund,
}

/// Gives money back.
///
/// # Errors
/// [`Error::NotFound`] for an invoice that is not this org's; [`Error::Wrong`] above what is left of the payment.
pub async fn refund(engine: &Engine, scope: &OrgScope, asked: Refund, reason: &str) -> Result<Recorded, Error> {
    let reason = record::reason(reason)?;
    {
        let mut connection = engine.read_for(scope).await?;
        let invoice = invoices::sql::stored(&mut connection, scope.org_key(), &asked.invoice_id).await?;
        invoice.ok_or(Error::NotFound)?;
    }
    let refundable = engine.billing().refundable(&asked.invoice_id).await?;
    let refundable = refundable.ok_or_else(|| Error::wrong("invoiceId", "nothing of this invoice was paid by card"))?;
    let left = refundable.left.minor;
    let amount = asked.amount.unwrap_or(left);
    if left == 0 {
        return Err(Error::wrong("amount", "all that was paid has been given back already"));
    }
    if !(1..=left).contains(&amount) {
        return Err(Error::wrong("amount", format!("must be from 1 to the {left} that can still be given back")));
    }
    let refund = NewRefund { payment_intent_id: refundable.payment_intent_id, amount };
    let request = Request { invoice_id: asked.invoice_id, refund };
    record::make(engine, scope, Kind::RefundCreate, (reason, request)).await
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let Frozen { why, request: Request { invoice_id, refund } } = run.body()?;
    let (engine, mark) = (run.engine().clone(), run.id().to_owned());
    let forgotten = subscriptions::keys_are_forgotten(run);
    let (refund_id, amount, status): (String, Money, String) = run
        .step("refund", |key| async move {
            if forgotten && let Some(found) = engine.billing().find_refund(&mark, &refund).await.map_err(stop)? {
                return Ok((found.refund_id, found.amount, found.status));
            }
            let made = engine.billing().create_refund(&key, &mark, &refund).await.map_err(stop)?;
            Ok((made.refund_id, made.amount, made.status))
        })
        .await?;
    record::write(run, why, Adjustment::Refund { refund_id, invoice_id, amount, status }).await
}
