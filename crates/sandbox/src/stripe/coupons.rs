//! Coupons: what a discount takes off. Their amounts never change; a discount keeps what its coupon was when it was given.

use serde_json::{Value, json};

use super::lists::{created_fits, list};
use super::{Call, Route, proration};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, int, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "id name percent_off:dec amount_off:int currency duration:(forever,once,repeating) duration_in_months:int \
    applies_to:{products:[str]} max_redemptions:int redeem_by:int metadata:map";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/coupons", CREATE, create),
    Route::list("/v1/coupons", "created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/coupons/{id}", "", retrieve),
    Route::new("POST", "/v1/coupons/{id}", "name metadata:map", update),
    Route::new("DELETE", "/v1/coupons/{id}", "", delete),
];

/// The most months a repeating coupon lasts.
const MONTHS_MAX: i64 = 1_200;

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let now = call.desk.now(None)?;
    check(&params, now)?;
    let id = match params["id"].as_str() {
        Some(id) if call.desk.get(id)?.is_some() => {
            return Err(ApiError::invalid("Coupon already exists.").code("resource_already_exists").param("id"));
        }
        Some(id) => id.to_owned(),
        None => call.desk.id("", 8)?,
    };
    let currency = if params.get("amount_off").is_some() { text_or_null(&params, "currency") } else { Value::Null };
    let mut coupon = json!({
        "id": id, "object": "coupon", "amount_off": params.get("amount_off"), "created": now,
        "currency": currency.as_str().map(str::to_lowercase), "duration": params["duration"].as_str().unwrap_or("once"),
        "duration_in_months": params.get("duration_in_months"), "livemode": false,
        "max_redemptions": params.get("max_redemptions"), "metadata": merge_metadata(&Value::Null, &params["metadata"]),
        "name": text_or_null(&params, "name"), "percent_off": number(&params["percent_off"])?,
        "redeem_by": params.get("redeem_by"), "times_redeemed": 0, "valid": true,
    });
    if let Some(applies) = params.get("applies_to") {
        for product in applies["products"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            call.desk.need_param("product", product, "applies_to[products]")?;
        }
        coupon["applies_to"] = applies.clone();
    }
    call.desk.create(coupon, "coupon.created")
}

/// A given decimal as the number it is on the wire.
pub(super) fn number(given: &Value) -> Done {
    given.as_str().map_or(Ok(Value::Null), |text| Ok(serde_json::from_str(text)?))
}

fn check(params: &Value, now: i64) -> Done<()> {
    let wrong = |message: &str, param: &str| Err(ApiError::invalid(message).param(param));
    match (params["percent_off"].as_str(), params["amount_off"].as_i64()) {
        (Some(percent), None) if !in_percent(percent) => {
            return wrong("Invalid percent_off: must be greater than 0 and at most 100.", "percent_off");
        }
        (None, Some(amount)) if amount < 1 => return wrong("Invalid amount_off: must be positive.", "amount_off"),
        (None, Some(_)) if text(params, "currency").len() != 3 => {
            return wrong("You must pass currency when passing amount_off.", "currency");
        }
        (Some(_), None) | (None, Some(_)) => {}
        _ => return wrong("You must pass either percent_off or amount_off, and not both.", "percent_off"),
    }
    let months = params["duration_in_months"].as_i64();
    match (text(params, "duration"), months) {
        ("repeating", Some(1..=MONTHS_MAX)) => {}
        ("repeating", _) => {
            return wrong("duration_in_months must be given for repeating coupons.", "duration_in_months");
        }
        (_, Some(_)) => return wrong("duration_in_months goes with duration=repeating only.", "duration_in_months"),
        _ => {}
    }
    if params["max_redemptions"].as_i64().is_some_and(|most| most < 1) {
        return wrong("Invalid max_redemptions: must be positive.", "max_redemptions");
    }
    if params["redeem_by"].as_i64().is_some_and(|by| by <= now) {
        return wrong("redeem_by must be in the future.", "redeem_by");
    }
    Ok(())
}

fn in_percent(text: &str) -> bool {
    let percent = proration::scaled(text);
    percent > 0 && percent <= proration::scaled("100")
}

/// The coupon of a parameter, which can still be redeemed at `now`.
pub(super) fn redeemable(desk: &mut Desk<'_>, id: &str, param: &str, now: i64) -> Done {
    let coupon = desk.need_param("coupon", id, param)?;
    if coupon["deleted"] == true {
        return Err(ApiError::missing("coupon", id).param(param));
    }
    if is_valid(&coupon, now) {
        return Ok(coupon);
    }
    let message = format!("Coupon expired: '{id}' cannot be redeemed any more.");
    Err(ApiError::invalid(message).code("coupon_expired").param(param))
}

/// Whether a coupon can be redeemed at `now`.
pub(crate) fn is_valid(coupon: &Value, now: i64) -> bool {
    let full = coupon["max_redemptions"].as_i64().is_some_and(|most| int(coupon, "times_redeemed") >= most);
    !full && coupon["redeem_by"].as_i64().is_none_or(|by| now < by)
}

/// Counts a redemption.
pub(super) fn redeemed(desk: &mut Desk<'_>, mut object: Value) -> Done<()> {
    object["times_redeemed"] = (int(&object, "times_redeemed") + 1).into();
    desk.save(&object)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    let coupon = call.desk.need("coupon", &id)?;
    if coupon["deleted"] == true { Err(ApiError::missing("coupon", &id).param("id")) } else { Ok(coupon) }
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "coupon", ..Keys::default() };
    list(call, &keys, "/v1/coupons", |coupon| coupon["deleted"] != true && created_fits(coupon, &params["created"]))
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if call.has("name") {
        after["name"] = text_or_null(&call.params, "name");
    }
    if let Some(metadata) = call.params.get("metadata") {
        after["metadata"] = merge_metadata(&after["metadata"], metadata);
    }
    call.desk.change(&before, after, "coupon.updated")
}

/// Discounts that were given stay.
fn delete(call: &mut Call<'_, '_>) -> Done {
    let coupon = retrieve(call)?;
    call.desk.emit("coupon.deleted", &coupon, None)?;
    let gone = json!({ "id": coupon["id"], "object": "coupon", "deleted": true });
    call.desk.save(&gone)?;
    Ok(gone)
}
