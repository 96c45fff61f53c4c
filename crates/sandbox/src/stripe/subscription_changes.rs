//! Changing a subscription: items with prorations, the end of a trial, cancellation, and changes held until they are paid.
//!
//! A change is first worked out as a whole ([`work_out`]: the subscription afterwards, the invoice lines and when they are
//! billed) and then either previewed or carried out. Sources: `../shared/reference/stripe.md` b.6, b.7, b.9 and d.

use serde_json::{Value, json};

use super::collection::{self, Collected, Then};
use super::invoice_drafts::{self, Charge, Draft, Entry};
use super::{Call, discounts, life, metered, payment_methods, prices, proration, subscriptions, taxes};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, int, text};
use crate::render::plain;

/// Task: a held change was not paid in time.
pub(super) const EXPIRE: &str = "subscription.pending_update_expire";

/// How long a change is held.
const PENDING_SECONDS: i64 = 23 * 3_600;
/// What may accompany `payment_behavior=pending_if_incomplete` of what the sandbox knows.
const PENDING_PARAMS: [&str; 10] = [
    "expand",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "billing_cycle_anchor",
    "items",
    "discounts",
    "trial_end",
    "metadata",
    "cancel_at_period_end",
];

/// When the lines of a change are billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bill {
    Never,
    WithTheNextInvoice,
    Now,
}

/// A change worked out.
struct Change {
    after: Value,
    lines: Vec<Value>,
    bill: Bill,
}

pub(super) fn update(call: &mut Call<'_, '_>) -> Done {
    let before = subscriptions::live(call)?;
    let pending = call.params["payment_behavior"] == "pending_if_incomplete";
    if pending {
        check_pending_params(&call.params)?;
    }
    let params = call.params.clone();
    let change = work_out(call.desk, &before, &params)?;
    if change.bill == Bill::Now {
        return if pending {
            pay_then_change(call.desk, &before, change)
        } else {
            change_then_pay(call.desk, &before, change, &params)
        };
    }
    if change.bill == Bill::WithTheNextInvoice {
        for line in &change.lines {
            invoice_drafts::keep_for_later(call.desk, &before, line)?;
        }
    }
    let after = call.desk.change(&before, change.after, "customer.subscription.updated")?;
    life::plan(call.desk, &after)?;
    Ok(after)
}

fn check_pending_params(params: &Value) -> Done<()> {
    let foreign = params.as_object().into_iter().flatten().find(|(name, _)| !PENDING_PARAMS.contains(&name.as_str()));
    match foreign {
        Some((name, _)) => {
            let message =
                format!("When `payment_behavior` is set to `pending_if_incomplete`, `{name}` cannot be passed.");
            Err(ApiError::invalid(message).param(name))
        }
        None => Ok(()),
    }
}

/// What the parameters make of a subscription, without carrying it out.
fn work_out(desk: &mut Desk<'_>, before: &Value, params: &Value) -> Done<Change> {
    let now = desk.now_of(before)?;
    let mut after = before.clone();
    subscriptions::apply_settings(&mut after, params);
    subscriptions::explain_cancellation(&mut after, params);
    match params["default_payment_method"].as_str() {
        Some("") => after["default_payment_method"] = Value::Null,
        Some(method) => {
            let customer = id_in(&before["customer"]).unwrap_or_default();
            after["default_payment_method"] =
                payment_methods::attached_to(desk, method, customer, "default_payment_method")?.into();
        }
        None => {}
    }
    change_items(desk, &mut after, params)?;
    discounts::set(desk, &mut after, &params["discounts"])?;
    taxes::set(desk, &mut after, params)?;
    let mut change = match (text(before, "status"), &params["trial_end"]) {
        ("trialing", Value::String(_)) => end_trial(desk, after, now)?,
        ("trialing", Value::Number(end)) if end.as_i64().is_some_and(|end| end <= now) => end_trial(desk, after, now)?,
        ("trialing", Value::Number(end)) => move_trial(after, end.as_i64().unwrap_or_default()),
        (_, Value::Number(_)) => {
            let message = "The sandbox does not give trials to subscriptions that are past theirs.";
            return Err(ApiError::invalid(message).param("trial_end"));
        }
        ("trialing", _) => Change { after, lines: Vec::new(), bill: Bill::Never },
        _ => prorate(desk, before, after, params)?,
    };
    subscriptions::apply_cancellation(&mut change.after, params, now)?;
    Ok(change)
}

/// Applies `items`.
fn change_items(desk: &mut Desk<'_>, after: &mut Value, params: &Value) -> Done<()> {
    let before = subscriptions::items_of(after);
    let mut items = before.clone();
    for (index, given) in params["items"].as_array().into_iter().flatten().enumerate() {
        let param = format!("items[{index}]");
        let Some(id) = given["id"].as_str() else {
            let mut item = subscriptions::new_item(desk, after, given, &param)?;
            for member in ["current_period_start", "current_period_end"] {
                item[member] = before[0][member].clone();
            }
            items.push(item);
            continue;
        };
        let Some(position) = items.iter().position(|item| item["id"] == id) else {
            let mut error = ApiError::missing("subscription_item", id).param(&format!("{param}[id]"));
            error.status = 400;
            return Err(error);
        };
        if given["deleted"] == true {
            items.remove(position);
            continue;
        }
        change_item(desk, &mut items[position], given, &param)?;
    }
    subscriptions::check_items(&items)?;
    after["currency"] = items[0]["price"]["currency"].clone();
    after["items"]["data"] = items.into();
    Ok(())
}

/// A new price without a quantity resets the quantity to 1, as at Stripe.
fn change_item(desk: &mut Desk<'_>, item: &mut Value, given: &Value, param: &str) -> Done<()> {
    if let Some(price) = given["price"].as_str() {
        let price = subscriptions::price_for(desk, price, &format!("{param}[price]"))?;
        if price["currency"] != item["price"]["currency"] {
            let message = "The price's currency differs from the subscription's.";
            return Err(ApiError::invalid(message).param(&format!("{param}[price]")));
        }
        item["plan"] = prices::as_plan(&price);
        item["price"] = price;
        if !metered::is_metered(item) {
            item["quantity"] = 1.into();
        }
    }
    if given.get("quantity").is_some() {
        item["quantity"] = subscriptions::quantity(given, param)?.into();
    }
    if let Some(metadata) = given.get("metadata") {
        item["metadata"] = crate::desk::merge_metadata(&item["metadata"], metadata);
    }
    Ok(())
}

fn end_trial(desk: &mut Desk<'_>, mut after: Value, now: i64) -> Done<Change> {
    after["status"] = "active".into();
    after["trial_end"] = now.into();
    after["billing_cycle_anchor"] = now.into();
    let lines = life::begin_period(desk, &mut after, now)?;
    Ok(Change { after, lines, bill: Bill::Now })
}

fn move_trial(mut after: Value, end: i64) -> Change {
    after["trial_end"] = end.into();
    after["billing_cycle_anchor"] = end.into();
    for item in after["items"]["data"].as_array_mut().into_iter().flatten() {
        item["current_period_end"] = end.into();
    }
    Change { after, lines: Vec::new(), bill: Bill::Never }
}

/// A change of items or anchor in a running period.
fn prorate(desk: &mut Desk<'_>, before: &Value, mut after: Value, params: &Value) -> Done<Change> {
    let now = desk.now_of(before)?;
    let (old, new) = (subscriptions::items_of(before), subscriptions::items_of(&after));
    let changed = old.len() != new.len() || !new.iter().all(|item| unchanged(item, before));
    let classic = before["billing_mode"]["type"] == "classic";
    let interval = |subscription: &Value| subscription["items"]["data"][0]["price"]["recurring"].clone();
    let other_interval = interval(before) != interval(&after);
    let reset = params["billing_cycle_anchor"]["type"] == "now" || (other_interval && classic);
    let behaviour = params["proration_behavior"].as_str().unwrap_or("create_prorations");
    let date = proration_date(before, params, behaviour, reset)?.unwrap_or(now);
    if !changed && !reset {
        return Ok(Change { after, lines: Vec::new(), bill: Bill::Never });
    }
    let mut lines = Vec::new();
    if behaviour != "none" {
        let kept = if reset || other_interval { &Value::Null } else { &after };
        lines = credits(desk, before, kept, date)?;
    }
    if reset {
        // What meters counted so far is charged with the period that ends.
        lines.extend(metered::lines(desk, before)?);
        after["billing_cycle_anchor"] = now.into();
        lines.extend(life::begin_period(desk, &mut after, now)?);
        return Ok(Change { after, lines, bill: Bill::Now });
    }
    let terms = Terms { date, charged: behaviour != "none" };
    lines.extend(debits(desk, before, &mut after, &terms)?);
    let bill = match behaviour {
        "none" => Bill::Never,
        "always_invoice" => Bill::Now,
        _ if other_interval => Bill::Now,
        _ => Bill::WithTheNextInvoice,
    };
    Ok(Change { after, lines, bill })
}

fn proration_date(before: &Value, params: &Value, behaviour: &str, reset: bool) -> Done<Option<i64>> {
    let Some(date) = params["proration_date"].as_i64() else { return Ok(None) };
    let refusal = if behaviour == "none" {
        Some("Cannot specify `proration_date` when `proration_behavior=none`.")
    } else if reset {
        Some("Cannot specify `proration_date` when the billing cycle anchor is reset.")
    } else if !subscriptions::lies_in(date, &before["items"]["data"][0]) {
        Some("`proration_date` must lie within the subscription's current period.")
    } else {
        None
    };
    refusal.map_or(Ok(Some(date)), |message| Err(ApiError::invalid(message).param("proration_date")))
}

/// The item with the same id, price and quantity as `item`, if `among` has it.
fn unchanged(item: &Value, among: &Value) -> bool {
    let same = |other: &Value| {
        other["id"] == item["id"]
            && other["price"]["id"] == item["price"]["id"]
            && other["quantity"] == item["quantity"]
    };
    among["items"]["data"].as_array().is_some_and(|others| others.iter().any(same))
}

/// Credit for what is not used of the items that `kept` does not have: of what was billed (flexible), or of the present
/// price (classic).
fn credits(desk: &mut Desk<'_>, before: &Value, kept: &Value, date: i64) -> Done<Vec<Value>> {
    let classic = before["billing_mode"]["type"] == "classic";
    let mut lines = Vec::new();
    for item in subscriptions::items_of(before) {
        if unchanged(&item, kept) {
            continue;
        }
        let (start, end) = (int(&item, "current_period_start"), int(&item, "current_period_end"));
        let billed = if classic { discounts::classic_amount(desk, before, &item, date)? } else { int(&item, "_rate") };
        let credit = -proration::share(billed, end - date, end - start);
        // Flexible billing gives no credit where nothing was charged.
        if classic || credit != 0 {
            lines.push(invoice_drafts::line(desk, &item, Entry(Charge::Unused, credit, (date, end)))?);
        }
    }
    Ok(lines)
}

/// From when on new prices count, and whether the rest of the period is charged for.
struct Terms {
    date: i64,
    charged: bool,
}

/// Charges for the rest of the period at the new prices, which items remember as their rate.
fn debits(desk: &mut Desk<'_>, before: &Value, after: &mut Value, terms: &Terms) -> Done<Vec<Value>> {
    let date = terms.date;
    let anchor = int(after, "billing_cycle_anchor");
    let amounts = discounts::full_amounts(desk, after, date)?;
    let mut items = subscriptions::items_of(after);
    let mut lines = Vec::new();
    for (item, full) in items.iter_mut().zip(amounts) {
        if unchanged(item, before) {
            continue;
        }
        let (start, end) = prices::interval(&item["price"])?.period_at(anchor, date);
        if int(item, "current_period_end") != end {
            item["current_period_start"] = date.into();
            item["current_period_end"] = end.into();
        }
        if !terms.charged {
            continue;
        }
        item["_rate"] = proration::share(full, end - int(item, "current_period_start"), end - start).into();
        let amount = proration::share(full, end - date, end - start);
        lines.push(invoice_drafts::line(desk, item, Entry(Charge::Remaining, amount, (date, end)))?);
    }
    after["items"]["data"] = items.into();
    Ok(lines)
}

fn draft(desk: &mut Desk<'_>, before: &Value, change: &Change, kept: Vec<Value>) -> Done {
    let now = desk.now_of(before)?;
    let mut lines = change.lines.clone();
    lines.extend(kept);
    let period = (life::period(before).0, now);
    let draft = Draft { subscription: &change.after, reason: "subscription_update", lines, period, finalizes_at: None };
    invoice_drafts::create(desk, draft)
}

/// The change takes effect; an unpaid invoice makes the subscription `past_due`, or undoes everything.
fn change_then_pay(desk: &mut Desk<'_>, before: &Value, mut change: Change, params: &Value) -> Done {
    let behaviour = params["payment_behavior"].as_str().unwrap_or("allow_incomplete");
    let total: i64 = change.lines.iter().map(|line| int(line, "amount")).sum();
    if total > 0 && behaviour != "default_incomplete" {
        subscriptions::need_method(desk, &change.after)?;
    }
    let kept = invoice_drafts::kept_lines(desk, before)?;
    let invoice = draft(desk, before, &change, kept)?;
    change.after["latest_invoice"] = invoice["id"].clone();
    let after = desk.change(before, change.after, "customer.subscription.updated")?;
    life::plan(desk, &after)?;
    let invoice = collection::finalize(desk, &invoice)?;
    if invoice["status"] == "open" {
        first_attempt(desk, &after, &invoice, behaviour)?;
    }
    desk.need("subscription", text(before, "id"))
}

fn first_attempt(desk: &mut Desk<'_>, after: &Value, invoice: &Value, behaviour: &str) -> Done<()> {
    if behaviour == "default_incomplete" {
        let mut waiting = after.clone();
        waiting["status"] = "past_due".into();
        return desk.change(after, waiting, "customer.subscription.updated").map(drop);
    }
    match collection::collect(desk, invoice, None, Then::RetryLater)? {
        Collected::Paid => Ok(()),
        Collected::Declined(refusal) if behaviour == "error_if_incomplete" => {
            Err(collection::declined(refusal).rolled_back())
        }
        Collected::NeedsAction if behaviour == "error_if_incomplete" => {
            let message = "Payment for this subscription requires additional user action before it can be completed successfully.";
            Err(ApiError::card("subscription_payment_intent_requires_action", None, message).rolled_back())
        }
        _ => life::payment_failed(desk, text(invoice, "id")),
    }
}

/// The change waits until its invoice is paid; until then the subscription stays as it is.
fn pay_then_change(desk: &mut Desk<'_>, before: &Value, change: Change) -> Done {
    let total: i64 = change.lines.iter().map(|line| int(line, "amount")).sum();
    if total > 0 {
        subscriptions::need_method(desk, &change.after)?;
    }
    let invoice = draft(desk, before, &change, Vec::new())?;
    let held = hold(desk, before, &change.after, &invoice)?;
    let invoice = collection::finalize(desk, &invoice)?;
    if invoice["status"] != "open" || collection::collect(desk, &invoice, None, Then::Stop)? == Collected::Paid {
        return desk.need("subscription", text(before, "id"));
    }
    desk.change(before, held, "customer.subscription.updated")
}

/// Stores the change beside the subscription; being paid carries it out, even before anybody hears of the wait.
fn hold(desk: &mut Desk<'_>, before: &Value, after: &Value, invoice: &Value) -> Done {
    let expires = (desk.now_of(before)? + PENDING_SECONDS).min(life::period(before).1);
    let mut held = before.clone();
    let changed = |member: &str| if before[member] == after[member] { Value::Null } else { after[member].clone() };
    held["pending_update"] = json!({
        "billing_cycle_anchor": changed("billing_cycle_anchor"), "discount": null, "discounts": changed("discounts"), "expires_at": expires,
        "cancel_at_period_end": changed("cancel_at_period_end"),
        "metadata": changed("metadata"), "subscription_items": plain(&after["items"]["data"]),
        "trial_end": changed("trial_end"), "trial_from_plan": null,
    });
    held["_pending"] = after.clone();
    held["_pending_invoice"] = invoice["id"].clone();
    held["latest_invoice"] = invoice["id"].clone();
    desk.save(&held)?;
    desk.appoint(&held, EXPIRE, expires)?;
    Ok(held)
}

/// The invoice of a held change is paid: the change takes effect.
pub(super) fn pending_update_paid(desk: &mut Desk<'_>, held: &Value) -> Done<()> {
    let pending = held["_pending"].clone();
    let mut after = released(held);
    for member in
        ["items", "billing_cycle_anchor", "trial_end", "metadata", "cancel_at_period_end", "cancel_at", "discounts"]
    {
        after[member] = pending[member].clone();
    }
    if held["status"] == "trialing" {
        after["status"] = pending["status"].clone();
    }
    desk.tx.disappoint(EXPIRE, text(held, "id"))?;
    let after = desk.change(held, after, "customer.subscription.updated")?;
    desk.emit("customer.subscription.pending_update_applied", &after, None)?;
    life::plan(desk, &after)
}

/// A held change was not paid in time.
pub(super) fn pending_update_expires(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let held = desk.need("subscription", id)?;
    let Some(invoice) = held["_pending_invoice"].as_str() else { return Ok(()) };
    let invoice = desk.need("invoice", invoice)?;
    if invoice["status"] == "open" {
        collection::give_up(desk, &invoice, "void")?;
    }
    invoice_voided(desk, &invoice)
}

/// Voiding the invoice of a held change gives the change up.
pub(super) fn invoice_voided(desk: &mut Desk<'_>, invoice: &Value) -> Done<()> {
    let Some(id) = invoice["parent"]["subscription_details"]["subscription"].as_str() else { return Ok(()) };
    let held = desk.need("subscription", id)?;
    if held["_pending_invoice"] != invoice["id"] {
        return Ok(());
    }
    desk.tx.disappoint(EXPIRE, id)?;
    let after = desk.change(&held, released(&held), "customer.subscription.updated")?;
    desk.emit("customer.subscription.pending_update_expired", &after, None)
}

fn released(held: &Value) -> Value {
    let mut after = held.clone();
    for member in ["pending_update", "_pending", "_pending_invoice"] {
        after[member] = Value::Null;
    }
    after
}

/// The invoice that a change would make now, or with the next renewal.
pub(super) fn preview(desk: &mut Desk<'_>, before: &Value, details: &Value, recurring: bool) -> Done {
    let change = work_out(desk, before, details)?;
    let now = desk.now_of(before)?;
    let (start, end) = life::period(before);
    let mut after = change.after;
    let mut lines = if recurring { Vec::new() } else { change.lines };
    let mut period = (start, now);
    if recurring || change.bill != Bill::Now {
        if after["status"] == "trialing" {
            after["billing_cycle_anchor"] = end.into();
        }
        if !recurring {
            lines.extend(invoice_drafts::kept_lines(desk, before)?);
        }
        lines.extend(life::begin_period(desk, &mut after, end)?);
        period = (start, end);
    }
    let reason = if change.bill == Bill::Now { "subscription_update" } else { "upcoming" };
    invoice_drafts::build(desk, Draft { subscription: &after, reason, lines, period, finalizes_at: None })
}
