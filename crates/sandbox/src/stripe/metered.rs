//! Items with a metered price: they cost nothing in advance; what their meter counted in a period stands on the invoice of its end,
//! and is counted anew when that invoice becomes final, so that what was reported within the hour is on it.

use serde_json::{Value, json};

use super::invoice_drafts::{self, Draft, Stretch};
use super::{Call, Route, collection, invoice_items, life, meters, prices, proration, subscriptions};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, int, merge_metadata, text};
use crate::render::list_of;

const CREATE: &str = "subscription! price! quantity:int metadata:map \
    proration_behavior:(create_prorations,none,always_invoice) payment_behavior:(allow_incomplete,default_incomplete,error_if_incomplete,pending_if_incomplete)";
const UPDATE: &str = "price metadata:map proration_behavior:(create_prorations,none,always_invoice)";
const DELETE: &str = "clear_usage:bool proration_behavior:(create_prorations,none,always_invoice)";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/subscription_items", CREATE, create),
    Route::list("/v1/subscription_items", "subscription!", index),
    Route::new("GET", "/v1/subscription_items/{id}", "", retrieve),
    Route::new("POST", "/v1/subscription_items/{id}", UPDATE, update),
    Route::new("DELETE", "/v1/subscription_items/{id}", DELETE, delete),
];

/// Whether an item is charged by what a meter counts.
pub(super) fn is_metered(item: &Value) -> bool {
    item["price"]["recurring"]["usage_type"] == "metered"
}

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let subscription = call.desk.need_param("subscription", text(&params, "subscription"), "subscription")?;
    if matches!(text(&subscription, "status"), "canceled" | "incomplete_expired") {
        return Err(ApiError::invalid("A canceled subscription can only update its cancellation_details."));
    }
    let mut item = subscriptions::new_item(call.desk, &subscription, &params, "")?;
    if !is_metered(&item) {
        return Err(only_metered());
    }
    if params.get("quantity").is_some() {
        let message = "`quantity` should not be specified where usage_type is metered.";
        return Err(ApiError::invalid(message).param("quantity"));
    }
    let (start, end) = life::period(&subscription);
    item["current_period_start"] = start.into();
    item["current_period_end"] = end.into();
    if let Some(item) = item.as_object_mut() {
        item.remove("quantity");
    }
    let mut after = subscription.clone();
    let mut items = subscriptions::items_of(&after);
    items.push(item.clone());
    subscriptions::check_items(&items)?;
    after["items"]["data"] = items.into();
    call.desk.change(&subscription, after, "customer.subscription.updated")?;
    Ok(item)
}

/// The sandbox changes counted items with their subscription.
fn only_metered() -> ApiError {
    ApiError::invalid("The sandbox adds and changes single items only where their price is metered.").param("price")
}

/// The subscription that has an item, and the item's place in it.
fn owner(call: &mut Call<'_, '_>) -> Done<(Value, usize)> {
    let id = call.id().to_owned();
    for subscription in call.desk.all("subscription", None, None)? {
        let place = subscriptions::items_of(&subscription).iter().position(|item| item["id"] == id);
        if let Some(place) = place {
            return Ok((subscription, place));
        }
    }
    Err(ApiError::missing("subscription_item", &id))
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let (subscription, place) = owner(call)?;
    Ok(subscription["items"]["data"][place].clone())
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let id = text(&call.params, "subscription").to_owned();
    let subscription = call.desk.need_param("subscription", &id, "subscription")?;
    let url = format!("/v1/subscription_items?subscription={id}");
    let items = subscriptions::items_of(&subscription);
    Ok(list_of(items.iter().map(crate::render::plain).collect(), &url))
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let (before, place) = owner(call)?;
    let mut after = before.clone();
    let item = &mut after["items"]["data"][place];
    if !is_metered(item) {
        return Err(only_metered());
    }
    if let Some(price) = call.params["price"].as_str() {
        let price = subscriptions::price_for(call.desk, price, "price")?;
        item["plan"] = prices::as_plan(&price);
        item["price"] = price;
        if !is_metered(item) {
            return Err(only_metered());
        }
    }
    if let Some(metadata) = call.params.get("metadata") {
        item["metadata"] = merge_metadata(&item["metadata"], metadata);
    }
    let item = item.clone();
    subscriptions::check_items(&subscriptions::items_of(&after))?;
    call.desk.change(&before, after, "customer.subscription.updated")?;
    Ok(item)
}

fn delete(call: &mut Call<'_, '_>) -> Done {
    let (before, place) = owner(call)?;
    let mut items = subscriptions::items_of(&before);
    let item = items.remove(place);
    if !is_metered(&item) {
        return Err(only_metered());
    }
    let mut after = before.clone();
    after["items"]["data"] = items.into();
    call.desk.change(&before, after, "customer.subscription.updated")?;
    Ok(json!({ "id": item["id"], "object": "subscription_item", "deleted": true }))
}

/// The lines for what the meters of a subscription counted in the period that ends.
pub(super) fn lines(desk: &mut Desk<'_>, subscription: &Value) -> Done<Vec<Value>> {
    let mut lines = Vec::new();
    if subscription["status"] == "trialing" {
        return Ok(lines);
    }
    for item in subscriptions::items_of(subscription).iter().filter(|item| is_metered(item)) {
        let period = (int(item, "current_period_start"), int(item, "current_period_end"));
        lines.push(line(desk, subscription, item, period)?);
    }
    Ok(lines)
}

fn line(desk: &mut Desk<'_>, subscription: &Value, item: &Value, period: Stretch) -> Done {
    let customer = id_in(&subscription["customer"]).unwrap_or_default().to_owned();
    let units = meters::usage(desk, &item["price"], &customer, period)?;
    let amount = proration::full_amount(&item["price"], blocks(&item["price"], units));
    let id = desk.id("il_", 24)?;
    let price = &item["price"];
    let name = prices::product_name(desk, price)?;
    Ok(json!({
        "id": id, "object": "line_item", "amount": amount, "currency": price["currency"],
        "description": format!("{units} × {name}"), "discount_amounts": [], "discountable": true, "discounts": [],
        "invoice": null, "livemode": false, "metadata": item["metadata"],
        "parent": {
            "type": "subscription_item_details", "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": false, "proration_details": { "credited_items": null },
                "subscription": item["subscription"], "subscription_item": item["id"],
            },
        },
        "period": { "start": period.0, "end": period.1 }, "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details", "price_details": { "price": price["id"], "product": price["product"] },
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": units, "quantity_decimal": units.to_string(), "subscription": item["subscription"],
        "subtotal": amount, "taxes": [], "_metered": price,
    }))
}

/// Units as the price counts them: begun or full blocks where it transforms them.
fn blocks(price: &Value, units: i64) -> i64 {
    let transform = &price["transform_quantity"];
    let size = int(transform, "divide_by").max(1);
    if transform["round"] == "up" { units.saturating_add(size - 1).div_euclid(size) } else { units.div_euclid(size) }
}

/// Counts the metered lines of a draft anew; the total follows.
pub(super) fn refresh(desk: &mut Desk<'_>, draft: &Value) -> Done {
    let metered = |line: &Value| line["_metered"].is_object();
    if !draft["lines"]["data"].as_array().is_some_and(|lines| lines.iter().any(metered)) {
        return Ok(draft.clone());
    }
    let customer = id_in(&draft["customer"]).unwrap_or_default().to_owned();
    let mut after = draft.clone();
    let mut differs = false;
    for line in after["lines"]["data"].as_array_mut().into_iter().flatten().filter(|line| metered(line)) {
        let period = (int(&line["period"], "start"), int(&line["period"], "end"));
        let price = line["_metered"].clone();
        let units = meters::usage(desk, &price, &customer, period)?;
        if units == int(line, "quantity") {
            continue;
        }
        differs = true;
        let amount = proration::full_amount(&price, blocks(&price, units));
        line["description"] = format!("{units} × {}", prices::product_name(desk, &price)?).into();
        line["quantity"] = units.into();
        line["quantity_decimal"] = units.to_string().into();
        line["amount"] = amount.into();
        line["subtotal"] = amount.into();
    }
    if differs { invoice_items::recompute(desk, draft, after) } else { Ok(after) }
}

/// The last invoice of a subscription that ended with its period: what its meters counted in it.
pub(super) fn last_invoice(desk: &mut Desk<'_>, before: &Value, ended: &Value, finalizes_at: i64) -> Done<()> {
    let lines = lines(desk, before)?;
    if lines.is_empty() {
        return Ok(());
    }
    let draft = Draft {
        subscription: ended,
        reason: "subscription_cycle",
        lines,
        period: life::period(before),
        finalizes_at: Some(finalizes_at),
    };
    let invoice = invoice_drafts::create(desk, draft)?;
    desk.appoint(&invoice, collection::FINALIZE, finalizes_at)
}
