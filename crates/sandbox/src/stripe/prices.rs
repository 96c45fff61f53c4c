//! Prices: immutable in amount, currency and interval; found by lookup key.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::calendar::Interval;
use crate::desk::{Desk, Done, id_in, int, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "currency! product product_data:{id name! active:bool metadata:map unit_label} unit_amount:int \
    unit_amount_decimal:dec recurring:{interval!:(day,week,month,year) interval_count:int usage_type:(licensed,metered) meter} active:bool \
    nickname metadata:map lookup_key transfer_lookup_key:bool tax_behavior:(exclusive,inclusive,unspecified) \
    billing_scheme:(per_unit) transform_quantity:{divide_by!:int round!:(up,down)}";
const UPDATE: &str = "active:bool nickname metadata:map lookup_key transfer_lookup_key:bool \
    tax_behavior:(exclusive,inclusive,unspecified)";
const LIST: &str = "active:bool currency product type:(one_time,recurring) lookup_keys:[str] \
    recurring:{interval:(day,week,month,year) usage_type:(licensed,metered)} created:int|{gt:int gte:int lt:int lte:int}";
/// Stripe's limit on `lookup_keys`.
const LOOKUP_KEYS_MAX: usize = 10;

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/prices", CREATE, create),
    Route::list("/v1/prices", LIST, index),
    Route::new("GET", "/v1/prices/{id}", "", retrieve),
    Route::new("POST", "/v1/prices/{id}", UPDATE, update),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let product = product(call)?;
    let created = call.desk.now(None)?;
    let (amount, decimal) = amount(&call.params)?;
    let recurring = recurring(&call.params["recurring"])?;
    if let Some(meter) = recurring["meter"].as_str() {
        call.desk.need_param("billing.meter", meter, "recurring[meter]")?;
    }
    let transform = call.params.get("transform_quantity").cloned().unwrap_or(Value::Null);
    let id = call.desk.id("price_", 24)?;
    let mut price = json!({
        "id": id, "object": "price", "active": true, "billing_scheme": "per_unit", "created": created,
        "currency": text(&call.params, "currency").to_lowercase(), "custom_unit_amount": null, "livemode": false,
        "lookup_key": null, "metadata": {}, "nickname": null, "product": product,
        "type": if recurring.is_null() { "one_time" } else { "recurring" }, "recurring": recurring,
        "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": transform, "unit_amount": amount,
        "unit_amount_decimal": decimal,
    });
    apply(call, &mut price)?;
    call.desk.create(price, "price.created")
}

fn product(call: &mut Call<'_, '_>) -> Done<String> {
    if let Some(id) = call.params["product"].as_str().map(str::to_owned) {
        let product = call.desk.need_param("product", &id, "product")?;
        return Ok(text(&product, "id").to_owned());
    }
    let Some(data) = call.params.get("product_data").cloned() else {
        let message = "You must specify either `product` or `product_data` when creating a price.";
        return Err(ApiError::invalid(message).code("parameter_missing").param("product"));
    };
    let mut inner = Call { desk: call.desk, params: data, ids: Vec::new() };
    let (route, _) = super::route("POST", "/v1/products").expect("products are in the table of routes");
    Ok(text(&(route.run)(&mut inner)?, "id").to_owned())
}

/// `unit_amount` and its decimal spelling; a decimal that is not whole leaves `unit_amount` null.
fn amount(params: &Value) -> Done<(Value, Value)> {
    match (params["unit_amount"].as_i64(), params["unit_amount_decimal"].as_str()) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: unit_amount, unit_amount_decimal.";
            Err(ApiError::invalid(message).code("parameters_exclusive").param("unit_amount"))
        }
        (Some(amount), None) if amount > AMOUNT_MAX => Err(too_large("unit_amount")),
        (Some(amount), None) if amount >= 0 => Ok((amount.into(), amount.to_string().into())),
        (Some(_), None) => {
            let message = "Invalid non-negative integer";
            Err(ApiError::invalid(message).code("parameter_invalid_integer").param("unit_amount"))
        }
        (None, Some(decimal)) => {
            let whole = decimal.split('.').nth(1).is_none_or(|fraction| fraction.bytes().all(|digit| digit == b'0'));
            let digits = decimal.split('.').next().unwrap_or_default();
            let amount = digits.parse::<i64>().ok().filter(|amount| (0..=AMOUNT_MAX).contains(amount));
            let amount = amount.ok_or_else(|| too_large("unit_amount_decimal"))?;
            let amount = Some(amount).filter(|_| whole);
            Ok((amount.map_or(Value::Null, Value::from), decimal.into()))
        }
        (None, None) => {
            let message = "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.";
            Err(ApiError::invalid(message).code("parameter_missing").param("unit_amount"))
        }
    }
}

/// An amount is at most eight digits, and not negative.
const AMOUNT_MAX: i64 = 99_999_999;

fn too_large(param: &str) -> ApiError {
    ApiError::invalid(format!("Amount must be between 0 and {AMOUNT_MAX}")).code("amount_too_large").param(param)
}

fn recurring(given: &Value) -> Done {
    let Some(interval) = given["interval"].as_str() else { return Ok(Value::Null) };
    let count = given["interval_count"].as_i64().unwrap_or(1);
    let longest = match interval {
        "day" => 1_095,
        "week" => 156,
        "month" => 36,
        _ => 3,
    };
    if !(1..=longest).contains(&count) {
        return Err(ApiError::invalid(format!("Invalid interval_count: at most {longest} for {interval}"))
            .param("recurring[interval_count]"));
    }
    let usage = given["usage_type"].as_str().unwrap_or("licensed");
    if (usage == "metered") != given["meter"].is_string() {
        let message = "A price with `usage_type=metered` needs a `meter`, and only such a price can have one.";
        return Err(ApiError::invalid(message).param("recurring[meter]"));
    }
    Ok(json!({
        "interval": interval, "interval_count": count, "meter": given.get("meter"), "trial_period_days": null,
        "usage_type": usage,
    }))
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if call.has("tax_behavior") && !matches!(text(&before, "tax_behavior"), "unspecified" | "") {
        return Err(
            ApiError::invalid("The tax behavior of a price cannot be changed once it is set.").param("tax_behavior")
        );
    }
    apply(call, &mut after)?;
    call.desk.change(&before, after, "price.updated")
}

fn apply(call: &mut Call<'_, '_>, price: &mut Value) -> Done<()> {
    for member in ["active", "tax_behavior"] {
        if let Some(value) = call.params.get(member) {
            price[member] = value.clone();
        }
    }
    if call.has("nickname") {
        price["nickname"] = text_or_null(&call.params, "nickname");
    }
    if let Some(metadata) = call.params.get("metadata") {
        price["metadata"] = merge_metadata(&price["metadata"], metadata);
    }
    if call.has("lookup_key") {
        let key = text_or_null(&call.params, "lookup_key");
        take_lookup_key(call, price, key.as_str())?;
        price["lookup_key"] = key;
    }
    Ok(())
}

/// A lookup key belongs to one price; `transfer_lookup_key` takes it from the one that has it.
fn take_lookup_key(call: &mut Call<'_, '_>, price: &Value, key: Option<&str>) -> Done<()> {
    let Some(key) = key else { return Ok(()) };
    for holder in call.desk.all("price", None, Some(key))? {
        if holder["id"] == price["id"] {
            continue;
        }
        if call.params["transfer_lookup_key"] != true {
            let id = text(&holder, "id");
            let message = format!("A price (`{id}`) already uses that lookup key.");
            return Err(ApiError::invalid(message).code("resource_already_exists").param("lookup_key"));
        }
        let mut without = holder.clone();
        without["lookup_key"] = Value::Null;
        call.desk.change(&holder, without, "price.updated")?;
    }
    Ok(())
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("price", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    if params["lookup_keys"].as_array().is_some_and(|keys| keys.len() > LOOKUP_KEYS_MAX) {
        return Err(ApiError::invalid("You may only specify up to 10 lookup keys.").param("lookup_keys"));
    }
    list(call, &Keys { kind: "price", ..Keys::default() }, "/v1/prices", |price| {
        let keyed = params["lookup_keys"].as_array().is_none_or(|keys| keys.contains(&price["lookup_key"]));
        let plain = ["active", "currency", "product", "type"].iter().all(|member| equals(price, member, &params));
        let interval =
            ["interval", "usage_type"].iter().all(|member| equals(&price["recurring"], member, &params["recurring"]));
        keyed && plain && interval && created_fits(price, &params["created"])
    })
}

/// The legacy plan that a subscription item carries beside its price.
pub(crate) fn as_plan(price: &Value) -> Value {
    json!({
        "id": price["id"], "object": "plan", "active": price["active"], "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"], "billing_scheme": price["billing_scheme"], "created": price["created"],
        "currency": price["currency"], "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"], "livemode": false, "metadata": price["metadata"],
        "meter": price["recurring"]["meter"], "nickname": price["nickname"], "product": price["product"], "tiers_mode": null,
        "transform_usage": price["transform_quantity"], "trial_period_days": null,
        "usage_type": price["recurring"]["usage_type"],
    })
}

/// The interval of a recurring price.
pub(super) fn interval(price: &Value) -> Done<Interval> {
    let recurring = &price["recurring"];
    Interval::parse(text(recurring, "interval"), int(recurring, "interval_count").max(1)).ok_or_else(|| {
        let message =
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.";
        ApiError::invalid(message).param("items[0][price]")
    })
}

/// The name of a price's product, as invoice lines print it.
pub(crate) fn product_name(desk: &mut Desk<'_>, price: &Value) -> Done<String> {
    let product = match id_in(&price["product"]) {
        Some(id) => desk.get(id)?,
        None => None,
    };
    Ok(product.map_or_else(|| "deleted product".to_owned(), |product| text(&product, "name").to_owned()))
}
