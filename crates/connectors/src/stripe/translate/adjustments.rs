//! Coupons, credits, refunds and credit notes: from Stripe's words to ours.

use tollgate_rules::money::Money;

use super::{NoWord, currency};
use crate::billing::{CreditFact, CreditNoteFact, PromotionFact, RefundFact, Refundable};
use crate::stripe::wire;

pub(crate) fn promotion(code: wire::PromotionCode) -> PromotionFact {
    PromotionFact { promotion_id: code.id, code: code.code }
}

/// Stripe books credit as a negative balance.
pub(crate) fn credit(entry: wire::BalanceTransaction) -> CreditFact {
    CreditFact { credit_id: entry.id, credit_left: -entry.ending_balance }
}

pub(crate) fn refund(refund: wire::Refund) -> Result<RefundFact, NoWord> {
    let amount = Money::new(refund.amount, currency(&refund.id, &refund.currency)?);
    let status = refund.status.unwrap_or_else(|| "pending".to_owned());
    Ok(RefundFact { refund_id: refund.id, amount, status, failure: refund.failure_reason })
}

pub(crate) fn credit_note(note: wire::CreditNote) -> Result<CreditNoteFact, NoWord> {
    let total = Money::new(note.total, currency(&note.id, &note.currency)?);
    let refund_id = note.refunds.first().map(|made| made.refund.id().to_owned());
    Ok(CreditNoteFact { credit_note_id: note.id, number: note.number, total, refund_id })
}

pub(crate) fn refundable(intent: &wire::PaidIntent) -> Result<Option<Refundable>, NoWord> {
    let Some(charge) = &intent.latest_charge else { return Ok(None) };
    let left = Money::new(charge.amount_captured - charge.amount_refunded, currency(&charge.id, &charge.currency)?);
    Ok(Some(Refundable { payment_intent_id: intent.id.clone(), left }))
}
