//! From a draft to money: finalizing, charging, repeating, and what the outcome means for the invoice.
//!
//! A failed renewal is tried again 3, then 5, then 7 days later (one of the schedules Stripe offers); what the outcomes
//! mean for the subscription is decided in `life.rs`.

use serde_json::{Value, json};

use super::balance_transactions::{self, Entry};
use super::payment_intents::{self, Attempt};
use super::payment_methods::{self, Refusal};
use super::{invoice_drafts, invoice_payments, life, metered};
use crate::api_error::ApiError;
use crate::calendar::DAY;
use crate::desk::{Desk, Done, id_in, int, text};

/// Task: a draft becomes final and is charged.
pub(super) const FINALIZE: &str = "invoice.finalize";
/// Task: an open invoice is charged again.
pub(super) const RETRY: &str = "invoice.retry";

/// Days from each failed attempt to the next.
const RETRY_DAYS: [i64; 3] = [3, 5, 7];

/// Whether a failure plans the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    RetryLater,
    Stop,
}

/// How collecting an invoice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collected {
    Paid,
    Declined(Refusal),
    NeedsAction,
    NoMethod,
}

/// The draft is an hour old.
pub(super) fn finalize_and_collect(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let invoice = desk.need("invoice", id)?;
    if invoice["status"] != "draft" || invoice["auto_advance"] != true {
        return Ok(());
    }
    if needs_place(&invoice) {
        return cannot_finalize(desk, &invoice);
    }
    let invoice = finalize(desk, &invoice)?;
    if invoice["status"] == "open" { attempt(desk, &invoice) } else { Ok(()) }
}

/// Whether automatic tax does not know where the customer is.
fn needs_place(invoice: &Value) -> bool {
    invoice["automatic_tax"]["status"] == "requires_location_inputs"
}

/// The draft stays one until somebody acts.
fn cannot_finalize(desk: &mut Desk<'_>, invoice: &Value) -> Done<()> {
    let mut after = invoice.clone();
    after["automatically_finalizes_at"] = Value::Null;
    after["last_finalization_error"] = json!({
        "type": "invalid_request_error", "code": "customer_tax_location_invalid",
        "message": "The customer's location is needed to calculate tax automatically.",
    });
    desk.save(&after)?;
    desk.emit("invoice.finalization_failed", &after, None)
}

/// The next attempt is due.
pub(super) fn retry(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let invoice = desk.need("invoice", id)?;
    if invoice["status"] == "open" { attempt(desk, &invoice) } else { Ok(()) }
}

fn attempt(desk: &mut Desk<'_>, invoice: &Value) -> Done<()> {
    match collect(desk, invoice, None, Then::RetryLater)? {
        Collected::Paid => Ok(()),
        _ => life::payment_failed(desk, text(invoice, "id")),
    }
}

/// Draft → open with its number and payment intent; paid at once when nothing is due.
pub(super) fn finalize(desk: &mut Desk<'_>, draft: &Value) -> Done {
    if needs_place(draft) {
        let message = "The customer's location is needed to calculate tax automatically.";
        return Err(ApiError::invalid(message).code("customer_tax_location_invalid"));
    }
    let mut invoice = metered::refresh(desk, draft)?;
    let before = desk.need("customer", id_in(&draft["customer"]).unwrap_or_default())?;
    let mut customer = before.clone();
    let now = desk.now_of(draft)?;
    let id = text(draft, "id").to_owned();
    invoice_drafts::settle_amounts(&mut invoice, &customer);
    let sequence = int(&customer, "next_invoice_sequence").max(1);
    invoice["number"] = format!("{}-{sequence:04}", text(&customer, "invoice_prefix")).into();
    invoice["ending_balance"] = invoice["_balance_after"].clone();
    customer["balance"] = invoice["_balance_after"].clone();
    customer["next_invoice_sequence"] = (sequence + 1).into();
    invoice["status"] = "open".into();
    invoice["effective_at"] = now.into();
    invoice["automatically_finalizes_at"] = Value::Null;
    invoice["status_transitions"]["finalized_at"] = now.into();
    invoice["hosted_invoice_url"] = format!("{}/hosted/invoices/{id}", desk.premises.base_url).into();
    invoice["invoice_pdf"] = format!("{}/hosted/invoices/{id}?format=pdf", desk.premises.base_url).into();
    if int(&invoice, "amount_due") > 0 {
        let intent = payment_intents::create_for(desk, &invoice)?;
        invoice_payments::create(desk, &invoice, &intent)?;
        invoice["_payment_intent"] = intent["id"].clone();
    }
    desk.save(&invoice)?;
    desk.save(&customer)?;
    if customer["balance"] != before["balance"] {
        let amount = int(&customer, "balance") - int(&before, "balance");
        let small = int(&invoice, "total") > 0 && amount > 0;
        let kind = if small { "invoice_too_small" } else { "applied_to_invoice" };
        let entry = Entry { amount, kind, invoice: Some(&id), credit_note: None };
        balance_transactions::note(desk, &customer, int(&customer, "balance"), &entry)?;
        desk.emit("customer.updated", &customer, Some(json!({ "balance": before["balance"] })))?;
    }
    desk.tx.disappoint(FINALIZE, &id)?;
    desk.emit("invoice.finalized", &invoice, None)?;
    if int(&invoice, "amount_due") == 0 { mark_paid(desk, &invoice) } else { Ok(invoice) }
}

/// Tries to charge an open invoice with `method`, or with the one its subscription or customer names.
pub(super) fn collect(desk: &mut Desk<'_>, invoice: &Value, method: Option<&str>, then: Then) -> Done<Collected> {
    let intent = desk.need("payment_intent", text(invoice, "_payment_intent"))?;
    let method = match method {
        Some(method) => Some(method.to_owned()),
        None => effective_method(desk, invoice)?,
    };
    let Some(method) = method else {
        failed(desk, invoice, then, "invoice.payment_failed")?;
        return Ok(Collected::NoMethod);
    };
    let method = payment_methods::resolve(desk, &method, crate::desk::clock_of(invoice).as_deref())?;
    match payment_intents::charge(desk, &intent, &method)? {
        Attempt::Paid => {
            let mut paid = invoice.clone();
            paid["attempted"] = true.into();
            paid["attempt_count"] = (int(invoice, "attempt_count") + 1).into();
            mark_paid(desk, &paid)?;
            Ok(Collected::Paid)
        }
        Attempt::Declined(refusal) => {
            failed(desk, invoice, then, "invoice.payment_failed")?;
            Ok(Collected::Declined(refusal))
        }
        Attempt::NeedsAction => {
            let failed = failed(desk, invoice, then, "invoice.payment_action_required")?;
            desk.emit("invoice.payment_failed", &failed, None)?;
            Ok(Collected::NeedsAction)
        }
    }
}

fn failed(desk: &mut Desk<'_>, invoice: &Value, then: Then, event: &str) -> Done {
    let mut invoice = invoice.clone();
    let attempts = int(&invoice, "attempt_count") + 1;
    invoice["attempted"] = true.into();
    invoice["attempt_count"] = attempts.into();
    invoice["next_payment_attempt"] = Value::Null;
    let wait = usize::try_from(attempts - 1).ok().and_then(|index| RETRY_DAYS.get(index));
    if let (Then::RetryLater, Some(days)) = (then, wait) {
        let next = desk.now_of(&invoice)? + days * DAY;
        invoice["next_payment_attempt"] = next.into();
        desk.appoint(&invoice, RETRY, next)?;
    }
    desk.save(&invoice)?;
    desk.emit(event, &invoice, None)?;
    Ok(invoice)
}

/// Open → paid; the subscription hears of it.
pub(super) fn mark_paid(desk: &mut Desk<'_>, invoice: &Value) -> Done {
    let mut paid = invoice.clone();
    paid["status"] = "paid".into();
    paid["amount_paid"] = invoice["amount_due"].clone();
    paid["amount_remaining"] = 0.into();
    paid["auto_advance"] = false.into();
    paid["attempted"] = true.into();
    paid["next_payment_attempt"] = Value::Null;
    paid["status_transitions"]["paid_at"] = desk.now_of(invoice)?.into();
    desk.tx.clear_agenda(text(invoice, "id"))?;
    desk.save(&paid)?;
    invoice_payments::end(desk, &paid, "paid")?;
    desk.emit("invoice.paid", &paid, None)?;
    desk.emit("invoice.payment_succeeded", &paid, None)?;
    life::invoice_paid(desk, &paid)?;
    Ok(paid)
}

/// Ends an open invoice that will not be paid: `void` or `uncollectible`.
pub(super) fn give_up(desk: &mut Desk<'_>, invoice: &Value, status: &str) -> Done {
    let mut after = invoice.clone();
    after["status"] = status.into();
    after["auto_advance"] = false.into();
    after["next_payment_attempt"] = Value::Null;
    let (transition, event) = match status {
        "void" => ("voided_at", "invoice.voided"),
        _ => ("marked_uncollectible_at", "invoice.marked_uncollectible"),
    };
    after["status_transitions"][transition] = desk.now_of(invoice)?.into();
    desk.tx.clear_agenda(text(invoice, "id"))?;
    desk.save(&after)?;
    if status == "void" {
        invoice_payments::end(desk, &after, "canceled")?;
        if let Some(intent) = invoice["_payment_intent"].as_str() {
            payment_intents::cancel(desk, intent, "void_invoice")?;
        }
    }
    desk.emit(event, &after, None)?;
    Ok(after)
}

/// Pays the invoice of an intent that the customer confirmed.
pub(super) fn pay_by_intent(desk: &mut Desk<'_>, intent: &Value, method: Option<&str>) -> Done<()> {
    let invoice = desk.need("invoice", text(intent, "_invoice"))?;
    if invoice["status"] != "open" {
        return Ok(());
    }
    match collect(desk, &invoice, method, Then::Stop)? {
        Collected::Paid | Collected::NeedsAction => Ok(()),
        Collected::Declined(refusal) => Err(declined(refusal)),
        Collected::NoMethod => {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            Err(ApiError::invalid(message).code("payment_intent_unexpected_state"))
        }
    }
}

/// The 402 of a decline.
pub(super) fn declined(Refusal(code, decline_code, message): Refusal) -> ApiError {
    ApiError::card(code, decline_code, message)
}

/// The payment method used for an invoice: its own, else the subscription's, else the customer's.
pub(super) fn effective_method(desk: &mut Desk<'_>, invoice: &Value) -> Done<Option<String>> {
    if let Some(method) = id_in(&invoice["default_payment_method"]) {
        return Ok(Some(method.to_owned()));
    }
    match invoice["parent"]["subscription_details"]["subscription"].as_str() {
        Some(subscription) => {
            let subscription = desk.need("subscription", subscription)?;
            method_of(desk, &subscription)
        }
        None => method_of(desk, &json!({ "customer": invoice["customer"] })),
    }
}

/// The payment method a subscription would charge: its own, else the customer's.
pub(super) fn method_of(desk: &mut Desk<'_>, subscription: &Value) -> Done<Option<String>> {
    if let Some(method) = id_in(&subscription["default_payment_method"]) {
        return Ok(Some(method.to_owned()));
    }
    let customer = desk.need("customer", id_in(&subscription["customer"]).unwrap_or_default())?;
    Ok(id_in(&customer["invoice_settings"]["default_payment_method"]).map(str::to_owned))
}
