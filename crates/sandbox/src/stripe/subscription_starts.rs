//! Creating a subscription: with a trial, or with a first invoice that is paid, waits, or fails.

use serde_json::{Value, json};

use super::collection::{self, Collected, Then};
use super::invoice_drafts::{self, Charge, Draft, Entry};
use super::{Call, discounts, life, payment_methods, prices, setup_intents, subscriptions, taxes};
use crate::api_error::ApiError;
use crate::calendar::DAY;
use crate::desk::{Desk, Done, clock_of, int, text};
use crate::render::list_of;

/// Stripe's limit on a trial.
const TRIAL_DAYS_MAX: i64 = 730;

pub(super) fn create(call: &mut Call<'_, '_>) -> Done {
    let customer = text(&call.params, "customer").to_owned();
    let customer = call.desk.need_param("customer", &customer, "customer")?;
    if customer["deleted"] == true {
        return Err(ApiError::missing("customer", text(&customer, "id")).param("customer"));
    }
    let now = call.desk.now_of(&customer)?;
    let trial_end = trial_end(&call.params, now)?;
    let mut subscription = blank(call.desk, &customer, now)?;
    fill(call, &mut subscription, text(&customer, "id"))?;
    currency(call, &mut subscription, &customer)?;
    discounts::set(call.desk, &mut subscription, &call.params["discounts"])?;
    taxes::set(call.desk, &mut subscription, &call.params)?;
    match trial_end {
        Some(end) => start_trial(call, subscription, &customer, end),
        None => start_paying(call, subscription),
    }
}

fn trial_end(params: &Value, now: i64) -> Done<Option<i64>> {
    let end = match (params["trial_period_days"].as_i64(), &params["trial_end"]) {
        (Some(_), Value::Number(_)) => {
            let message = "You may only specify one of these parameters: trial_end, trial_period_days.";
            return Err(ApiError::invalid(message).code("parameters_exclusive").param("trial_end"));
        }
        (Some(days), _) if days < 0 => {
            return Err(ApiError::invalid("Invalid trial_period_days").param("trial_period_days"));
        }
        (Some(days), _) => now.saturating_add(days.saturating_mul(DAY)),
        (None, Value::Number(end)) => end.as_i64().unwrap_or_default(),
        (None, _) => return Ok(None),
    };
    if end > now + TRIAL_DAYS_MAX * DAY {
        let message = format!("Invalid timestamp: can be no more than {TRIAL_DAYS_MAX} days in the future");
        return Err(ApiError::invalid(message).param("trial_end"));
    }
    Ok((end > now).then_some(end))
}

fn blank(desk: &mut Desk<'_>, customer: &Value, now: i64) -> Done {
    let id = desk.id("sub_", 24)?;
    let clock = clock_of(customer);
    Ok(json!({
        "id": id, "object": "subscription", "application": null, "application_fee_percent": null,
        "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null }, "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": null, "billing_mode": { "flexible": { "proration_discounts": "included" }, "type": "flexible" },
        "billing_schedules": [], "billing_thresholds": null, "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null,
        "cancellation_details": { "comment": null, "feedback": null, "feedback_option": null, "reason": null },
        "collection_method": "charge_automatically", "created": now, "currency": "", "customer": customer["id"],
        "customer_account": null, "days_until_due": null, "default_payment_method": null, "default_source": null,
        "default_tax_rates": [], "description": null, "discounts": [], "ended_at": null,
        "invoice_settings": {
            "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null, "issuer": { "type": "self" },
        },
        "items": list_of(Vec::new(), &format!("/v1/subscription_items?subscription={id}")), "latest_invoice": null,
        "livemode": false, "managed_payments": { "enabled": false }, "metadata": {}, "next_pending_invoice_item_invoice": null,
        "on_behalf_of": null, "pause_collection": null,
        "payment_settings": {
            "payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": null, "pending_setup_intent": null, "pending_update": null, "schedule": null,
        "start_date": now, "status": "active", "test_clock": clock, "transfer_data": null, "trial_end": null,
        "trial_settings": { "end_behavior": { "billing_cycle_anchor": "now", "missing_payment_method": "create_invoice" } },
        "trial_start": null, "_clock": clock,
    }))
}

fn fill(call: &mut Call<'_, '_>, subscription: &mut Value, customer: &str) -> Done<()> {
    let mut items = Vec::new();
    for (index, given) in call.params["items"].as_array().cloned().unwrap_or_default().iter().enumerate() {
        items.push(subscriptions::new_item(call.desk, subscription, given, &format!("items[{index}]"))?);
    }
    subscriptions::check_items(&items)?;
    subscription["currency"] = items[0]["price"]["currency"].clone();
    subscription["items"]["data"] = items.into();
    subscriptions::apply_settings(subscription, &call.params);
    if call.params["billing_mode"]["type"] == "classic" {
        subscription["billing_mode"] = json!({ "flexible": null, "type": "classic" });
    }
    if let Some(method) = call.params["default_payment_method"].as_str().map(str::to_owned) {
        let method = payment_methods::attached_to(call.desk, &method, customer, "default_payment_method")?;
        subscription["default_payment_method"] = method.into();
    }
    Ok(())
}

/// A customer pays in one currency.
fn currency(call: &mut Call<'_, '_>, subscription: &mut Value, customer: &Value) -> Done<()> {
    let given = call.params["currency"].as_str().map(str::to_lowercase);
    if given.is_some_and(|given| subscription["currency"] != given) {
        let message = "The price specified does not support the requested currency.";
        return Err(ApiError::invalid(message).param("currency"));
    }
    match customer["currency"].as_str() {
        Some(currency) if subscription["currency"] != currency => {
            let message =
                format!("You cannot combine currencies on a single customer. This customer has currency {currency}.");
            Err(ApiError::invalid(message).param("items"))
        }
        Some(_) => Ok(()),
        None => {
            let mut with = customer.clone();
            with["currency"] = subscription["currency"].clone();
            call.desk.save(&with)
        }
    }
}

fn start_trial(call: &mut Call<'_, '_>, mut subscription: Value, customer: &Value, end: i64) -> Done {
    let now = int(&subscription, "created");
    let mut lines = Vec::new();
    let mut items = subscriptions::items_of(&subscription);
    for item in &mut items {
        item["current_period_start"] = now.into();
        item["current_period_end"] = end.into();
        lines.push(invoice_drafts::line(call.desk, item, Entry(Charge::Trial, 0, (now, end)))?);
    }
    subscription["items"]["data"] = items.into();
    for (member, value) in [
        ("status", json!("trialing")),
        ("trial_start", now.into()),
        ("trial_end", end.into()),
        ("billing_cycle_anchor", end.into()),
    ] {
        subscription[member] = value;
    }
    subscriptions::apply_cancellation(&mut subscription, &call.params, now)?;
    if collection::method_of(call.desk, &subscription)?.is_none() {
        let intent = setup_intents::new(call.desk, customer, "off_session")?;
        let intent = call.desk.create(intent, "setup_intent.created")?;
        subscription["pending_setup_intent"] = intent["id"].clone();
    }
    call.desk.insert(&subscription)?;
    let invoice = first_invoice(call.desk, &subscription, lines)?;
    subscription["latest_invoice"] = invoice["id"].clone();
    call.desk.save(&subscription)?;
    call.desk.emit("customer.subscription.created", &subscription, None)?;
    collection::finalize(call.desk, &invoice)?;
    life::announce_short_trial(call.desk, &subscription)?;
    life::plan(call.desk, &subscription)?;
    Ok(subscription)
}

fn first_invoice(desk: &mut Desk<'_>, subscription: &Value, lines: Vec<Value>) -> Done {
    let now = int(subscription, "created");
    let draft = Draft { subscription, reason: "subscription_create", lines, period: (now, now), finalizes_at: None };
    invoice_drafts::create(desk, draft)
}

fn start_paying(call: &mut Call<'_, '_>, mut subscription: Value) -> Done {
    let now = int(&subscription, "created");
    if let Some(anchor) = call.params["billing_cycle_anchor"].as_i64() {
        check_anchor(&subscription, anchor, now)?;
        subscription["billing_cycle_anchor"] = anchor.into();
    }
    let mut lines = life::begin_period(call.desk, &mut subscription, now)?;
    if call.params["proration_behavior"] == "none" && call.has("billing_cycle_anchor") {
        lines.clear();
    }
    subscriptions::apply_cancellation(&mut subscription, &call.params, now)?;
    let behaviour = call.params["payment_behavior"].as_str().unwrap_or("allow_incomplete").to_owned();
    call.desk.insert(&subscription)?;
    let invoice = first_invoice(call.desk, &subscription, lines)?;
    subscription["latest_invoice"] = invoice["id"].clone();
    call.desk.save(&subscription)?;
    if behaviour != "default_incomplete" && int(&invoice, "amount_due") > 0 {
        subscriptions::need_method(call.desk, &subscription)?;
    }
    let invoice = collection::finalize(call.desk, &invoice)?;
    if invoice["status"] == "open" && !first_payment(call.desk, &invoice, &behaviour)? {
        subscription["status"] = "incomplete".into();
        call.desk.save(&subscription)?;
        call.desk.appoint(&subscription, life::EXPIRE, now + life::FIRST_PAYMENT_SECONDS)?;
    }
    call.desk.emit("customer.subscription.created", &subscription, None)?;
    life::plan(call.desk, &subscription)?;
    Ok(subscription)
}

fn check_anchor(subscription: &Value, anchor: i64, now: i64) -> Done<()> {
    let item = &subscription["items"]["data"][0];
    let latest = prices::interval(&item["price"])?.step(now, 1);
    if anchor > now && anchor <= latest {
        return Ok(());
    }
    let message = "billing_cycle_anchor must lie in the future and cannot be later than the next natural billing date.";
    Err(ApiError::invalid(message).param("billing_cycle_anchor"))
}

/// Whether the first invoice got paid.
fn first_payment(desk: &mut Desk<'_>, invoice: &Value, behaviour: &str) -> Done<bool> {
    if behaviour == "default_incomplete" {
        return Ok(false);
    }
    match collection::collect(desk, invoice, None, Then::Stop)? {
        Collected::Paid => Ok(true),
        Collected::Declined(refusal) if behaviour == "error_if_incomplete" => {
            Err(collection::declined(refusal).rolled_back())
        }
        Collected::NeedsAction if behaviour == "error_if_incomplete" => {
            let message = "Payment for this subscription requires additional user action before it can be completed successfully.";
            Err(ApiError::card("subscription_payment_intent_requires_action", None, message).rolled_back())
        }
        _ => Ok(false),
    }
}
