//! Subscription schedules: what a subscription becomes when its running phase ends.
//!
//! Only schedules made from a subscription, whose running phase is the subscription as it is. A phase begins with a period:
//! `life.rs` asks [`enter_phase`] at every renewal. Sources: `../shared/reference/stripe.md` b.8.

use serde_json::{Value, json};

use super::lists::{created_fits, list};
use super::{Call, Route, life, prices, subscriptions};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, int, merge_metadata, text};
use crate::store::Keys;

const UPDATE: &str = "phases:[{items!:[{price! quantity:int}] start_date:int|now end_date:int \
    duration:{interval!:(day,month,week,year) interval_count:int} proration_behavior:(always_invoice,create_prorations,none) \
    billing_cycle_anchor:(automatic,phase_start) metadata:map}] end_behavior:(cancel,release) \
    proration_behavior:(always_invoice,create_prorations,none) metadata:map";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/subscription_schedules", "from_subscription!", create),
    Route::list(
        "/v1/subscription_schedules",
        "customer created:int|{gt:int gte:int lt:int lte:int} scheduled:bool",
        index,
    ),
    Route::new("GET", "/v1/subscription_schedules/{id}", "", retrieve),
    Route::new("POST", "/v1/subscription_schedules/{id}", UPDATE, update),
    Route::new("POST", "/v1/subscription_schedules/{id}/release", "preserve_cancel_date:bool", release),
    Route::new("POST", "/v1/subscription_schedules/{id}/cancel", "invoice_now:(false) prorate:(false)", cancel),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let id = text(&call.params, "from_subscription").to_owned();
    let subscription = call.desk.need_param("subscription", &id, "from_subscription")?;
    let status = text(&subscription, "status");
    if matches!(status, "canceled" | "incomplete" | "incomplete_expired") {
        let message = format!("You cannot migrate a subscription in the `{status}` status to a schedule.");
        return Err(ApiError::invalid(message).param("from_subscription"));
    }
    if !subscription["schedule"].is_null() {
        let message = "You cannot migrate a subscription that is already attached to a schedule.";
        return Err(ApiError::invalid(message).param("from_subscription"));
    }
    let schedule = blank(call.desk, &subscription)?;
    let schedule = call.desk.create(schedule, "subscription_schedule.created")?;
    let mut scheduled = subscription.clone();
    scheduled["schedule"] = schedule["id"].clone();
    call.desk.change(&subscription, scheduled, "customer.subscription.updated")?;
    Ok(schedule)
}

fn blank(desk: &mut Desk<'_>, subscription: &Value) -> Done {
    let (start, end) = life::period(subscription);
    let items = subscriptions::items_of(subscription);
    let items: Vec<Value> = items.iter().map(|item| phase_item(&item["price"], int(item, "quantity"))).collect();
    let created = desk.now_of(subscription)?;
    let id = desk.id("sub_sched_", 24)?;
    Ok(json!({
        "id": id, "object": "subscription_schedule", "application": null,
        "billing_mode": { "flexible": subscription["billing_mode"]["flexible"], "type": subscription["billing_mode"]["type"] },
        "canceled_at": null, "completed_at": null, "created": created,
        "current_phase": { "start_date": start, "end_date": end }, "customer": subscription["customer"],
        "customer_account": null,
        "default_settings": {
            "application_fee_percent": null, "billing_cycle_anchor": "automatic", "billing_thresholds": null,
            "collection_method": "charge_automatically", "default_payment_method": null, "description": null,
            "invoice_settings": {
                "account_tax_ids": null, "custom_fields": null, "days_until_due": null, "description": null, "footer": null,
                "issuer": { "type": "self" },
            },
            "on_behalf_of": null, "transfer_data": null,
        },
        "end_behavior": "release", "livemode": false, "metadata": {}, "pause_schedules": [],
        "phases": [phase(items, (start, end), subscription)], "released_at": null, "released_subscription": null,
        "status": "active", "subscription": subscription["id"], "test_clock": clock_of(subscription),
        "_clock": clock_of(subscription),
    }))
}

fn phase(items: Vec<Value>, (start, end): (i64, i64), subscription: &Value) -> Value {
    json!({
        "add_invoice_items": [], "application_fee_percent": null, "billing_cycle_anchor": null, "billing_thresholds": null,
        "collection_method": null, "currency": subscription["currency"], "default_payment_method": null,
        "default_tax_rates": [], "description": null, "discounts": [], "end_date": end, "invoice_settings": null,
        "items": items, "metadata": {}, "on_behalf_of": null, "proration_behavior": "create_prorations",
        "start_date": start, "transfer_data": null, "trial_end": null,
    })
}

fn phase_item(price: &Value, quantity: i64) -> Value {
    json!({
        "billing_thresholds": null, "discounts": [], "metadata": {}, "plan": price["id"], "price": price["id"],
        "quantity": quantity, "tax_rates": [],
    })
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("subscription_schedule", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "subscription_schedule", customer: params["customer"].as_str(), ..Keys::default() };
    list(call, &keys, "/v1/subscription_schedules", |schedule| created_fits(schedule, &params["created"]))
}

/// The schedule of the path, which still does something.
fn running(call: &mut Call<'_, '_>) -> Done<(Value, Value)> {
    let schedule = retrieve(call)?;
    let status = text(&schedule, "status");
    if status != "active" {
        let message = format!("This schedule is in the `{status}` status and cannot be changed.");
        return Err(ApiError::invalid(message));
    }
    let subscription = call.desk.need("subscription", text(&schedule, "subscription"))?;
    Ok((schedule, subscription))
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let (before, subscription) = running(call)?;
    let mut after = before.clone();
    let params = call.params.clone();
    if params.get("phases").is_some() {
        after["phases"] = phases(call.desk, &before, &subscription, &params)?.into();
    }
    if let Some(behaviour) = params.get("end_behavior") {
        after["end_behavior"] = behaviour.clone();
    }
    if let Some(metadata) = params.get("metadata") {
        after["metadata"] = merge_metadata(&after["metadata"], metadata);
    }
    let after = call.desk.change(&before, after, "subscription_schedule.updated")?;
    // At Stripe the subscription's own event follows from the new phases as well.
    call.desk.emit("customer.subscription.updated", &subscription, Some(json!({})))?;
    Ok(after)
}

fn phases(desk: &mut Desk<'_>, schedule: &Value, subscription: &Value, params: &Value) -> Done<Vec<Value>> {
    let given = params["phases"].as_array().cloned().unwrap_or_default();
    let mut phases: Vec<Value> = Vec::with_capacity(given.len());
    for (index, wanted) in given.iter().enumerate() {
        let param = format!("phases[{index}]");
        let follows = phases.last().map(|phase| int(phase, "end_date"));
        let start = match (follows, wanted["start_date"].as_i64()) {
            (Some(end), given) if given.is_none_or(|start| start == end) => end,
            (None, Some(start)) if start == int(&schedule["current_phase"], "start_date") => start,
            _ => {
                let message = "You can not modify the start date of the current phase, and phases follow each other.";
                return Err(ApiError::invalid(message).param(&format!("{param}[start_date]")));
            }
        };
        let mut items = Vec::new();
        for (number, item) in wanted["items"].as_array().into_iter().flatten().enumerate() {
            let param = format!("{param}[items][{number}]");
            let price = subscriptions::price_for(desk, text(item, "price"), &format!("{param}[price]"))?;
            items.push((phase_item(&price, subscriptions::quantity(item, &param)?), price));
        }
        let end = end_of(wanted, start, items.first().map(|(_, price)| price), &param)?;
        let items = items.into_iter().map(|(item, _)| item).collect();
        let mut phase = phase(items, (start, end), subscription);
        for member in ["proration_behavior", "billing_cycle_anchor"] {
            if let Some(value) = wanted.get(member) {
                phase[member] = value.clone();
            }
        }
        phases.push(phase);
    }
    check_running(&phases, schedule)?;
    Ok(phases)
}

fn end_of(wanted: &Value, start: i64, price: Option<&Value>, param: &str) -> Done<i64> {
    let end = match (wanted["end_date"].as_i64(), wanted.get("duration"), price) {
        (Some(end), _, _) => end,
        (None, Some(duration), _) => {
            let every = json!({ "recurring": {
                "interval": duration["interval"], "interval_count": duration["interval_count"].as_i64().unwrap_or(1),
            } });
            prices::interval(&every)?.period_at(start, start).1
        }
        (None, None, Some(price)) => prices::interval(price)?.period_at(start, start).1,
        (None, None, None) => start,
    };
    if end <= start {
        let message = "The end date has to be after the start date.";
        return Err(ApiError::invalid(message).param(&format!("{param}[end_date]")));
    }
    Ok(end)
}

/// The sandbox leaves the running phase as it is: a change of it is an update of the subscription.
fn check_running(phases: &[Value], schedule: &Value) -> Done<()> {
    let shown = |phase: &Value| -> Vec<(Value, i64)> {
        let items = phase["items"].as_array().into_iter().flatten();
        items.map(|item| (item["price"].clone(), int(item, "quantity"))).collect()
    };
    match phases.first() {
        Some(first) if shown(first) == shown(&schedule["phases"][0]) => Ok(()),
        _ => Err(ApiError::invalid("The sandbox does not change the running phase.").param("phases[0]")),
    }
}

fn release(call: &mut Call<'_, '_>) -> Done {
    let (schedule, subscription) = running(call)?;
    let released = let_go(call.desk, &schedule)?;
    let mut free = subscription.clone();
    free["schedule"] = Value::Null;
    call.desk.change(&subscription, free, "customer.subscription.updated")?;
    Ok(released)
}

/// The schedule ends, and the subscription goes on as it is.
fn let_go(desk: &mut Desk<'_>, schedule: &Value) -> Done {
    let mut released = schedule.clone();
    released["status"] = "released".into();
    released["released_at"] = desk.now_of(schedule)?.into();
    released["released_subscription"] = schedule["subscription"].clone();
    released["subscription"] = Value::Null;
    released["current_phase"] = Value::Null;
    desk.save(&released)?;
    desk.emit("subscription_schedule.released", &released, None)?;
    Ok(released)
}

fn cancel(call: &mut Call<'_, '_>) -> Done {
    let (schedule, subscription) = running(call)?;
    life::cancel_now(call.desk, &subscription, json!("cancellation_requested"))?;
    let id = text(&schedule, "id").to_owned();
    call.desk.need("subscription_schedule", &id)
}

/// A subscription that ends takes its schedule along.
pub(super) fn end_with(desk: &mut Desk<'_>, subscription: &Value) -> Done<()> {
    let Some(id) = id_in(&subscription["schedule"]) else { return Ok(()) };
    let mut schedule = desk.need("subscription_schedule", id)?;
    schedule["status"] = "canceled".into();
    schedule["canceled_at"] = desk.now_of(subscription)?.into();
    schedule["current_phase"] = Value::Null;
    desk.save(&schedule)?;
    desk.emit("subscription_schedule.canceled", &schedule, None)
}

/// The subscription as it begins the period at `at`: in the phase that begins then, free once the last phase is over.
pub(super) fn enter_phase(desk: &mut Desk<'_>, subscription: &Value, at: i64) -> Done {
    let mut after = subscription.clone();
    let Some(id) = id_in(&subscription["schedule"]) else { return Ok(after) };
    let before = desk.need("subscription_schedule", id)?;
    let phases = before["phases"].as_array().cloned().unwrap_or_default();
    let Some(phase) = phases.iter().find(|phase| (int(phase, "start_date")..int(phase, "end_date")).contains(&at))
    else {
        let_go(desk, &before)?;
        after["schedule"] = Value::Null;
        return Ok(after);
    };
    if int(phase, "start_date") == int(&before["current_phase"], "start_date") {
        return Ok(after);
    }
    let mut items = subscriptions::items_of(&after);
    for (item, wanted) in items.iter_mut().zip(phase["items"].as_array().into_iter().flatten()) {
        let price = desk.need("price", text(wanted, "price"))?;
        item["plan"] = prices::as_plan(&price);
        item["price"] = price;
        item["quantity"] = wanted["quantity"].clone();
    }
    after["items"]["data"] = items.into();
    if phase["billing_cycle_anchor"] == "phase_start" {
        after["billing_cycle_anchor"] = at.into();
    }
    let mut entered = before.clone();
    entered["current_phase"] = json!({ "start_date": phase["start_date"], "end_date": phase["end_date"] });
    desk.change(&before, entered, "subscription_schedule.updated")?;
    Ok(after)
}
