//! Checkout Sessions: what a customer is asked to subscribe to on a hosted page, until it is completed or expires.
//!
//! Source: docs.stripe.com/api/checkout/sessions (2026-10-28.endive). Only subscriptions are sold so; what a session comes to is
//! found out by carrying it out and undoing that, so that the page and the first invoice agree to the cent.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route, checkout_completion, subscriptions};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, merge_metadata, text, text_or_null};
use crate::render::list_of;
use crate::store::Keys;

/// Task: nobody completed the session in time.
pub(super) const EXPIRE: &str = "checkout_session.expire";

const CREATE: &str = "mode!:(subscription) line_items!:[{price! quantity:int tax_rates:[str]}] success_url! cancel_url customer \
    customer_email client_reference_id metadata:map expires_at:int ui_mode:(hosted_page) \
    payment_method_collection:(always,if_required) allow_promotion_codes:bool discounts:[{coupon promotion_code}] \
    automatic_tax:{enabled!:bool} tax_id_collection:{enabled!:bool} customer_update:{address:(auto,never) name:(auto,never)} \
    billing_address_collection:(auto,required) \
    subscription_data:{trial_period_days:int trial_end:int metadata:map description default_tax_rates:[str] \
    trial_settings:{end_behavior!:{missing_payment_method!:(cancel,create_invoice,pause)}} billing_mode:{type!:(classic,flexible)}}";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/checkout/sessions", CREATE, create),
    Route::list(
        "/v1/checkout/sessions",
        "customer subscription status:(complete,expired,open) created:int|{gt:int gte:int lt:int lte:int}",
        index,
    ),
    Route::new("GET", "/v1/checkout/sessions/{id}", "", retrieve),
    Route::new("POST", "/v1/checkout/sessions/{id}", "metadata:map", update),
    Route::new("POST", "/v1/checkout/sessions/{id}/expire", "", expire),
    Route::list("/v1/checkout/sessions/{id}/line_items", "", line_items),
];

/// The shortest and the longest life of a session.
const LIFE_SECONDS: (i64, i64) = (1_800, 24 * 3_600);
/// The longest address to return to.
const URL_CHARS_MAX: usize = 5_000;

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    check(&params)?;
    let customer = match params["customer"].as_str() {
        Some(customer) => call.desk.need_param("customer", customer, "customer")?,
        None => Value::Null,
    };
    if customer["deleted"] == true {
        return Err(ApiError::missing("customer", text(&customer, "id")).param("customer"));
    }
    let now = call.desk.now_of(&customer)?;
    let expires = params["expires_at"].as_i64().unwrap_or(now + LIFE_SECONDS.1);
    if !(now + LIFE_SECONDS.0..=now + LIFE_SECONDS.1).contains(&expires) {
        let message = "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session creation.";
        return Err(ApiError::invalid(message).param("expires_at"));
    }
    let mut session = blank(call.desk, &params, &customer, now)?;
    session["expires_at"] = expires.into();
    session["_items"] = items(call.desk, &params)?;
    session["_subscription_data"] = params.get("subscription_data").cloned().unwrap_or_else(|| json!({}));
    session["_discounts"] = params.get("discounts").cloned().unwrap_or_else(|| json!([]));
    let cost = checkout_completion::cost(call.desk, &session)?;
    cost.stand_on(&mut session);
    call.desk.insert(&session)?;
    call.desk.appoint(&session, EXPIRE, expires)?;
    Ok(session)
}

fn check(params: &Value) -> Done<()> {
    if params.get("customer").is_some() && params.get("customer_email").is_some() {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(ApiError::invalid(message).code("parameters_exclusive").param("customer_email"));
    }
    for name in ["success_url", "cancel_url"] {
        let given = params[name].as_str();
        if given.is_some_and(|url| !is_url(url)) {
            return Err(ApiError::invalid("Not a valid URL").code("url_invalid").param(name));
        }
    }
    if params["allow_promotion_codes"] == true && params.get("discounts").is_some() {
        let message = "You may only specify one of these parameters: allow_promotion_codes, discounts.";
        return Err(ApiError::invalid(message).code("parameters_exclusive").param("discounts"));
    }
    match params["subscription_data"]["trial_period_days"].as_i64() {
        Some(days) if days < 1 => {
            let message = "Invalid trial_period_days: the minimum number of trial days is 1.";
            Err(ApiError::invalid(message).param("subscription_data[trial_period_days]"))
        }
        _ => Ok(()),
    }
}

/// Whether an address is one a browser can be sent to.
pub(super) fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| !host.is_empty()) && url.len() <= URL_CHARS_MAX && !url.chars().any(char::is_whitespace)
}

/// What is sold, with its price looked up.
fn items(desk: &mut Desk<'_>, params: &Value) -> Done {
    let mut items = Vec::new();
    for (index, given) in params["line_items"].as_array().into_iter().flatten().enumerate() {
        let param = format!("line_items[{index}]");
        let price = subscriptions::price_for(desk, text(given, "price"), &format!("{param}[price]"))?;
        if price["recurring"]["usage_type"] != "metered" && given.get("quantity").is_none() {
            let message = format!("Quantity is required. Add `quantity` to `{param}`");
            return Err(ApiError::invalid(message).param(&param));
        }
        let id = desk.id("li_", 24)?;
        items.push(json!({
            "id": id, "price": price["id"], "quantity": given.get("quantity"), "tax_rates": given.get("tax_rates"),
        }));
    }
    if items.is_empty() {
        return Err(ApiError::invalid("A Checkout Session must have at least one item.").param("line_items"));
    }
    Ok(items.into())
}

fn blank(desk: &mut Desk<'_>, params: &Value, customer: &Value, now: i64) -> Done {
    let id = desk.id("cs_test_", 32)?;
    let given = |name: &str| params.get(name).cloned().unwrap_or_default();
    let enabled = |name: &str| params[name]["enabled"] == true;
    Ok(json!({
        "id": id, "object": "checkout.session", "adaptive_pricing": null, "after_expiration": null,
        "allow_promotion_codes": given("allow_promotion_codes"), "allowed_payment_method_types": null, "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": {
            "enabled": enabled("automatic_tax"), "liability": null, "provider": null,
            "status": enabled("automatic_tax").then_some("requires_location_inputs"),
        },
        "billing_address_collection": given("billing_address_collection"), "cancel_url": text_or_null(params, "cancel_url"),
        "client_reference_id": text_or_null(params, "client_reference_id"), "client_secret": null,
        "collected_information": null, "consent": null, "consent_collection": null, "created": now, "currency": null,
        "currency_conversion": null, "custom_fields": [],
        "custom_text": { "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null },
        "customer": customer["id"], "customer_account": null,
        "customer_creation": if customer.is_null() { json!("always") } else { Value::Null }, "customer_details": null,
        "customer_email": text_or_null(params, "customer_email"), "discounts": [], "expires_at": 0,
        "integration_identifier": null, "invoice": null, "invoice_creation": null, "livemode": false, "locale": null,
        "managed_payments": null, "metadata": merge_metadata(&Value::Null, &params["metadata"]), "mode": "subscription",
        "origin_context": null, "payment_intent": null, "payment_link": null,
        "payment_method_collection": params.get("payment_method_collection").cloned().unwrap_or_else(|| "always".into()),
        "payment_method_configuration_details": null, "payment_method_options": null, "payment_method_types": ["card"],
        "payment_status": "unpaid", "permissions": null, "phone_number_collection": { "enabled": false },
        "recovered_from": null, "saved_payment_method_options": null, "setup_intent": null,
        "shipping_address_collection": null, "shipping_cost": null, "shipping_options": [], "status": "open",
        "submit_type": null, "subscription": null, "success_url": params["success_url"],
        "tax_id_collection": { "enabled": enabled("tax_id_collection"), "required": "never" }, "total_details": null,
        "ui_mode": "hosted_page", "url": format!("{}/checkout/{id}", desk.premises.base_url), "wallet_options": null,
        "_clock": clock_of(customer), "_lines": [], "_keep_address": params["customer_update"]["address"] == "auto",
    }))
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("checkout.session", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "checkout.session", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/checkout/sessions", |session| {
        equals(session, "status", &params)
            && equals(session, "subscription", &params)
            && created_fits(session, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let mut session = retrieve(call)?;
    session["metadata"] = merge_metadata(&session["metadata"], &call.params["metadata"]);
    call.desk.save(&session)?;
    Ok(session)
}

fn expire(call: &mut Call<'_, '_>) -> Done {
    let session = retrieve(call)?;
    if session["status"] != "open" {
        let status = text(&session, "status");
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{status}`."
        );
        return Err(ApiError::invalid(message));
    }
    end(call.desk, session)
}

/// The session's time is over.
pub(super) fn expires(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let session = desk.need("checkout.session", id)?;
    if session["status"] == "open" { end(desk, session).map(drop) } else { Ok(()) }
}

fn end(desk: &mut Desk<'_>, mut session: Value) -> Done {
    session["status"] = "expired".into();
    session["url"] = Value::Null;
    desk.tx.disappoint(EXPIRE, text(&session, "id"))?;
    desk.save(&session)?;
    desk.emit("checkout.session.expired", &session, None)?;
    Ok(session)
}

/// Few enough to be one page.
fn line_items(call: &mut Call<'_, '_>) -> Done {
    let session = retrieve(call)?;
    shown_items(call.desk, &session)
}

/// The session's items, each with what it comes to.
pub(crate) fn shown_items(desk: &mut Desk<'_>, session: &Value) -> Done {
    let mut shown = Vec::new();
    let lines = session["_lines"].as_array().cloned().unwrap_or_default();
    for (item, line) in session["_items"].as_array().into_iter().flatten().zip(lines) {
        let price = desk.need("price", text(item, "price"))?;
        shown.push(json!({
            "id": item["id"], "object": "item", "adjustable_quantity": null, "amount_discount": line["discount"],
            "amount_subtotal": line["subtotal"], "amount_tax": line["tax"], "amount_total": line["total"],
            "currency": price["currency"], "description": super::prices::product_name(desk, &price)?, "metadata": {},
            "price": crate::render::plain(&price), "quantity": item["quantity"],
        }));
    }
    Ok(list_of(shown, &format!("/v1/checkout/sessions/{}/line_items", text(session, "id"))))
}
