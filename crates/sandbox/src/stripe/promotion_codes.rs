//! Promotion codes: words that customers type for a coupon, with restrictions of their own.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route, coupons, proration, subscriptions};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, int, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "promotion!:{type!:(coupon) coupon!} code active:bool customer expires_at:int max_redemptions:int metadata:map \
    restrictions:{first_time_transaction:bool minimum_amount:int minimum_amount_currency}";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/promotion_codes", CREATE, create),
    Route::list(
        "/v1/promotion_codes",
        "active:bool code coupon customer created:int|{gt:int gte:int lt:int lte:int}",
        index,
    ),
    Route::new("GET", "/v1/promotion_codes/{id}", "", retrieve),
    Route::new("POST", "/v1/promotion_codes/{id}", "active:bool metadata:map", update),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let now = call.desk.now(None)?;
    let coupon = coupons::redeemable(call.desk, text(&params["promotion"], "coupon"), "promotion[coupon]", now)?;
    if let Some(customer) = params["customer"].as_str() {
        call.desk.need_param("customer", customer, "customer")?;
    }
    if params["expires_at"].as_i64().is_some_and(|at| at <= now) {
        return Err(ApiError::invalid("expires_at must be in the future.").param("expires_at"));
    }
    let code = match params["code"].as_str() {
        Some(code) if well_formed(code) => code.to_owned(),
        Some(_) => return Err(ApiError::invalid("Codes consist of letters, digits and dashes.").param("code")),
        None => call.desk.id("", 8)?.to_uppercase(),
    };
    let active = params["active"].as_bool().unwrap_or(true);
    if active && taken(call.desk, &code, &params["customer"])? {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(ApiError::invalid(message).code("resource_already_exists").param("code"));
    }
    let id = call.desk.id("promo_", 24)?;
    let given = &params["restrictions"];
    let code = json!({
        "id": id, "object": "promotion_code", "active": active, "code": code, "created": now,
        "customer": params.get("customer"), "customer_account": null, "expires_at": params.get("expires_at"), "livemode": false,
        "max_redemptions": params.get("max_redemptions"), "metadata": merge_metadata(&Value::Null, &params["metadata"]),
        "promotion": { "coupon": coupon["id"], "type": "coupon" },
        "restrictions": {
            "first_time_transaction": given["first_time_transaction"].as_bool().unwrap_or(false),
            "minimum_amount": given.get("minimum_amount"),
            "minimum_amount_currency": text_or_null(given, "minimum_amount_currency"),
        },
        "times_redeemed": 0,
    });
    call.desk.create(code, "promotion_code.created")
}

fn well_formed(code: &str) -> bool {
    !code.is_empty() && code.len() <= 500 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Codes are the same whatever their case; one that is for a customer of its own is not in the way of others.
fn taken(desk: &mut Desk<'_>, code: &str, customer: &Value) -> Done<bool> {
    let same = |other: &Value| {
        other["active"] == true && text(other, "code").eq_ignore_ascii_case(code) && other["customer"] == *customer
    };
    Ok(desk.all("promotion_code", None, None)?.iter().any(same))
}

/// The promotion code of a parameter, if this subscription of this customer may redeem it at `now`.
pub(super) fn redeemable(desk: &mut Desk<'_>, id: &str, subscription: &Value, param: &str, now: i64) -> Done {
    let code = desk.need_param("promotion_code", id, param)?;
    let customer = id_in(&subscription["customer"]).unwrap_or_default().to_owned();
    let refuse = |message: &str| Err(ApiError::invalid(message).code("coupon_expired").param(param));
    if !coupons::is_valid(&code, now)
        || code["active"] != true
        || code["expires_at"].as_i64().is_some_and(|at| at <= now)
    {
        return refuse("This promotion code is expired or inactive.");
    }
    if id_in(&code["customer"]).is_some_and(|owner| owner != customer) {
        return refuse("This promotion code is for another customer.");
    }
    let restrictions = code["restrictions"].clone();
    if restrictions["first_time_transaction"] == true && has_paid(desk, &customer)? {
        return refuse("This promotion code is for first-time customers only.");
    }
    let total: i64 = subscriptions::items_of(subscription).iter().map(proration::item_amount).sum();
    let currency = restrictions["minimum_amount_currency"].as_str();
    if let Some(least) = restrictions["minimum_amount"].as_i64()
        && (total < least || currency.is_some_and(|currency| subscription["currency"] != currency))
    {
        return refuse("The subscription is below this promotion code's minimum amount.");
    }
    coupons::redeemable(desk, id_in(&code["promotion"]["coupon"]).unwrap_or_default(), param, now)?;
    Ok(code)
}

fn has_paid(desk: &mut Desk<'_>, customer: &str) -> Done<bool> {
    let invoices = desk.all("invoice", Some(customer), None)?;
    Ok(invoices.iter().any(|invoice| invoice["status"] == "paid" && int(invoice, "amount_paid") > 0))
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("promotion_code", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "promotion_code", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/promotion_codes", |code| {
        equals(code, "active", &params)
            && params["code"].as_str().is_none_or(|wanted| text(code, "code").eq_ignore_ascii_case(wanted))
            && equals(&code["promotion"], "coupon", &params)
            && created_fits(code, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if let Some(active) = call.params.get("active") {
        after["active"] = active.clone();
    }
    if let Some(metadata) = call.params.get("metadata") {
        after["metadata"] = merge_metadata(&after["metadata"], metadata);
    }
    call.desk.change(&before, after, "promotion_code.updated")
}
