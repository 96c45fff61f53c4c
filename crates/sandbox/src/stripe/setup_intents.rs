//! Setup intents: saving a card for later.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::payment_methods::{self, Charge, Refusal};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, merge_metadata, text, text_or_null};
use crate::render;
use crate::store::Keys;

const CREATE: &str = "customer payment_method usage:(off_session,on_session) confirm:bool description metadata:map return_url \
    automatic_payment_methods:{enabled!:bool allow_redirects:(always,never)} allowed_payment_method_types:[str] \
    excluded_payment_method_types:[str]";
const UPDATE: &str = "customer payment_method description metadata:map";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/setup_intents", CREATE, create),
    Route::list("/v1/setup_intents", "customer payment_method created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/setup_intents/{id}", "client_secret", retrieve),
    Route::new("POST", "/v1/setup_intents/{id}", UPDATE, update),
    Route::new("POST", "/v1/setup_intents/{id}/confirm", "payment_method return_url client_secret", confirm),
    Route::new(
        "POST",
        "/v1/setup_intents/{id}/cancel",
        "cancellation_reason:(abandoned,duplicate,requested_by_customer)",
        cancel,
    ),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let customer = match call.params["customer"].as_str().map(str::to_owned) {
        Some(customer) => call.desk.need_param("customer", &customer, "customer")?,
        None => Value::Null,
    };
    let mut intent = new(call.desk, &customer, text(&call.params, "usage"))?;
    intent["description"] = text_or_null(&call.params, "description");
    intent["metadata"] = merge_metadata(&intent["metadata"], &call.params["metadata"]);
    for member in ["allowed_payment_method_types", "excluded_payment_method_types"] {
        if let Some(kinds) = call.params.get(member) {
            intent[member] = kinds.clone();
        }
    }
    if let Some(method) = call.params["payment_method"].as_str().map(str::to_owned) {
        give_method(call.desk, &mut intent, &method)?;
    }
    let intent = call.desk.create(intent, "setup_intent.created")?;
    if call.params["confirm"] == true { confirmed(call, &intent) } else { Ok(intent) }
}

/// A new setup intent for a customer (or null), not yet stored.
pub(super) fn new(desk: &mut Desk<'_>, customer: &Value, usage: &str) -> Done {
    let clock = clock_of(customer);
    let created = desk.now(clock.as_deref())?;
    let id = desk.id("seti_", 24)?;
    let secret = desk.id("", 30)?;
    Ok(json!({
        "id": id, "object": "setup_intent", "allowed_payment_method_types": null, "application": null,
        "automatic_payment_methods": { "allow_redirects": "always", "enabled": true }, "cancellation_reason": null,
        "client_secret": format!("{id}_secret_{secret}"), "created": created, "customer": customer["id"],
        "customer_account": null, "description": null, "excluded_payment_method_types": null, "flow_directions": null,
        "last_setup_error": null, "latest_attempt": null, "livemode": false, "mandate": null, "metadata": {},
        "next_action": null, "on_behalf_of": null, "payment_method": null, "payment_method_configuration_details": null,
        "payment_method_options": {}, "payment_method_types": ["card"], "single_use_mandate": null,
        "status": "requires_payment_method", "usage": if usage.is_empty() { "off_session" } else { usage }, "_clock": clock,
    }))
}

fn give_method(desk: &mut Desk<'_>, intent: &mut Value, method: &str) -> Done<()> {
    let clock = clock_of(intent);
    let method = payment_methods::resolve(desk, method, clock.as_deref())?;
    let owner = id_in(&method["customer"]);
    if owner.is_some() && owner != id_in(&intent["customer"]) {
        let message = "The payment method supplied does not belong to a Customer, but you supplied another Customer.";
        return Err(ApiError::invalid(message).param("payment_method"));
    }
    intent["payment_method"] = method["id"].clone();
    intent["status"] = "requires_confirmation".into();
    Ok(())
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if let Some(customer) = call.params["customer"].as_str().map(str::to_owned) {
        after["customer"] = call.desk.need_param("customer", &customer, "customer")?["id"].clone();
    }
    if call.has("description") {
        after["description"] = text_or_null(&call.params, "description");
    }
    after["metadata"] = merge_metadata(&after["metadata"], &call.params["metadata"]);
    if let Some(method) = call.params["payment_method"].as_str().map(str::to_owned) {
        give_method(call.desk, &mut after, &method)?;
    }
    call.desk.save(&after)?;
    Ok(after)
}

fn confirm(call: &mut Call<'_, '_>) -> Done {
    let stored = retrieve(call)?;
    if matches!(text(&stored, "status"), "succeeded" | "canceled") {
        let message = format!(
            "You cannot confirm this SetupIntent because it has already {}.",
            if stored["status"] == "canceled" { "been canceled" } else { "succeeded" }
        );
        return Err(ApiError::invalid(message).code("setup_intent_unexpected_state"));
    }
    confirmed(call, &stored)
}

fn confirmed(call: &mut Call<'_, '_>, stored: &Value) -> Done {
    let mut intent = stored.clone();
    if let Some(method) = call.params["payment_method"].as_str().map(str::to_owned) {
        give_method(call.desk, &mut intent, &method)?;
    }
    let Some(method) = id_in(&intent["payment_method"]).map(str::to_owned) else {
        let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
        return Err(ApiError::invalid(message).code("setup_intent_unexpected_state"));
    };
    let method = call.desk.need("PaymentMethod", &method)?;
    if let Some(refusal) = payment_methods::refusal_on_attach(&method) {
        return Err(failed(call.desk, intent, &method, refusal)?);
    }
    if payment_methods::charge_outcome(&method) == Charge::Authenticate {
        return requires_action(call, intent);
    }
    succeed(call.desk, intent)
}

/// Attaches the card and ends the intent.
fn succeed(desk: &mut Desk<'_>, mut intent: Value) -> Done {
    if let Some(customer) = id_in(&intent["customer"]).map(str::to_owned) {
        let customer = desk.need("customer", &customer)?;
        payment_methods::attach_to(desk, text(&intent, "payment_method"), &customer)?;
    }
    intent["status"] = "succeeded".into();
    intent["next_action"] = Value::Null;
    intent["last_setup_error"] = Value::Null;
    desk.save(&intent)?;
    desk.emit("setup_intent.succeeded", &intent, None)?;
    forget_pending(desk, &intent)?;
    Ok(intent)
}

/// A subscription that waited for this intent waits no longer, and charges this card from now on.
fn forget_pending(desk: &mut Desk<'_>, intent: &Value) -> Done<()> {
    let Some(customer) = id_in(&intent["customer"]).map(str::to_owned) else { return Ok(()) };
    for before in desk.all("subscription", Some(&customer), None)? {
        if before["pending_setup_intent"] == intent["id"] {
            let mut after = before.clone();
            after["pending_setup_intent"] = Value::Null;
            after["default_payment_method"] = intent["payment_method"].clone();
            desk.change(&before, after, "customer.subscription.updated")?;
        }
    }
    Ok(())
}

fn failed(desk: &mut Desk<'_>, mut intent: Value, method: &Value, refusal: Refusal) -> Done<ApiError> {
    let Refusal(code, decline_code, message) = refusal;
    let mut problem =
        json!({ "type": "card_error", "code": code, "message": message, "payment_method": render::plain(method) });
    if let Some(decline_code) = decline_code {
        problem["decline_code"] = decline_code.into();
    }
    intent["last_setup_error"] = problem;
    intent["payment_method"] = Value::Null;
    intent["status"] = "requires_payment_method".into();
    desk.save(&intent)?;
    desk.emit("setup_intent.setup_failed", &intent, None)?;
    Ok(ApiError::card(code, decline_code, message).with("setup_intent", render::plain(&intent)))
}

fn requires_action(call: &mut Call<'_, '_>, mut intent: Value) -> Done {
    let url = format!("{}/authenticate/{}", call.desk.premises.base_url, text(&intent, "id"));
    intent["status"] = "requires_action".into();
    intent["next_action"] = json!({
        "type": "redirect_to_url", "redirect_to_url": { "return_url": call.params["return_url"], "url": url },
    });
    call.desk.save(&intent)?;
    call.desk.emit("setup_intent.requires_action", &intent, None)?;
    Ok(intent)
}

/// The customer passed 3-D Secure.
pub(super) fn authenticated(desk: &mut Desk<'_>, id: &str) -> Done {
    let intent = desk.need("setupintent", id)?;
    if intent["status"] == "requires_action" { succeed(desk, intent) } else { Ok(intent) }
}

fn cancel(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    if matches!(text(&before, "status"), "succeeded" | "canceled") {
        let message =
            format!("You cannot cancel this SetupIntent because it has a status of {}.", text(&before, "status"));
        return Err(ApiError::invalid(message).code("setup_intent_unexpected_state"));
    }
    let mut after = before.clone();
    after["status"] = "canceled".into();
    after["cancellation_reason"] = call.params.get("cancellation_reason").cloned().unwrap_or_default();
    after["next_action"] = Value::Null;
    call.desk.save(&after)?;
    call.desk.emit("setup_intent.canceled", &after, None)?;
    Ok(after)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    let intent = call.desk.need("setupintent", &id)?;
    match call.params["client_secret"].as_str() {
        Some(secret) if intent["client_secret"] != secret => {
            let message =
                "The client_secret provided does not match the client_secret associated with the SetupIntent.";
            Err(ApiError::invalid(message).param("client_secret"))
        }
        _ => Ok(intent),
    }
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "setup_intent", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/setup_intents", |intent| {
        equals(intent, "payment_method", &params) && created_fits(intent, &params["created"])
    })
}
