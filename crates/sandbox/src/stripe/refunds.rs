//! Refunds: money back from a charge, never more than is left of it.
//!
//! A refund to a card succeeds at once; to the test card `pm_card_refundFail` it is taken back a little later, and what the
//! charge had returned is there again.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route, proration};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, int, merge_metadata, text};
use crate::store::Keys;

/// Task: the bank sends a refund back.
pub(super) const FAIL: &str = "refund.fail";

const CREATE: &str =
    "payment_intent charge amount:int reason:(duplicate,fraudulent,requested_by_customer) metadata:map";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/refunds", CREATE, create),
    Route::list("/v1/refunds", "payment_intent charge created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/refunds/{id}", "", retrieve),
    Route::new("POST", "/v1/refunds/{id}", "metadata:map", update),
];

/// How long the bank of `pm_card_refundFail` takes.
const FAIL_SECONDS: i64 = 60;

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let charge = match (params["charge"].as_str(), params["payment_intent"].as_str()) {
        (Some(charge), _) => call.desk.need_param("charge", charge, "charge")?,
        (None, Some(intent)) => charge_of(call.desk, intent, "payment_intent")?,
        (None, None) => {
            let message = "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(ApiError::invalid(message).code("parameter_missing"));
        }
    };
    let left = int(&charge, "amount_captured") - int(&charge, "amount_refunded");
    let amount = params["amount"].as_i64().unwrap_or(left);
    let mut refund = pay_back(call.desk, &charge, amount)?;
    refund["reason"] = params.get("reason").cloned().unwrap_or(Value::Null);
    refund["metadata"] = merge_metadata(&Value::Null, &params["metadata"]);
    call.desk.save(&refund)?;
    tell(call.desk, &refund)?;
    Ok(refund)
}

/// The charge that a payment intent succeeded with.
pub(super) fn charge_of(desk: &mut Desk<'_>, intent: &str, param: &str) -> Done {
    let intent = desk.need_param("payment_intent", intent, param)?;
    let paid = intent["status"] == "succeeded";
    match id_in(&intent["latest_charge"]).filter(|_| paid) {
        Some(charge) => desk.need("charge", charge),
        None => {
            let message = "This PaymentIntent does not have a successful charge to refund.";
            Err(ApiError::invalid(message).code("payment_intent_unexpected_state").param(param))
        }
    }
}

/// Gives back a part of a charge; the refund is stored and not yet told of.
pub(super) fn pay_back(desk: &mut Desk<'_>, charge: &Value, amount: i64) -> Done {
    let left = int(charge, "amount_captured") - int(charge, "amount_refunded");
    let currency = text(charge, "currency");
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", text(charge, "id"));
        return Err(ApiError::invalid(message).code("charge_already_refunded"));
    }
    if !(1..=left).contains(&amount) {
        let message = format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})",
            proration::printed(amount, currency),
            proration::printed(left, currency)
        );
        return Err(ApiError::invalid(message).param("amount"));
    }
    let mut after = charge.clone();
    after["amount_refunded"] = (int(charge, "amount_refunded") + amount).into();
    after["refunded"] = (amount == left).into();
    desk.change(charge, after, "charge.refunded")?;
    let created = desk.now_of(charge)?;
    let (id, transaction) = (desk.id("re_", 24)?, desk.id("txn_", 24)?);
    let refund = json!({
        "id": id, "object": "refund", "amount": amount, "balance_transaction": transaction, "charge": charge["id"],
        "created": created, "currency": charge["currency"], "customer": charge["customer"], "customer_account": null,
        "destination_details": { "card": { "type": "refund" }, "type": "card" }, "metadata": {},
        "payment_intent": charge["payment_intent"], "payment_method": charge["payment_method"], "reason": null,
        "receipt_number": null, "source_transfer_reversal": null, "status": "succeeded", "transfer_reversal": null,
        "_clock": clock_of(charge),
    });
    desk.insert(&refund)?;
    Ok(refund)
}

/// Tells of a new refund, and plans its failure where the card is one that refuses it.
pub(super) fn tell(desk: &mut Desk<'_>, refund: &Value) -> Done<()> {
    desk.emit("refund.created", refund, None)?;
    let method = match id_in(&refund["payment_method"]) {
        Some(method) => desk.get(method)?,
        None => None,
    };
    if method.is_some_and(|method| method["_charge"] == "refuse_refunds") {
        let at = desk.now_of(refund)? + FAIL_SECONDS;
        desk.appoint(refund, FAIL, at)?;
    }
    Ok(())
}

/// The bank sends the money back to us.
pub(super) fn fail(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let before = desk.need("refund", id)?;
    let mut after = before.clone();
    after["status"] = "failed".into();
    after["failure_reason"] = "expired_or_canceled_card".into();
    after["failure_balance_transaction"] = desk.id("txn_", 24)?.into();
    let charge = desk.need("charge", id_in(&before["charge"]).unwrap_or_default())?;
    let mut restored = charge.clone();
    restored["amount_refunded"] = (int(&charge, "amount_refunded") - int(&before, "amount")).into();
    restored["refunded"] = false.into();
    desk.change(&charge, restored, "charge.updated")?;
    let after = desk.change(&before, after, "refund.updated")?;
    desk.emit("refund.failed", &after, None)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("refund", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "refund", lookup: params["payment_intent"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/refunds", |refund| {
        equals(refund, "charge", &params) && created_fits(refund, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if let Some(metadata) = call.params.get("metadata") {
        after["metadata"] = merge_metadata(&after["metadata"], metadata);
    }
    call.desk.change(&before, after, "refund.updated")
}
