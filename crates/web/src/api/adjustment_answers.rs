//! What was given, as routes and lists tell it.

use serde::Serialize;
use serde_json::Number;
use tollgate_engine::adjustments::{Adjustment, Lasting, Off, Recorded};
use utoipa::ToSchema;

/// Why, by whom and when something was given.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Given {
    /// Whose.
    org_id: String,
    /// Why.
    reason: String,
    /// By whom.
    actor: String,
    /// When.
    created_at: String,
    /// The operation that made it (`op_…`).
    operation_id: String,
}

/// A coupon.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CouponAnswer {
    /// Stripe's id of the coupon.
    coupon_id: String,
    /// The percentage, where it is one.
    #[schema(value_type = Option<f64>)]
    percent_off: Option<Number>,
    /// The amount in minor units, where it is one.
    amount_off: Option<i64>,
    /// Of the amount.
    currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    duration: &'static str,
    /// For how many months.
    duration_in_months: Option<i64>,
    /// Whether the org's subscription got it at once.
    applied: bool,
    #[serde(flatten)]
    given: Given,
}

/// A promotion code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromotionAnswer {
    /// Stripe's id of the promotion code.
    promotion_id: String,
    /// The word.
    code: String,
    /// What it gives.
    coupon_id: String,
    #[serde(flatten)]
    given: Given,
}

/// Credit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreditAnswer {
    /// Stripe's id of the entry in the org's balance.
    credit_id: String,
    /// In minor units.
    amount: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// All the credit there was after it, in minor units; negative where something was owed.
    credit_left: i64,
    #[serde(flatten)]
    given: Given,
}

/// A refund.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundAnswer {
    /// Stripe's id of the refund.
    refund_id: String,
    /// Of which invoice.
    invoice_id: String,
    /// In minor units.
    amount: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// Where it stands: `succeeded`, `pending`, `failed`, …
    status: String,
    #[serde(flatten)]
    given: Given,
}

/// A credit note.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreditNoteAnswer {
    /// Stripe's id of the credit note.
    credit_note_id: String,
    /// Of which invoice.
    invoice_id: String,
    /// The number printed on it.
    number: String,
    /// What it comes to, in minor units.
    total: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// The refund it made.
    refund_id: Option<String>,
    /// Where that stands, once Stripe told.
    refund_status: Option<String>,
    #[serde(flatten)]
    given: Given,
}

/// Any of them; each route gives one kind.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Told {
    Coupon(CouponAnswer),
    Promotion(PromotionAnswer),
    Credit(CreditAnswer),
    Refund(RefundAnswer),
    CreditNote(CreditNoteAnswer),
}

impl From<&Recorded> for Told {
    fn from(recorded: &Recorded) -> Self {
        let given = Given {
            org_id: recorded.org_id.clone(),
            reason: recorded.reason.clone(),
            actor: recorded.actor.clone(),
            created_at: recorded.created_at.to_string(),
            operation_id: recorded.adjustment_id.clone(),
        };
        told(recorded.adjustment.clone(), given)
    }
}

fn told(made: Adjustment, given: Given) -> Told {
    match made {
        Adjustment::Coupon { coupon_id, off, lasting, applied } => {
            Told::Coupon(coupon(coupon_id, &off, lasting, (applied, given)))
        }
        Adjustment::Promotion { promotion_id, code, coupon_id } => {
            Told::Promotion(PromotionAnswer { promotion_id, code, coupon_id, given })
        }
        Adjustment::Credit { credit_id, amount, credit_left } => Told::Credit(CreditAnswer {
            credit_id,
            amount: amount.minor,
            currency: amount.currency.to_string(),
            credit_left,
            given,
        }),
        Adjustment::Refund { refund_id, invoice_id, amount, status } => Told::Refund(RefundAnswer {
            refund_id,
            invoice_id: invoice_id.to_string(),
            amount: amount.minor,
            currency: amount.currency.to_string(),
            status,
            given,
        }),
        Adjustment::CreditNote { credit_note_id, invoice_id, number, total, refund_id, refund_status } => {
            Told::CreditNote(CreditNoteAnswer {
                credit_note_id,
                invoice_id: invoice_id.to_string(),
                number,
                total: total.minor,
                currency: total.currency.to_string(),
                refund_id,
                refund_status,
                given,
            })
        }
    }
}

fn coupon(coupon_id: String, off: &Off, lasting: Lasting, (applied, given): (bool, Given)) -> CouponAnswer {
    let (percent_off, amount) = match off {
        // What was read as a number is one.
        Off::Percent(percent) => (percent.parse().ok(), None),
        Off::Amount(amount) => (None, Some(amount)),
    };
    let (duration, duration_in_months) = match lasting {
        Lasting::Once => ("once", None),
        Lasting::Months(months) => ("repeating", Some(months)),
        Lasting::Forever => ("forever", None),
    };
    CouponAnswer {
        coupon_id,
        percent_off,
        amount_off: amount.map(|amount| amount.minor),
        currency: amount.map(|amount| amount.currency.to_string()),
        duration,
        duration_in_months,
        applied,
        given,
    }
}
