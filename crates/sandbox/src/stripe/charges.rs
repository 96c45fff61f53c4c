//! Charges: what was or was not taken from a card.

use serde_json::{Value, json};

use super::lists::{created_fits, list};
use super::payment_methods::Refusal;
use super::{Call, Route};
use crate::desk::{Desk, Done, clock_of, text};
use crate::store::Keys;

pub(super) const ROUTES: &[Route] = &[
    Route::list("/v1/charges", "customer payment_intent created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/charges/{id}", "", retrieve),
];

/// Stores the charge of a payment intent and tells of it.
pub(super) fn create(desk: &mut Desk<'_>, intent: &Value, method: &Value, refusal: Option<Refusal>) -> Done {
    let created = desk.now_of(intent)?;
    let id = desk.id("ch_", 24)?;
    let paid = refusal.is_none();
    let balance_transaction = if paid { Value::from(desk.id("txn_", 24)?) } else { Value::Null };
    let taken = if paid { intent["amount"].clone() } else { 0.into() };
    let charge = json!({
        "id": id, "object": "charge", "amount": intent["amount"], "amount_captured": taken, "amount_refunded": 0,
        "application": null, "application_fee": null, "application_fee_amount": null,
        "balance_transaction": balance_transaction, "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX", "captured": paid, "created": created, "currency": intent["currency"],
        "customer": intent["customer"], "description": intent["description"], "disputed": false,
        "failure_balance_transaction": null, "failure_code": refusal.map(|refusal| refusal.0),
        "failure_message": refusal.map(|refusal| refusal.2), "fraud_details": {}, "livemode": false, "metadata": {},
        "on_behalf_of": null, "outcome": outcome(refusal), "paid": paid, "payment_intent": intent["id"],
        "payment_method": method["id"], "payment_method_details": card_details(intent, method), "receipt_email": null,
        "receipt_number": null, "receipt_url": null, "refunded": false, "review": null, "shipping": null, "source": null,
        "source_transfer": null, "statement_descriptor": null, "statement_descriptor_suffix": null,
        "status": if paid { "succeeded" } else { "failed" }, "transfer_data": null, "transfer_group": null,
        "_clock": clock_of(intent),
    });
    desk.create(charge, if paid { "charge.succeeded" } else { "charge.failed" })
}

fn outcome(refusal: Option<Refusal>) -> Value {
    match refusal {
        None => json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal", "risk_score": 20,
            "seller_message": "Payment complete.", "type": "authorized",
        }),
        Some(Refusal(code, decline_code, _)) => json!({
            "advice_code": "try_again_later", "network_advice_code": null, "network_decline_code": "01",
            "network_status": "declined_by_network", "reason": decline_code.unwrap_or(code), "risk_level": "normal",
            "risk_score": 20, "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        }),
    }
}

fn card_details(intent: &Value, method: &Value) -> Value {
    let card = &method["card"];
    json!({
        "type": "card",
        "card": {
            "amount_authorized": intent["amount"], "authorization_code": null, "brand": card["brand"], "checks": card["checks"],
            "country": card["country"], "electronic_commerce_indicator": null, "exp_month": card["exp_month"],
            "exp_year": card["exp_year"], "fingerprint": card["fingerprint"], "funding": card["funding"],
            "installments": null, "last4": card["last4"], "mandate": null, "network": card["brand"], "network_token": null,
            "network_transaction_id": null, "regulated_status": card["regulated_status"], "three_d_secure": null,
            "transaction_link_id": null, "wallet": null,
        },
    })
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("charge", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let (customer, intent) = (text(&params, "customer"), text(&params, "payment_intent"));
    let keys = Keys {
        kind: "charge",
        customer: (!customer.is_empty()).then_some(customer),
        lookup: (!intent.is_empty()).then_some(intent),
        ..Keys::default()
    };
    list(call, &keys, "/v1/charges", |charge| created_fits(charge, &params["created"]))
}
