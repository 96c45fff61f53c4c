//! Pausing a subscription and taking it up again.
//!
//! While it is paused nothing is invoiced and no period turns. Taken up within the period it was paused in, it goes on as paid;
//! later, or where asked for, a new period begins and is charged first. Sources: `../shared/reference/stripe.md` a (endive) and b.9.

use serde_json::{Value, json};

use super::collection::{self, Collected, Then};
use super::invoice_drafts::{self, Draft};
use super::{Call, Route, life, subscriptions};
use crate::api_error::ApiError;
use crate::desk::{Done, text};

const PAUSE: &str = "type:subscription bill_for:{outstanding_usage_through:{type!:(none,now)} \
    unused_time_from:{type!:(item_current_period_start,none,now)}} invoicing_behavior:(invoice,pending_invoice_item)";
const RESUME: &str = "billing_cycle_anchor:{type!:(now,unchanged)} \
    payment_behavior:(resume_on_payment_attempt,resume_on_payment_success) \
    proration_behavior:(always_invoice,create_prorations,none) proration_date:int";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/subscriptions/{id}/pause", PAUSE, pause),
    Route::new("POST", "/v1/subscriptions/{id}/resume", RESUME, resume),
];

fn pause(call: &mut Call<'_, '_>) -> Done {
    let before = subscriptions::live(call)?;
    let status = text(&before, "status");
    if !matches!(status, "active" | "trialing" | "past_due") {
        let message = format!("This subscription cannot be paused because its status is {status}.");
        return Err(ApiError::invalid(message));
    }
    let credit = text(&call.params["bill_for"]["unused_time_from"], "type");
    if !matches!(credit, "" | "none") {
        let message = "The sandbox gives no credit for the unused time of a paused subscription.";
        return Err(ApiError::invalid(message).param("bill_for[unused_time_from]"));
    }
    let mut after = before.clone();
    after["status"] = "paused".into();
    after["status_details"] = json!({ "paused": {
        "subscription": { "type": "pause_requested" }, "transitioned_at": call.desk.now_of(&before)?, "type": "subscription",
    } });
    let after = call.desk.change(&before, after, "customer.subscription.updated")?;
    call.desk.emit("customer.subscription.paused", &after, None)?;
    life::plan(call.desk, &after)?;
    Ok(after)
}

fn resume(call: &mut Call<'_, '_>) -> Done {
    let before = subscriptions::live(call)?;
    if before["status"] != "paused" {
        return Err(ApiError::invalid("Only a paused subscription can be resumed."));
    }
    let now = call.desk.now_of(&before)?;
    let (start, end) = life::period(&before);
    let unchanged = call.params["billing_cycle_anchor"]["type"] == "unchanged";
    if unchanged && now < end {
        return resumed(call, &before, before.clone());
    }
    let mut after = before.clone();
    after["billing_cycle_anchor"] = now.into();
    let lines = life::begin_period(call.desk, &mut after, now)?;
    subscriptions::need_method(call.desk, &after)?;
    let draft =
        Draft { subscription: &after, reason: "subscription_cycle", lines, period: (start, now), finalizes_at: None };
    let invoice = invoice_drafts::create(call.desk, draft)?;
    after["latest_invoice"] = invoice["id"].clone();
    let invoice = collection::finalize(call.desk, &invoice)?;
    if invoice["status"] == "open" {
        match collection::collect(call.desk, &invoice, None, Then::Stop)? {
            Collected::Paid => {}
            Collected::Declined(refusal) => return Err(collection::declined(refusal).rolled_back()),
            Collected::NeedsAction => {
                let message = "Payment for this subscription requires additional user action before it can be completed successfully.";
                return Err(ApiError::card("subscription_payment_intent_requires_action", None, message).rolled_back());
            }
            Collected::NoMethod => return Err(subscriptions::no_payment_method().rolled_back()),
        }
    }
    resumed(call, &before, after)
}

fn resumed(call: &mut Call<'_, '_>, before: &Value, mut after: Value) -> Done {
    let trial = before["trial_end"].as_i64().is_some_and(|end| end == life::period(&after).1);
    after["status"] = if trial { "trialing" } else { "active" }.into();
    if let Some(members) = after.as_object_mut() {
        members.remove("status_details");
    }
    let after = call.desk.change(before, after, "customer.subscription.updated")?;
    call.desk.emit("customer.subscription.resumed", &after, None)?;
    life::plan(call.desk, &after)?;
    Ok(after)
}
