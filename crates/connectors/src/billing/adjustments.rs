//! What an operator gives or gives back: coupons, promotion codes, credit, refunds, credit notes.
//!
//! Each request names the operation that makes it (`tollgate_operation` in the object's metadata): where the answer was lost
//! for longer than keys are kept, the object is looked for by that mark before anything is sent again.

use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, InvoiceId, SubscriptionId};
use tollgate_rules::money::Money;
use tollgate_rules::time::Timestamp;

use super::{Billing, Error, IdempotencyKey};
use crate::stripe::{translate, wire};

/// What a coupon takes off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// A percentage, as decimal text above 0 up to 100.
    Percent(String),
    /// An amount.
    Amount(Money),
}

/// How long a coupon takes it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// Off the first invoice that charges something.
    Once,
    /// For so many months.
    Months(i64),
    /// As long as the subscription lasts.
    Forever,
}

/// A coupon to be made, under an id of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCoupon {
    /// Our id.
    pub coupon_id: String,
    /// What customers read on invoices.
    pub name: Option<String>,
    /// What it takes off.
    pub off: Off,
    /// How long.
    pub lasting: Lasting,
    /// How often it can be redeemed.
    pub redemptions_max: Option<i64>,
    /// Until when it can be redeemed.
    pub redeem_by: Option<Timestamp>,
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponFact {
    /// Its id.
    pub coupon_id: String,
    /// Whether it can be redeemed.
    pub valid: bool,
}

/// A promotion code to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPromotion {
    /// What it gives.
    pub coupon_id: String,
    /// The word; billing makes one up where none is given.
    pub code: Option<String>,
    /// Only this customer may redeem it.
    pub customer_id: Option<CustomerId>,
    /// How often it can be redeemed.
    pub redemptions_max: Option<i64>,
    /// Until when it can be redeemed.
    pub expires_at: Option<Timestamp>,
    /// Only customers who never paid may redeem it.
    pub first_time_only: bool,
}

/// A promotion code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionFact {
    /// Its id.
    pub promotion_id: String,
    /// The word.
    pub code: String,
}

/// Credit for a customer: it pays the next invoices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCredit {
    /// Whose.
    pub customer_id: CustomerId,
    /// How much; positive.
    pub amount: Money,
}

/// An entry of a customer's balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditFact {
    /// Its id.
    pub credit_id: String,
    /// The credit that the customer has after it, in minor units; negative where money is owed.
    pub credit_left: i64,
}

/// Money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRefund {
    /// The payment it goes back to.
    pub payment_intent_id: String,
    /// How much, in the payment's currency.
    pub amount: i64,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFact {
    /// Its id.
    pub refund_id: String,
    /// How much.
    pub amount: Money,
    /// `succeeded`, `pending`, `failed`, …; an open list.
    pub status: String,
    /// Why it failed, in billing's word.
    pub failure: Option<String>,
}

impl RefundFact {
    /// The money did not arrive, and will not by itself.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "canceled")
    }
}

/// A credit note of an invoice; the three parts are for what was paid already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCreditNote {
    /// Of which invoice.
    pub invoice_id: InvoiceId,
    /// What it takes back, tax included.
    pub amount: i64,
    /// Back to the card.
    pub refund: i64,
    /// To the customer's balance.
    pub credit: i64,
    /// Settled elsewhere.
    pub elsewhere: i64,
    /// What the customer reads on it.
    pub memo: Option<String>,
}

/// A credit note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditNoteFact {
    /// Its id; of a preview, none that exists.
    pub credit_note_id: String,
    /// The number printed on it.
    pub number: String,
    /// What it comes to.
    pub total: Money,
    /// The refund it made.
    pub refund_id: Option<String>,
}

/// What an invoice was paid with and what of that is still there to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refundable {
    /// The payment.
    pub payment_intent_id: String,
    /// What can still go back.
    pub left: Money,
}

impl Billing {
    /// Fetches a coupon.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn coupon(&self, coupon_id: &str) -> Result<Option<CouponFact>, Error> {
        let found = translate::found(self.stripe()?.coupon(coupon_id).await)?;
        Ok(found
            .filter(|coupon| !coupon.deleted)
            .map(|coupon| CouponFact { coupon_id: coupon.id, valid: coupon.valid }))
    }

    /// Makes a coupon under an id of ours.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_coupon(&self, key: &IdempotencyKey, new: &NewCoupon) -> Result<CouponFact, Error> {
        let coupon = self.stripe()?.create_coupon(key, new).await?.value;
        Ok(CouponFact { coupon_id: coupon.id, valid: coupon.valid })
    }

    /// Gives a coupon to a subscription, in the place of what it had.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn give_coupon(&self, key: &IdempotencyKey, to: &SubscriptionId, coupon_id: &str) -> Result<(), Error> {
        self.stripe()?.give_coupon(key, to.as_str(), coupon_id).await?;
        Ok(())
    }

    /// Makes a promotion code.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when the word is taken.
    pub async fn create_promotion(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewPromotion,
    ) -> Result<PromotionFact, Error> {
        Ok(translate::promotion(self.stripe()?.create_promotion(key, operation, new).await?.value))
    }

    /// The promotion code an operation made, when its answer was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_promotion(&self, operation: &str, new: &NewPromotion) -> Result<Option<PromotionFact>, Error> {
        let page = self.stripe()?.promotions(&new.coupon_id).await?.value;
        Ok(page
            .data
            .into_iter()
            .find(|one| wire::is_marked(one.metadata.as_ref(), operation))
            .map(translate::promotion))
    }

    /// Adds credit to a customer's balance.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when the customer pays in another currency.
    pub async fn create_credit(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewCredit,
    ) -> Result<CreditFact, Error> {
        Ok(translate::credit(self.stripe()?.create_credit(key, operation, new).await?.value))
    }

    /// The credit an operation gave, when its answer was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_credit(&self, operation: &str, new: &NewCredit) -> Result<Option<CreditFact>, Error> {
        let page = self.stripe()?.credits(new.customer_id.as_str()).await?.value;
        Ok(page.data.into_iter().find(|one| wire::is_marked(one.metadata.as_ref(), operation)).map(translate::credit))
    }

    /// The currency a customer pays in, once it is settled.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn customer_currency(&self, customer_id: &CustomerId) -> Result<Option<String>, Error> {
        Ok(self.stripe()?.customer(customer_id.as_str()).await?.value.currency)
    }

    /// What of an invoice can be given back to the card it was paid with; `None` when nothing was paid by card.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refundable(&self, invoice_id: &InvoiceId) -> Result<Option<Refundable>, Error> {
        let client = self.stripe()?;
        let payments = client.paid_with(invoice_id.as_str()).await?.value;
        let Some(intent) = payments.data.first().and_then(|payment| payment.payment.payment_intent.clone()) else {
            return Ok(None);
        };
        let paid = client.paid_intent(&intent).await?.value;
        Ok(translate::refundable(&paid)?)
    }

    /// Gives money back.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when it is more than is left.
    pub async fn create_refund(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewRefund,
    ) -> Result<RefundFact, Error> {
        Ok(translate::refund(self.stripe()?.create_refund(key, operation, new).await?.value)?)
    }

    /// Fetches a refund.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refund(&self, refund_id: &str) -> Result<Option<RefundFact>, Error> {
        let found = translate::found(self.stripe()?.refund(refund_id).await)?;
        found.map(|refund| Ok(translate::refund(refund)?)).transpose()
    }

    /// The refund an operation made, when its answer was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_refund(&self, operation: &str, new: &NewRefund) -> Result<Option<RefundFact>, Error> {
        let page = self.stripe()?.refunds(&new.payment_intent_id).await?.value;
        let found = page.data.into_iter().find(|one| wire::is_marked(one.metadata.as_ref(), operation));
        found.map(|refund| Ok(translate::refund(refund)?)).transpose()
    }

    /// What a credit note would be; nothing is made.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when it is more than is left of the invoice.
    pub async fn preview_credit_note(&self, new: &NewCreditNote) -> Result<CreditNoteFact, Error> {
        Ok(translate::credit_note(self.stripe()?.preview_credit_note(new).await?.value)?)
    }

    /// Makes a credit note.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when it is more than is left of the invoice.
    pub async fn create_credit_note(
        &self,
        key: &IdempotencyKey,
        operation: &str,
        new: &NewCreditNote,
    ) -> Result<CreditNoteFact, Error> {
        Ok(translate::credit_note(self.stripe()?.create_credit_note(key, operation, new).await?.value)?)
    }

    /// The credit note an operation made, when its answer was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_credit_note(
        &self,
        operation: &str,
        new: &NewCreditNote,
    ) -> Result<Option<CreditNoteFact>, Error> {
        let page = self.stripe()?.credit_notes(new.invoice_id.as_str()).await?.value;
        let found = page.data.into_iter().find(|one| wire::is_marked(one.metadata.as_ref(), operation));
        found.map(|note| Ok(translate::credit_note(note)?)).transpose()
    }
}
