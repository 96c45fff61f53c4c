//! Invoices that no subscription makes: something sold once, charged at once.

use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, InvoiceId, PaymentMethodId};
use tollgate_rules::money::Currency;

use super::{Billing, Error, IdempotencyKey, Payment};
use crate::stripe::{self, translate, wire};

/// A one-off invoice to be made; its items are added to the draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOneOff {
    /// Whose.
    pub customer_id: CustomerId,
    /// What it is charged in.
    pub currency: Currency,
    /// What it is charged to; left out, the customer's default.
    pub payment_method_id: Option<PaymentMethodId>,
    /// What the customer reads on it.
    pub description: String,
    /// Whether tax is worked out by where the customer is.
    #[serde(default)]
    pub automatic_tax: bool,
}

impl Billing {
    /// Makes the draft of a one-off invoice.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_one_off(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewOneOff,
    ) -> Result<InvoiceId, Error> {
        invoice_id(&self.stripe()?.create_one_off(key, operation, new).await?.value.id)
    }

    /// The one-off invoice an operation made, when its answer was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_one_off(&self, operation: &str, customer_id: &CustomerId) -> Result<Option<InvoiceId>, Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.stripe()?.one_offs(customer_id.as_str(), after.as_deref()).await?.value;
            if let Some(made) = page.data.iter().find(|one| wire::is_marked(one.metadata.as_ref(), operation)) {
                return invoice_id(&made.id).map(Some);
            }
            after = page.data.last().map(|one| one.id.clone()).filter(|_| page.has_more);
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// Charges a one-off invoice. One that is paid already stays paid.
    ///
    /// # Errors
    /// See [`Error`]; `Declined` with the bank's words when the card was refused: the invoice is open then.
    pub async fn pay_one_off(&self, key: &IdempotencyKey, id: &InvoiceId) -> Result<Payment, Error> {
        let client = self.stripe()?;
        let refused = match client.pay_one_off(key, id.as_str()).await.map_err(Error::from) {
            Ok(_) => return Ok(Payment::Settled),
            Err(error @ (Error::Declined { .. } | Error::Refused(_) | Error::StoredFailure(_))) => error,
            Err(error) => return Err(error),
        };
        // Whatever was answered under this key, the invoice says what became of it.
        match standing(client, id).await? {
            Payment::Declined => Err(refused),
            payment => Ok(payment),
        }
    }
}

async fn standing(client: &stripe::Client, id: &InvoiceId) -> Result<Payment, Error> {
    let invoice = client.one_off(id.as_str()).await?.value;
    if invoice.status == Some(wire::InvoiceStatus::Paid) {
        return Ok(Payment::Settled);
    }
    let secret = invoice.confirmation_secret.and_then(|secret| secret.client_secret);
    match secret.as_deref().and_then(translate::intent_of_secret) {
        Some(intent) => Ok(translate::payment(client.payment_intent(intent).await?.value)),
        None => Ok(Payment::Declined),
    }
}

fn invoice_id(text: &str) -> Result<InvoiceId, Error> {
    InvoiceId::parse(text).map_err(|error| Error::Garbled(error.to_string()))
}
