//! Coupons, promotion codes, balance entries, refunds and credit notes as Stripe sends them.

use serde::Deserialize;

use super::{Expandable, Metadata};

/// A coupon; a deleted one has its id only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Coupon {
    /// The id it was made under.
    pub id: String,
    /// Whether it can be redeemed.
    #[serde(default)]
    pub valid: bool,
    /// Whether it is gone.
    #[serde(default)]
    pub deleted: bool,
}

/// The mark of the operation that made an object.
pub const OPERATION_MARK: &str = "tollgate_operation";

/// Whether an object with these pairs was made by this operation.
pub fn is_marked(metadata: Option<&Metadata>, operation: &str) -> bool {
    metadata.and_then(|pairs| pairs.get(OPERATION_MARK)).is_some_and(|mark| mark == operation)
}

/// A promotion code.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PromotionCode {
    /// `promo_…`
    pub id: String,
    /// The word.
    pub code: String,
    /// Free pairs.
    pub metadata: Option<Metadata>,
}

/// An entry of a customer's balance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BalanceTransaction {
    /// `cbtxn_…`
    pub id: String,
    /// Minor units; negative is credit.
    pub ending_balance: i64,
    /// Free pairs.
    pub metadata: Option<Metadata>,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// Minor units.
    pub amount: i64,
    /// Lower case ISO 4217.
    pub currency: String,
    /// `succeeded`, `pending`, …
    pub status: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Free pairs.
    pub metadata: Option<Metadata>,
}

/// A credit note.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CreditNote {
    /// `cn_…`
    pub id: String,
    /// The number printed on it.
    pub number: String,
    /// Minor units.
    pub total: i64,
    /// Lower case ISO 4217.
    pub currency: String,
    /// The refunds it made.
    #[serde(default)]
    pub refunds: Vec<NoteRefund>,
    /// Free pairs.
    pub metadata: Option<Metadata>,
}

/// A refund that a credit note made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NoteRefund {
    /// Which one.
    pub refund: Expandable<super::Reference>,
}

/// What an invoice was paid with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InvoicePayment {
    /// `inpay_…`
    pub id: String,
    /// By what.
    pub payment: PaidBy,
}

/// The payment of an invoice.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaidBy {
    /// `pi_…`, for payments by card.
    pub payment_intent: Option<String>,
}

/// A payment intent with the charge it succeeded with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaidIntent {
    /// `pi_…`
    pub id: String,
    /// The charge, expanded.
    pub latest_charge: Option<Charge>,
}

/// A charge.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Charge {
    /// `ch_…`
    pub id: String,
    /// Minor units.
    pub amount_captured: i64,
    /// Minor units.
    pub amount_refunded: i64,
    /// Lower case ISO 4217.
    pub currency: String,
}
