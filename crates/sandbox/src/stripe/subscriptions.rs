//! Subscriptions: the routes, and reading a subscription's items out of parameters.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route, collection, life, prices, subscription_changes, subscription_starts, tax_rates};
use crate::api_error::ApiError;
use crate::calendar::TIME_MAX;
use crate::desk::{Desk, Done, clock_of, int, merge_metadata, text};
use crate::render::plain;
use crate::store::Keys;

const CREATE: &str = "customer! items!:[{price! quantity:int metadata:map tax_rates:[str]}] trial_period_days:int trial_end:now|int \
    trial_settings:{end_behavior!:{missing_payment_method:(cancel,create_invoice,pause) billing_cycle_anchor:now}} \
    default_payment_method payment_behavior:(allow_incomplete,default_incomplete,error_if_incomplete,pending_if_incomplete) \
    payment_settings:{save_default_payment_method:(off,on_subscription)} metadata:map off_session:bool description currency \
    billing_mode:{type!:(classic,flexible) flexible:{proration_discounts:(included,itemized)}} automatic_tax:{enabled!:bool} \
    discounts:[{coupon discount promotion_code}] default_tax_rates:[str] billing_cycle_anchor:int cancel_at_period_end:bool cancel_at:int collection_method:(charge_automatically) \
    proration_behavior:(always_invoice,create_prorations,none)";
const UPDATE: &str = "items:[{id price quantity:int deleted:bool metadata:map}] trial_end:now|int \
    trial_settings:{end_behavior!:{missing_payment_method:(cancel,create_invoice,pause) billing_cycle_anchor:now}} \
    default_payment_method payment_behavior:(allow_incomplete,default_incomplete,error_if_incomplete,pending_if_incomplete) \
    payment_settings:{save_default_payment_method:(off,on_subscription)} metadata:map off_session:bool description \
    billing_cycle_anchor:{type!:(now,unchanged)} cancel_at_period_end:bool cancel_at:clear|int \
    cancellation_details:{comment feedback} proration_behavior:(always_invoice,create_prorations,none) proration_date:int \
    automatic_tax:{enabled!:bool} discounts:[{coupon discount promotion_code}] default_tax_rates:[str]";
const LIST: &str = "customer price status:(active,all,canceled,ended,incomplete,incomplete_expired,past_due,paused,trialing,unpaid) \
    created:int|{gt:int gte:int lt:int lte:int} current_period_end:int|{gt:int gte:int lt:int lte:int} test_clock";
const CANCEL: &str = "invoice_now:(false) prorate:(false) cancellation_details:{comment feedback}";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/subscriptions", CREATE, subscription_starts::create),
    Route::list("/v1/subscriptions", LIST, index),
    Route::new("GET", "/v1/subscriptions/{id}", "", retrieve),
    Route::new("POST", "/v1/subscriptions/{id}", UPDATE, subscription_changes::update),
    Route::new("DELETE", "/v1/subscriptions/{id}", CANCEL, cancel),
];

pub(super) fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("subscription", &id)
}

/// The subscription of the path, which has not ended.
pub(super) fn live(call: &mut Call<'_, '_>) -> Done {
    let subscription = retrieve(call)?;
    if matches!(text(&subscription, "status"), "canceled" | "incomplete_expired") {
        let id = text(&subscription, "id");
        return Err(ApiError::missing("subscription", id).param("id"));
    }
    Ok(subscription)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "subscription", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/subscriptions", |subscription| {
        let status = text(subscription, "status");
        let wanted = match params["status"].as_str() {
            None => !matches!(status, "canceled" | "incomplete_expired"),
            Some("all") => true,
            Some("ended") => matches!(status, "canceled" | "incomplete_expired"),
            Some(wanted) => status == wanted,
        };
        let clocked = params.get("test_clock").is_some() || params.get("customer").is_some();
        let priced = params["price"].as_str().is_none_or(|price| {
            subscription["items"]["data"]
                .as_array()
                .is_some_and(|items| items.iter().any(|item| item["price"]["id"] == price))
        });
        let ends = json!({ "created": life::period(subscription).1 });
        wanted
            && priced
            && (clocked || subscription["test_clock"].is_null())
            && equals(subscription, "test_clock", &params)
            && created_fits(subscription, &params["created"])
            && created_fits(&ends, &params["current_period_end"])
    })
}

fn cancel(call: &mut Call<'_, '_>) -> Done {
    let mut subscription = live(call)?;
    explain_cancellation(&mut subscription, &call.params);
    life::cancel_now(call.desk, &subscription, json!("cancellation_requested"))
}

/// Notes why a customer left.
pub(super) fn explain_cancellation(subscription: &mut Value, params: &Value) {
    for member in ["comment", "feedback"] {
        if let Some(value) = params["cancellation_details"].get(member) {
            subscription["cancellation_details"][member] = value.clone();
        }
    }
}

/// A new item of a subscription; its period and rate are filled in by the caller.
pub(super) fn new_item(desk: &mut Desk<'_>, subscription: &Value, given: &Value, param: &str) -> Done {
    let price = price_for(desk, text(given, "price"), &format!("{param}[price]"))?;
    let created = desk.now(clock_of(subscription).as_deref())?;
    let id = desk.id("si_", 14)?;
    let rates = tax_rates::named(desk, &given["tax_rates"], &format!("{param}[tax_rates]"))?;
    Ok(json!({
        "id": id, "object": "subscription_item", "billing_thresholds": null, "created": created, "current_period_end": 0,
        "current_period_start": 0, "current_trial": null, "discounts": [],
        "metadata": merge_metadata(&Value::Null, &given["metadata"]), "plan": prices::as_plan(&price), "price": price,
        "quantity": quantity(given, param)?, "subscription": subscription["id"], "tax_rates": rates.iter().map(plain).collect::<Value>(), "_rate": 0,
    }))
}

/// A price that a subscription can have.
pub(super) fn price_for(desk: &mut Desk<'_>, id: &str, param: &str) -> Done {
    let price = desk.need_param("price", id, param)?;
    prices::interval(&price)?;
    if price["active"] != true {
        let message = "The price specified is inactive. This field only accepts active prices.";
        return Err(ApiError::invalid(message).param(param));
    }
    Ok(price)
}

/// A given quantity, 1 when left out.
pub(super) fn quantity(given: &Value, param: &str) -> Done<i64> {
    match given.get("quantity").and_then(Value::as_i64) {
        None => Ok(1),
        Some(quantity @ 0..=1_000_000) => Ok(quantity),
        Some(_) => {
            let param = format!("{param}[quantity]");
            Err(ApiError::invalid("Invalid quantity: must be between 0 and 1000000").param(&param))
        }
    }
}

/// Items of one subscription share currency and interval.
pub(super) fn check_items(items: &[Value]) -> Done<()> {
    let Some(first) = items.first() else {
        return Err(ApiError::invalid("A subscription must have at least one item.").param("items"));
    };
    let terms = |item: &Value| {
        let recurring = &item["price"]["recurring"];
        (item["price"]["currency"].clone(), recurring["interval"].clone(), recurring["interval_count"].clone())
    };
    if items.iter().any(|item| terms(item) != terms(first)) {
        let message = "All prices on a subscription must have the same currency and the same `recurring.interval`.";
        return Err(ApiError::invalid(message).param("items"));
    }
    let mut prices: Vec<&str> = items.iter().map(|item| text(&item["price"], "id")).collect();
    prices.sort_unstable();
    if prices.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "Cannot add multiple subscription items with the same price.";
        return Err(ApiError::invalid(message).param("items"));
    }
    Ok(())
}

/// Sets what may be given at creation and later alike.
pub(super) fn apply_settings(subscription: &mut Value, params: &Value) {
    if let Some(behaviour) = params["trial_settings"].get("end_behavior") {
        let missing = behaviour.get("missing_payment_method").cloned().unwrap_or_else(|| "create_invoice".into());
        subscription["trial_settings"] = json!({
            "end_behavior": { "billing_cycle_anchor": "now", "missing_payment_method": missing },
        });
    }
    if let Some(save) = params["payment_settings"].get("save_default_payment_method") {
        subscription["payment_settings"]["save_default_payment_method"] = save.clone();
    }
    if params.get("description").is_some() {
        subscription["description"] = crate::desk::text_or_null(params, "description");
    }
    if let Some(metadata) = params.get("metadata") {
        subscription["metadata"] = merge_metadata(&subscription["metadata"], metadata);
    }
}

/// Sets or undoes a cancellation to come.
pub(super) fn apply_cancellation(subscription: &mut Value, params: &Value, now: i64) -> Done<()> {
    let (_, end) = life::period(subscription);
    match params["cancel_at_period_end"].as_bool() {
        Some(true) => {
            subscription["cancel_at_period_end"] = true.into();
            subscription["cancel_at"] = end.into();
            subscription["canceled_at"] = now.into();
            subscription["cancellation_details"]["reason"] = "cancellation_requested".into();
        }
        Some(false) => undo_cancellation(subscription),
        None => {}
    }
    match params.get("cancel_at") {
        Some(Value::Number(at)) => {
            let at = at.as_i64().unwrap_or_default();
            if !(now + 1..=TIME_MAX).contains(&at) {
                return Err(ApiError::invalid("`cancel_at` must be a timestamp in the future").param("cancel_at"));
            }
            subscription["cancel_at"] = at.into();
            subscription["cancel_at_period_end"] = false.into();
            subscription["canceled_at"] = now.into();
            subscription["cancellation_details"]["reason"] = "cancellation_requested".into();
        }
        Some(_) => undo_cancellation(subscription),
        None => {}
    }
    Ok(())
}

fn undo_cancellation(subscription: &mut Value) {
    subscription["cancel_at_period_end"] = false.into();
    for member in ["cancel_at", "canceled_at"] {
        subscription[member] = Value::Null;
    }
    subscription["cancellation_details"] =
        json!({ "comment": null, "feedback": null, "feedback_option": null, "reason": null });
}

/// The 400 for a charge that has nothing to charge.
pub(super) fn no_payment_method() -> ApiError {
    let message = "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://docs.stripe.com/billing/subscriptions/payment-methods-setting#payment-method-priority.";
    ApiError::invalid(message).code("resource_missing")
}

/// Refuses a charge that would find no payment method.
pub(super) fn need_method(desk: &mut Desk<'_>, subscription: &Value) -> Done<()> {
    match collection::method_of(desk, subscription)? {
        Some(_) => Ok(()),
        None => Err(no_payment_method()),
    }
}

/// A copy of the items.
pub(super) fn items_of(subscription: &Value) -> Vec<Value> {
    subscription["items"]["data"].as_array().cloned().unwrap_or_default()
}

/// Whether a moment lies in the period of an item, both ends included.
pub(super) fn lies_in(at: i64, item: &Value) -> bool {
    (int(item, "current_period_start")..=int(item, "current_period_end")).contains(&at)
}
