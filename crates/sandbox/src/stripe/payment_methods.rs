//! Payment methods: Stripe's test cards, each with the behaviour its name promises.
//!
//! `pm_card_visa` and its like are not objects but recipes: using one makes a payment method of its own.
//! Source: docs.stripe.com/testing (cards by number and by PaymentMethod).

use serde_json::{Value, json};

use super::lists::{equals, list};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "type:(card) card:{number token exp_month:int exp_year:int cvc} customer metadata:map \
    billing_details:{email name phone address:{city country line1 line2 postal_code state}}";
const UPDATE: &str = "metadata:map billing_details:{email name phone address:{city country line1 line2 postal_code state}} \
    card:{exp_month:int exp_year:int}";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/payment_methods", CREATE, create),
    Route::list("/v1/payment_methods", "customer type", index),
    Route::new("GET", "/v1/payment_methods/{id}", "", retrieve),
    Route::new("POST", "/v1/payment_methods/{id}", UPDATE, update),
    Route::new("POST", "/v1/payment_methods/{id}/attach", "customer!", attach),
    Route::new("POST", "/v1/payment_methods/{id}/detach", "", detach),
    Route::list("/v1/customers/{id}/payment_methods", "type", of_customer),
    Route::new("GET", "/v1/customers/{id}/payment_methods/{id}", "", one_of_customer),
];

/// A test card: its names, brand, last digits, what attaching does and what charging does.
struct Card {
    name: &'static str,
    number: &'static str,
    brand: &'static str,
    attach: Option<Refusal>,
    charge: &'static str,
}

/// A decline: code, decline code and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) &'static str, pub(super) Option<&'static str>, pub(super) &'static str);

const DECLINED: Refusal = Refusal("card_declined", Some("generic_decline"), "Your card was declined.");
const POOR: Refusal = Refusal("card_declined", Some("insufficient_funds"), "Your card has insufficient funds.");
const LOST: Refusal = Refusal("card_declined", Some("lost_card"), "Your card was declined.");
const STOLEN: Refusal = Refusal("card_declined", Some("stolen_card"), "Your card was declined.");
const EXPIRED: Refusal = Refusal("expired_card", None, "Your card has expired.");
const WRONG_CVC: Refusal = Refusal("incorrect_cvc", None, "Your card's security code is incorrect.");
const BROKEN: Refusal =
    Refusal("processing_error", None, "An error occurred while processing your card. Try again in a little bit.");

const fn good(name: &'static str, number: &'static str, brand: &'static str) -> Card {
    Card { name, number, brand, attach: None, charge: "succeed" }
}

const fn refused(name: &'static str, number: &'static str, attach: Refusal) -> Card {
    Card { name, number, brand: "visa", attach: Some(attach), charge: "decline" }
}

const CARDS: &[Card] = &[
    good("visa", "4242424242424242", "visa"),
    good("visa_debit", "4000056655665556", "visa"),
    good("mastercard", "5555555555554444", "mastercard"),
    good("amex", "378282246310005", "amex"),
    good("discover", "6011111111111117", "discover"),
    refused("chargeDeclined", "4000000000000002", DECLINED),
    refused("visa_chargeDeclined", "4000000000000002", DECLINED),
    refused("chargeDeclinedInsufficientFunds", "4000000000009995", POOR),
    refused("chargeDeclinedLostCard", "4000000000009987", LOST),
    refused("chargeDeclinedStolenCard", "4000000000009979", STOLEN),
    refused("chargeDeclinedExpiredCard", "4000000000000069", EXPIRED),
    refused("chargeDeclinedIncorrectCvc", "4000000000000127", WRONG_CVC),
    refused("chargeDeclinedProcessingError", "4000000000000119", BROKEN),
    Card { name: "refundFail", number: "4000000000005126", brand: "visa", attach: None, charge: "refuse_refunds" },
    Card { name: "chargeCustomerFail", number: "4000000000000341", brand: "visa", attach: None, charge: "decline" },
    Card {
        name: "authenticationRequired",
        number: "4000002760003184",
        brand: "visa",
        attach: None,
        charge: "authenticate",
    },
];

/// The cards that pages offer: the recipe's name, and what it is for.
pub(crate) const OFFERED: &[(&str, &str)] = &[
    ("visa", "Visa ending in 4242: pays"),
    ("mastercard", "Mastercard ending in 4444: pays"),
    ("authenticationRequired", "Visa ending in 3184: asks for 3-D Secure"),
    ("chargeDeclined", "Visa ending in 0002: declined"),
    ("chargeDeclinedInsufficientFunds", "Visa ending in 9995: insufficient funds"),
    ("chargeDeclinedExpiredCard", "Visa ending in 0069: expired"),
    ("chargeCustomerFail", "Visa ending in 0341: can be saved, declined when charged"),
];

/// What charging a payment method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    Succeed,
    Decline(Refusal),
    /// 3-D Secure, unless the customer already passed it for this payment.
    Authenticate,
}

/// What charging this payment method does.
pub(super) fn charge_outcome(method: &Value) -> Charge {
    match text(method, "_charge") {
        "decline" => Charge::Decline(DECLINED),
        "authenticate" => Charge::Authenticate,
        _ => Charge::Succeed,
    }
}

fn create(call: &mut Call<'_, '_>) -> Done {
    if call.has("customer") {
        let message = "To attach a payment method use /v1/payment_methods/{id}/attach or a SetupIntent.";
        return Err(ApiError::invalid(message).param("customer"));
    }
    let given = call.params["card"].clone();
    let (number, token) = (text(&given, "number").replace(' ', ""), text(&given, "token"));
    let card = CARDS.iter().find(|card| card.number == number || token.strip_prefix("tok_") == Some(card.name));
    let Some(card) = card else {
        let message = "Your card number is incorrect, or is not one of the test cards.";
        return Err(ApiError::card("incorrect_number", None, message).param("card[number]").rolled_back());
    };
    let mut method = make(call.desk, card, None)?;
    for member in ["exp_month", "exp_year"] {
        if let Some(value) = given.get(member) {
            method["card"][member] = value.clone();
        }
    }
    apply(&mut method, &call.params);
    call.desk.insert(&method)?;
    Ok(method)
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    for member in ["exp_month", "exp_year"] {
        if let Some(value) = call.params["card"].get(member) {
            after["card"][member] = value.clone();
        }
    }
    apply(&mut after, &call.params);
    call.desk.change(&before, after, "payment_method.updated")
}

fn apply(method: &mut Value, params: &Value) {
    for member in ["email", "name", "phone"] {
        if params["billing_details"].get(member).is_some() {
            method["billing_details"][member] = text_or_null(&params["billing_details"], member);
        }
    }
    if let Some(Value::Object(address)) = params["billing_details"].get("address") {
        for (member, value) in address {
            method["billing_details"]["address"][member] = value.clone();
        }
    }
    if let Some(metadata) = params.get("metadata") {
        method["metadata"] = merge_metadata(&method["metadata"], metadata);
    }
}

/// A payment method out of a recipe, not yet stored.
fn make(desk: &mut Desk<'_>, card: &Card, clock: Option<&str>) -> Done {
    let created = desk.now(clock)?;
    let id = desk.id("pm_", 24)?;
    let fingerprint = desk.id("", 16)?;
    let last4 = &card.number[card.number.len() - 4..];
    Ok(json!({
        "id": id, "object": "payment_method", "allow_redisplay": "unspecified",
        "billing_details": {
            "address": { "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null },
            "email": null, "name": null, "phone": null, "tax_id": null,
        },
        "card": {
            "brand": card.brand,
            "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
            "country": "US", "display_brand": card.brand, "exp_month": 12, "exp_year": 2060, "fingerprint": fingerprint,
            "funding": "credit", "generated_from": null, "last4": last4,
            "networks": { "available": [card.brand], "preferred": null }, "regulated_status": "unregulated",
            "three_d_secure_usage": { "supported": true }, "wallet": null,
        },
        "created": created, "customer": null, "customer_account": null, "livemode": false, "metadata": {}, "type": "card",
        "_charge": card.charge, "_card": card.name, "_clock": clock,
    }))
}

/// The payment method with this id, or a new one out of the recipe of this name.
pub(super) fn resolve(desk: &mut Desk<'_>, id: &str, clock: Option<&str>) -> Done {
    match id.strip_prefix("pm_card_").and_then(|name| CARDS.iter().find(|card| card.name == name)) {
        Some(card) => {
            let method = make(desk, card, clock)?;
            desk.insert(&method)?;
            Ok(method)
        }
        None => desk.need("PaymentMethod", id),
    }
}

fn attach(call: &mut Call<'_, '_>) -> Done {
    let customer = text(&call.params, "customer").to_owned();
    let customer = call.desk.need_param("customer", &customer, "customer")?;
    let method = call.id().to_owned();
    attach_to(call.desk, &method, &customer)
}

/// Attaches a payment method to a customer; a second time to the same one changes nothing.
///
/// # Errors
/// 402 for cards that refuse, 400 for one that belongs to another customer.
pub(crate) fn attach_to(desk: &mut Desk<'_>, method: &str, customer: &Value) -> Done {
    let clock = crate::desk::clock_of(customer);
    let method = resolve(desk, method, clock.as_deref())?;
    let owner = id_in(&method["customer"]);
    if owner == customer["id"].as_str() {
        return Ok(method);
    }
    if owner.is_some() {
        let message = "The payment method you provided has already been attached to a customer.";
        return Err(ApiError::invalid(message));
    }
    if let Some(Refusal(code, decline_code, message)) = refusal_on_attach(&method) {
        return Err(ApiError::card(code, decline_code, message).rolled_back());
    }
    let mut attached = method.clone();
    attached["customer"] = customer["id"].clone();
    desk.save(&attached)?;
    desk.emit("payment_method.attached", &attached, None)?;
    Ok(attached)
}

/// How a card refuses to be attached or set up.
pub(super) fn refusal_on_attach(method: &Value) -> Option<Refusal> {
    CARDS.iter().find(|card| card.name == text(method, "_card")).and_then(|card| card.attach)
}

/// The id of a payment method that has to belong to this customer already.
pub(super) fn attached_to(desk: &mut Desk<'_>, method: &str, customer: &str, param: &str) -> Done<String> {
    let stored = desk.need_param("PaymentMethod", method, param)?;
    if id_in(&stored["customer"]) == Some(customer) {
        return Ok(method.to_owned());
    }
    let message = format!(
        "The customer does not have a payment method with the ID {method}. The payment method must be attached to the customer."
    );
    Err(ApiError::invalid(message).code("resource_missing").param(param))
}

fn detach(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let Some(owner) = id_in(&before["customer"]).map(str::to_owned) else {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::invalid(message));
    };
    let mut after = before.clone();
    after["customer"] = Value::Null;
    call.desk.save(&after)?;
    call.desk.emit("payment_method.detached", &after, Some(json!({ "customer": owner })))?;
    forget_default(call.desk, &owner, text(&before, "id"))?;
    Ok(after)
}

/// A detached method is no default any more, neither of the customer nor of its subscriptions.
fn forget_default(desk: &mut Desk<'_>, customer: &str, method: &str) -> Done<()> {
    let before = desk.need("customer", customer)?;
    if before["invoice_settings"]["default_payment_method"] == method {
        let mut after = before.clone();
        after["invoice_settings"]["default_payment_method"] = Value::Null;
        desk.change(&before, after, "customer.updated")?;
    }
    for before in desk.all("subscription", Some(customer), None)? {
        if before["default_payment_method"] == method {
            let mut after = before.clone();
            after["default_payment_method"] = Value::Null;
            desk.change(&before, after, "customer.subscription.updated")?;
        }
    }
    Ok(())
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    resolve(call.desk, &id, None)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "payment_method", customer: params["customer"].as_str(), ..Keys::default() };
    // Stripe lists only what is attached.
    list(call, &keys, "/v1/payment_methods", |method| !method["customer"].is_null() && equals(method, "type", &params))
}

fn of_customer(call: &mut Call<'_, '_>) -> Done {
    let customer = call.id().to_owned();
    call.desk.need("customer", &customer)?;
    let params = call.params.clone();
    let keys = Keys { kind: "payment_method", customer: Some(&customer), ..Keys::default() };
    let url = format!("/v1/customers/{customer}/payment_methods");
    list(call, &keys, &url, |method| equals(method, "type", &params))
}

fn one_of_customer(call: &mut Call<'_, '_>) -> Done {
    let (customer, method) = (call.id().to_owned(), call.ids.get(1).cloned().unwrap_or_default());
    let stored = call.desk.need("PaymentMethod", &method)?;
    if id_in(&stored["customer"]) == Some(&customer) {
        Ok(stored)
    } else {
        Err(ApiError::missing("PaymentMethod", &method))
    }
}
