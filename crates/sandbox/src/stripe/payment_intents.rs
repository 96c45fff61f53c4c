//! Payment intents: one attempt after another to be paid, here always for an invoice.

use serde_json::{Value, json};

use super::lists::{created_fits, list};
use super::payment_methods::{self, Charge, Refusal};
use super::{Call, Route, charges, collection, setup_intents};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, text};
use crate::render;
use crate::store::Keys;

pub(super) const ROUTES: &[Route] = &[
    Route::list("/v1/payment_intents", "customer created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/payment_intents/{id}", "client_secret", retrieve),
    Route::new(
        "POST",
        "/v1/payment_intents/{id}/confirm",
        "payment_method return_url off_session:bool client_secret",
        confirm,
    ),
];

/// A new payment intent for an open invoice, stored.
pub(super) fn create_for(desk: &mut Desk<'_>, invoice: &Value) -> Done {
    let created = desk.now_of(invoice)?;
    let id = desk.id("pi_", 24)?;
    let secret = desk.id("", 25)?;
    let intent = json!({
        "id": id, "object": "payment_intent", "allowed_payment_method_types": null, "amount": invoice["amount_due"],
        "amount_capturable": 0, "amount_details": { "tip": {} }, "amount_received": 0, "application": null,
        "application_fee_amount": null, "automatic_payment_methods": null, "canceled_at": null, "cancellation_reason": null,
        "capture_method": "automatic", "client_secret": format!("{id}_secret_{secret}"), "confirmation_method": "automatic",
        "created": created, "currency": invoice["currency"], "customer": invoice["customer"], "customer_account": null,
        "description": "Subscription update", "excluded_payment_method_types": null, "last_payment_error": null,
        "latest_charge": null, "livemode": false, "managed_payments": null, "metadata": {}, "next_action": null,
        "on_behalf_of": null, "payment_method": null, "payment_method_configuration_details": null,
        "payment_method_options": {}, "payment_method_types": ["card"], "payment_record": null, "processing": null,
        "receipt_email": null, "review": null, "setup_future_usage": "off_session", "shipping": null, "source": null,
        "statement_descriptor": null, "statement_descriptor_suffix": null, "status": "requires_payment_method",
        "transfer_data": null, "transfer_group": null, "_invoice": invoice["id"], "_clock": clock_of(invoice),
    });
    desk.create(intent, "payment_intent.created")
}

/// How an attempt to charge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Paid,
    Declined(Refusal),
    NeedsAction,
}

/// Charges a payment method for the intent and stores what came of it.
pub(super) fn charge(desk: &mut Desk<'_>, intent: &Value, method: &Value) -> Done<Attempt> {
    let mut after = intent.clone();
    after["payment_method"] = method["id"].clone();
    after["last_payment_error"] = Value::Null;
    after["next_action"] = Value::Null;
    match payment_methods::charge_outcome(method) {
        Charge::Authenticate if intent["_authenticated"] != true => {
            let url = format!("{}/authenticate/{}", desk.premises.base_url, text(intent, "id"));
            after["status"] = "requires_action".into();
            after["next_action"] =
                json!({ "type": "redirect_to_url", "redirect_to_url": { "return_url": null, "url": url } });
            desk.save(&after)?;
            desk.emit("payment_intent.requires_action", &after, None)?;
            Ok(Attempt::NeedsAction)
        }
        Charge::Decline(refusal) => {
            let charge = charges::create(desk, intent, method, Some(refusal))?;
            decline(desk, after, method, &charge, refusal)?;
            Ok(Attempt::Declined(refusal))
        }
        Charge::Succeed | Charge::Authenticate => {
            let charge = charges::create(desk, intent, method, None)?;
            after["status"] = "succeeded".into();
            after["amount_received"] = intent["amount"].clone();
            after["latest_charge"] = charge["id"].clone();
            desk.save(&after)?;
            desk.emit("payment_intent.succeeded", &after, None)?;
            Ok(Attempt::Paid)
        }
    }
}

fn decline(desk: &mut Desk<'_>, mut intent: Value, method: &Value, charge: &Value, refusal: Refusal) -> Done<()> {
    let Refusal(code, decline_code, message) = refusal;
    let mut problem = json!({
        "type": "card_error", "code": code, "message": message, "charge": charge["id"], "payment_method": render::plain(method),
    });
    if let Some(decline_code) = decline_code {
        problem["decline_code"] = decline_code.into();
    }
    intent["status"] = "requires_payment_method".into();
    intent["payment_method"] = Value::Null;
    intent["latest_charge"] = charge["id"].clone();
    intent["last_payment_error"] = problem;
    desk.save(&intent)?;
    desk.emit("payment_intent.payment_failed", &intent, None)
}

/// Ends an intent that will not be paid any more.
pub(super) fn cancel(desk: &mut Desk<'_>, id: &str, reason: &str) -> Done<()> {
    let mut intent = desk.need("payment_intent", id)?;
    if matches!(text(&intent, "status"), "succeeded" | "canceled") {
        return Ok(());
    }
    intent["status"] = "canceled".into();
    intent["canceled_at"] = desk.now_of(&intent)?.into();
    intent["cancellation_reason"] = reason.into();
    intent["next_action"] = Value::Null;
    desk.save(&intent)?;
    desk.emit("payment_intent.canceled", &intent, None)
}

fn confirm(call: &mut Call<'_, '_>) -> Done {
    let intent = retrieve(call)?;
    if matches!(text(&intent, "status"), "succeeded" | "canceled") {
        let message =
            format!("This PaymentIntent's status is {}, so it could not be confirmed.", text(&intent, "status"));
        return Err(ApiError::invalid(message).code("payment_intent_unexpected_state"));
    }
    let method = call.params["payment_method"].as_str().map(str::to_owned);
    collection::pay_by_intent(call.desk, &intent, method.as_deref())?;
    retrieve(call)
}

/// The customer passed 3-D Secure for a payment or a set-up: it is carried on where it stopped.
pub(crate) fn authenticated(desk: &mut Desk<'_>, id: &str) -> Done {
    if id.starts_with("seti_") {
        return setup_intents::authenticated(desk, id);
    }
    let mut intent = desk.need("payment_intent", id)?;
    if intent["status"] == "requires_action" {
        intent["_authenticated"] = true.into();
        desk.save(&intent)?;
        let method = text(&intent, "payment_method").to_owned();
        collection::pay_by_intent(desk, &intent, Some(&method))?;
    }
    desk.need("payment_intent", id)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    let intent = call.desk.need("payment_intent", &id)?;
    match call.params["client_secret"].as_str() {
        Some(secret) if intent["client_secret"] != secret => {
            let message =
                "The client_secret provided does not match the client_secret associated with the PaymentIntent.";
            Err(ApiError::invalid(message).param("client_secret"))
        }
        _ => Ok(intent),
    }
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "payment_intent", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/payment_intents", |intent| created_fits(intent, &params["created"]))
}
