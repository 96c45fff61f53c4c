//! What time and money do to a subscription: trials end, periods turn, cancellations fall due, payments fail.
//!
//! Calendar and delays: `../shared/reference/stripe.md` b.3, b.9 and d. A renewal's invoice stays a draft for an hour and
//! is charged then; the subscription is `active` meanwhile.

use serde_json::{Value, json};

use super::invoice_drafts::{self, Charge, Draft, Entry};
use super::{collection, discounts, metered, prices, proration, subscription_changes, subscription_schedules};
use crate::AFTER_LAST_ATTEMPT;
use crate::calendar::DAY;
use crate::desk::{Desk, Done, int, text};

/// Task: the current period ends.
pub(super) const CYCLE: &str = "subscription.cycle";
/// Task: the trial ends in three days.
pub(super) const TRIAL_WILL_END: &str = "subscription.trial_will_end";
/// Task: the date of a cancellation comes.
pub(super) const CANCEL: &str = "subscription.cancel";
/// Task: the first invoice was not paid in time.
pub(super) const EXPIRE: &str = "subscription.expire";

/// How long an invoice of a renewal stays a draft.
const DRAFT_SECONDS: i64 = 3_600;
/// How long the first payment may take.
pub(super) const FIRST_PAYMENT_SECONDS: i64 = 23 * 3_600;
/// How long before its end a trial is announced to end.
const TRIAL_NOTICE_DAYS: i64 = 3;

/// The current period of a subscription, which is the one of its items.
pub(super) fn period(subscription: &Value) -> (i64, i64) {
    let item = &subscription["items"]["data"][0];
    (int(item, "current_period_start"), int(item, "current_period_end"))
}

/// Puts on the agenda what the subscription's state makes due.
pub(super) fn plan(desk: &mut Desk<'_>, subscription: &Value) -> Done<()> {
    let id = text(subscription, "id");
    for task in [CYCLE, TRIAL_WILL_END, CANCEL] {
        desk.tx.disappoint(task, id)?;
    }
    let (_, end) = period(subscription);
    let status = text(subscription, "status");
    if matches!(status, "trialing" | "active" | "past_due" | "unpaid") {
        desk.appoint(subscription, CYCLE, end)?;
    }
    if status == "trialing" {
        let notice = end - TRIAL_NOTICE_DAYS * DAY;
        if notice > desk.now_of(subscription)? {
            desk.appoint(subscription, TRIAL_WILL_END, notice)?;
        }
    }
    match subscription["cancel_at"].as_i64() {
        Some(at) if at < end => desk.appoint(subscription, CANCEL, at),
        _ => Ok(()),
    }
}

/// A trial that begins less than three days before its end is announced at once.
pub(super) fn announce_short_trial(desk: &mut Desk<'_>, subscription: &Value) -> Done<()> {
    let (_, end) = period(subscription);
    if subscription["status"] == "trialing" && end - TRIAL_NOTICE_DAYS * DAY <= desk.now_of(subscription)? {
        desk.emit("customer.subscription.trial_will_end", subscription, None)?;
    }
    Ok(())
}

pub(super) fn trial_will_end(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let subscription = desk.need("subscription", id)?;
    if subscription["status"] != "trialing" {
        return Ok(());
    }
    desk.emit("customer.subscription.trial_will_end", &subscription, None)
}

pub(super) fn period_ends(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let subscription = desk.need("subscription", id)?;
    let (_, end) = period(&subscription);
    let due = subscription["cancel_at"].as_i64().is_some_and(|at| at <= end);
    if subscription["cancel_at_period_end"] == true || due {
        let ended = cancel_now(desk, &subscription, json!("cancellation_requested"))?;
        return metered::last_invoice(desk, &subscription, &ended, end + DRAFT_SECONDS);
    }
    match text(&subscription, "status") {
        "trialing" => trial_ends(desk, &subscription),
        "active" | "past_due" | "unpaid" => renew(desk, &subscription, end),
        _ => Ok(()),
    }
}

fn trial_ends(desk: &mut Desk<'_>, subscription: &Value) -> Done<()> {
    let missing = collection::method_of(desk, subscription)?.is_none();
    match text(&subscription["trial_settings"]["end_behavior"], "missing_payment_method") {
        "cancel" if missing => cancel_now(desk, subscription, Value::Null).map(drop),
        "pause" if missing => {
            let now = desk.now_of(subscription)?;
            let mut paused = subscription.clone();
            paused["status"] = "paused".into();
            paused["status_details"] = json!({ "paused": {
                "subscription": { "type": "trial_end_without_payment_method" }, "transitioned_at": now, "type": "subscription",
            } });
            desk.change(subscription, paused.clone(), "customer.subscription.updated")?;
            desk.emit("customer.subscription.paused", &paused, None)?;
            plan(desk, &paused)
        }
        _ => {
            let (_, end) = period(subscription);
            let mut started = subscription.clone();
            started["status"] = "active".into();
            started["billing_cycle_anchor"] = end.into();
            turn(desk, subscription, started, end)
        }
    }
}

fn renew(desk: &mut Desk<'_>, subscription: &Value, at: i64) -> Done<()> {
    let after = subscription_schedules::enter_phase(desk, subscription, at)?;
    turn(desk, subscription, after, at)
}

/// Begins the period at `at`, with a draft invoice for it.
fn turn(desk: &mut Desk<'_>, before: &Value, mut after: Value, at: i64) -> Done<()> {
    let lines = begin_period(desk, &mut after, at)?;
    let unpaid = before["status"] == "unpaid";
    let finalizes_at = (!unpaid).then_some(at + DRAFT_SECONDS);
    let mut all = invoice_drafts::kept_lines(desk, before)?;
    all.extend(metered::lines(desk, before)?);
    all.extend(lines);
    let draft =
        Draft { subscription: &after, reason: "subscription_cycle", lines: all, period: period(before), finalizes_at };
    let mut invoice = invoice_drafts::create(desk, draft)?;
    match finalizes_at {
        Some(at) => desk.appoint(&invoice, collection::FINALIZE, at)?,
        None => {
            invoice["auto_advance"] = false.into();
            desk.save(&invoice)?;
        }
    }
    after["latest_invoice"] = invoice["id"].clone();
    let after = desk.change(before, after, "customer.subscription.updated")?;
    plan(desk, &after)
}

/// Moves every item to the rest of the anchor's period from `at` on, which is all of it when one begins there, and returns
/// the lines for it.
pub(super) fn begin_period(desk: &mut Desk<'_>, subscription: &mut Value, at: i64) -> Done<Vec<Value>> {
    let anchor = int(subscription, "billing_cycle_anchor");
    let billed = discounts::full_amounts(desk, subscription, at)?;
    let mut items = subscription["items"]["data"].take();
    let mut lines = Vec::new();
    for (item, billed) in items.as_array_mut().into_iter().flatten().zip(billed) {
        let (start, end) = prices::interval(&item["price"])?.period_at(anchor, at);
        if metered::is_metered(item) {
            item["current_period_start"] = at.into();
            item["current_period_end"] = end.into();
            continue;
        }
        let amount = proration::share(proration::item_amount(item), end - at, end - start);
        item["current_period_start"] = at.into();
        item["current_period_end"] = end.into();
        item["_rate"] = proration::share(billed, end - at, end - start).into();
        lines.push(invoice_drafts::line(desk, item, Entry(Charge::Period, amount, (at, end)))?);
    }
    subscription["items"]["data"] = items;
    Ok(lines)
}

pub(super) fn cancellation_falls_due(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let subscription = desk.need("subscription", id)?;
    cancel_now(desk, &subscription, json!("cancellation_requested")).map(drop)
}

/// Ends a subscription for good; its open invoices are not collected any more.
pub(super) fn cancel_now(desk: &mut Desk<'_>, subscription: &Value, reason: Value) -> Done {
    let now = desk.now_of(subscription)?;
    let mut ended = subscription.clone();
    ended["status"] = "canceled".into();
    ended["ended_at"] = now.into();
    if ended["canceled_at"].is_null() {
        ended["canceled_at"] = now.into();
    }
    if ended["cancellation_details"]["reason"].is_null() {
        ended["cancellation_details"]["reason"] = reason;
    }
    for member in ["pending_update", "_pending", "_pending_invoice"] {
        ended[member] = Value::Null;
    }
    subscription_schedules::end_with(desk, subscription)?;
    let id = text(subscription, "id");
    desk.tx.clear_agenda(id)?;
    for mut invoice in desk.all("invoice", None, Some(id))? {
        if matches!(text(&invoice, "status"), "draft" | "open") {
            invoice["auto_advance"] = false.into();
            invoice["next_payment_attempt"] = Value::Null;
            desk.tx.clear_agenda(text(&invoice, "id"))?;
            desk.save(&invoice)?;
        }
    }
    desk.save(&ended)?;
    desk.emit("customer.subscription.deleted", &ended, None)?;
    Ok(ended)
}

/// The first invoice stayed open for 23 hours.
pub(super) fn first_payment_never_came(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let subscription = desk.need("subscription", id)?;
    if subscription["status"] != "incomplete" {
        return Ok(());
    }
    for invoice in desk.all("invoice", None, Some(id))? {
        if invoice["status"] == "open" {
            collection::give_up(desk, &invoice, "void")?;
        }
    }
    let mut expired = subscription.clone();
    expired["status"] = "incomplete_expired".into();
    expired["ended_at"] = desk.now_of(&subscription)?.into();
    desk.tx.clear_agenda(id)?;
    desk.change(&subscription, expired, "customer.subscription.updated").map(drop)
}

/// A collected invoice brings its subscription back, or carries out the change that waited for it.
pub(super) fn invoice_paid(desk: &mut Desk<'_>, invoice: &Value) -> Done<()> {
    let Some(id) = invoice["parent"]["subscription_details"]["subscription"].as_str() else { return Ok(()) };
    let Some(before) = desk.get(id)? else { return Ok(()) };
    if before["_pending_invoice"] == invoice["id"] {
        return subscription_changes::pending_update_paid(desk, &before);
    }
    let waiting = matches!(text(&before, "status"), "incomplete" | "past_due" | "unpaid");
    let open = desk.all("invoice", None, Some(id))?.iter().any(|invoice| invoice["status"] == "open");
    if !waiting || open {
        return Ok(());
    }
    let mut after = before.clone();
    after["status"] = "active".into();
    desk.tx.disappoint(EXPIRE, id)?;
    let after = desk.change(&before, after, "customer.subscription.updated")?;
    plan(desk, &after)
}

/// An attempt to collect failed: `past_due`, and after the last attempt the end.
pub(super) fn payment_failed(desk: &mut Desk<'_>, invoice: &str) -> Done<()> {
    let invoice = desk.need("invoice", invoice)?;
    let Some(id) = invoice["parent"]["subscription_details"]["subscription"].as_str() else { return Ok(()) };
    let before = desk.need("subscription", id)?;
    if !matches!(text(&before, "status"), "trialing" | "active" | "past_due") {
        return Ok(());
    }
    let last = invoice["next_payment_attempt"].is_null();
    let unpaid = last && desk.tx.setting(AFTER_LAST_ATTEMPT)?.as_deref() == Some("mark_unpaid");
    if last && !unpaid {
        return cancel_now(desk, &before, json!("payment_failed")).map(drop);
    }
    let mut after = before.clone();
    after["status"] = if unpaid { "unpaid" } else { "past_due" }.into();
    desk.change(&before, after, "customer.subscription.updated").map(drop)
}
