//! Billing meters: what is counted for metered prices, the events that count it, and what they sum up to.
//!
//! `../shared/reference/stripe.md` b.12: an event is at most 35 days old and at most 5 minutes ahead, its identifier counts once,
//! an event of the last 24 hours can be cancelled. An event is counted a little later than it is taken; summaries show it then.

use serde_json::{Value, json};

use super::lists::{equals, list};
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::calendar::DAY;
use crate::desk::{Desk, Done, int, text};
use crate::store::Keys;

const CREATE: &str = "display_name! event_name! default_aggregation!:{formula!:(sum,count,last)} \
    customer_mapping:{type!:(by_id) event_payload_key!} value_settings:{event_payload_key!} event_time_window:(day,hour)";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/billing/meters", CREATE, create),
    Route::list("/v1/billing/meters", "status:(active,inactive)", index),
    Route::new("GET", "/v1/billing/meters/{id}", "", retrieve),
    Route::new("POST", "/v1/billing/meters/{id}", "display_name", update),
    Route::new("POST", "/v1/billing/meters/{id}/deactivate", "", |call| set_status(call, "inactive")),
    Route::new("POST", "/v1/billing/meters/{id}/reactivate", "", |call| set_status(call, "active")),
    Route::list(
        "/v1/billing/meters/{id}/event_summaries",
        "customer! start_time!:int end_time!:int value_grouping_window:(day,hour)",
        summaries,
    ),
    Route::new("POST", "/v1/billing/meter_events", "event_name! payload!:map identifier timestamp:int", count),
    Route::new("POST", "/v1/billing/meter_event_adjustments", "event_name! type!:(cancel) cancel:{identifier}", adjust),
];

/// How old an event may be.
const AGE_MAX: i64 = 35 * DAY;
/// How far ahead of the clock an event may be.
const AHEAD_MAX: i64 = 300;
/// How long an identifier is taken, and an event can be cancelled.
const IDENTIFIER_SECONDS: i64 = DAY;
/// How long an event waits before summaries show it.
const COUNTED_AFTER: i64 = 15;
/// Events read per round trip.
const CHUNK: i64 = 500;

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let event_name = text(&params, "event_name");
    let taken = call.desk.all("billing.meter", None, Some(event_name))?;
    if taken.iter().any(|meter| meter["status"] == "active") {
        let message = format!("There is already an active meter with event_name {event_name}.");
        return Err(ApiError::invalid(message).code("resource_already_exists").param("event_name"));
    }
    let created = call.desk.now(None)?;
    let id = call.desk.id("mtr_test_", 30)?;
    let mapping = params.get("customer_mapping").cloned();
    let value = params.get("value_settings").cloned();
    let meter = json!({
        "id": id, "object": "billing.meter", "created": created,
        "customer_mapping": mapping.unwrap_or_else(|| json!({ "event_payload_key": "stripe_customer_id", "type": "by_id" })),
        "default_aggregation": params["default_aggregation"], "display_name": params["display_name"],
        "event_name": event_name, "event_time_window": params.get("event_time_window").cloned().unwrap_or(Value::Null),
        "livemode": false, "status": "active", "status_transitions": { "deactivated_at": null }, "updated": created,
        "value_settings": value.unwrap_or_else(|| json!({ "event_payload_key": "value" })),
    });
    call.desk.create(meter, "billing.meter.created")
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("billing.meter", &id)
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    if let Some(name) = call.params.get("display_name") {
        after["display_name"] = name.clone();
        after["updated"] = call.desk.now(None)?.into();
    }
    call.desk.change(&before, after, "billing.meter.updated")
}

fn set_status(call: &mut Call<'_, '_>, status: &str) -> Done {
    let before = retrieve(call)?;
    let now = call.desk.now(None)?;
    let mut after = before.clone();
    after["status"] = status.into();
    after["updated"] = now.into();
    after["status_transitions"]["deactivated_at"] = if status == "inactive" { now.into() } else { Value::Null };
    let event = if status == "inactive" { "billing.meter.deactivated" } else { "billing.meter.reactivated" };
    call.desk.change(&before, after, event)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "billing.meter", ..Keys::default() };
    list(call, &keys, "/v1/billing/meters", |meter| equals(meter, "status", &params))
}

fn count(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let event_name = text(&params, "event_name");
    let meter = active(call.desk, event_name)?;
    let payload = &params["payload"];
    let customer = text(payload, text(&meter["customer_mapping"], "event_payload_key"));
    let customer = call.desk.need_param("customer", customer, "payload[stripe_customer_id]")?;
    let key = text(&meter["value_settings"], "event_payload_key");
    let value: i64 = text(payload, key).parse().map_err(|_| {
        ApiError::invalid("The meter event's value must be a whole number.").param(&format!("payload[{key}]"))
    })?;
    let now = call.desk.now_of(&customer)?;
    let at = params["timestamp"].as_i64().unwrap_or(now);
    if at < now - AGE_MAX || at > now + AHEAD_MAX {
        let message = "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future.";
        return Err(ApiError::invalid(message).code("timestamp_too_far_in_past").param("timestamp"));
    }
    let identifier = match params["identifier"].as_str() {
        Some(identifier) => identifier.to_owned(),
        None => call.desk.id("", 32)?,
    };
    let id = stored_id(event_name, &identifier);
    if let Some(known) = call.desk.get(&id)? {
        if now - int(&known, "created") < IDENTIFIER_SECONDS {
            let message = format!("An event already exists with identifier {identifier}.");
            return Err(ApiError::invalid(message).code("resource_already_exists").param("identifier"));
        }
        // Stripe forgot the identifier after a day: the same one counts again.
        return renew(call.desk, known, value, at);
    }
    let stored = json!({
        "id": id, "object": "billing.meter_event", "created": now, "event_name": event_name, "identifier": identifier,
        "livemode": false, "payload": payload, "timestamp": at, "customer": customer["id"], "_counts": [[at, value, now]],
        "_clock": customer["_clock"],
    });
    call.desk.insert(&stored)?;
    Ok(shown(&stored))
}

fn renew(desk: &mut Desk<'_>, mut known: Value, value: i64, at: i64) -> Done {
    let now = desk.now_of(&known)?;
    known["created"] = now.into();
    known["timestamp"] = at.into();
    if let Some(counts) = known["_counts"].as_array_mut() {
        counts.push(json!([at, value, now]));
    }
    desk.save(&known)?;
    Ok(shown(&known))
}

/// Without what Stripe does not tell.
fn shown(stored: &Value) -> Value {
    json!({
        "object": "billing.meter_event", "created": stored["created"], "event_name": stored["event_name"],
        "identifier": stored["identifier"], "livemode": false, "payload": stored["payload"], "timestamp": stored["timestamp"],
    })
}

fn stored_id(event_name: &str, identifier: &str) -> String {
    format!("mev_{event_name}:{identifier}")
}

fn active(desk: &mut Desk<'_>, event_name: &str) -> Done {
    let meters = desk.all("billing.meter", None, Some(event_name))?;
    meters.into_iter().find(|meter| meter["status"] == "active").ok_or_else(|| {
        ApiError::invalid(format!("No active meter found for event name {event_name}.")).param("event_name")
    })
}

fn adjust(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let (event_name, identifier) = (text(&params, "event_name"), text(&params["cancel"], "identifier"));
    let known = call.desk.get(&stored_id(event_name, identifier))?;
    let Some(mut event) = known else {
        let message = format!("No meter event with identifier {identifier} was found.");
        return Err(ApiError::invalid(message).code("resource_missing").param("cancel[identifier]"));
    };
    if call.desk.now_of(&event)? - int(&event, "created") >= IDENTIFIER_SECONDS {
        let message = "A meter event can only be cancelled within 24 hours.";
        return Err(ApiError::invalid(message).param("cancel[identifier]"));
    }
    event["_counts"] = json!([]);
    call.desk.save(&event)?;
    Ok(json!({
        "object": "billing.meter_event_adjustment", "cancel": { "identifier": identifier }, "event_name": event_name,
        "livemode": false, "status": "pending", "type": "cancel",
    }))
}

fn summaries(call: &mut Call<'_, '_>) -> Done {
    let meter = retrieve(call)?;
    let (start, end) = (int(&call.params, "start_time"), int(&call.params, "end_time"));
    if start % 60 != 0 || end % 60 != 0 || end <= start {
        let message = "start_time and end_time must be aligned with minute boundaries, the start before the end.";
        return Err(ApiError::invalid(message).param("start_time"));
    }
    let customer = text(&call.params, "customer").to_owned();
    let customer = call.desk.need_param("customer", &customer, "customer")?;
    let now = call.desk.now_of(&customer)?;
    let total = sum(call.desk, &meter, text(&customer, "id"), (start, end, now - COUNTED_AFTER))?;
    let id = format!("mtrusg_{}_{start}", text(&meter, "id"));
    let summary = json!({
        "id": id, "object": "billing.meter_event_summary", "aggregated_value": total.unwrap_or(0), "end_time": end,
        "livemode": false, "meter": meter["id"], "start_time": start,
    });
    let url = format!("/v1/billing/meters/{}/event_summaries", text(&meter, "id"));
    let data = if total.is_some() { json!([summary]) } else { json!([]) };
    Ok(json!({ "object": "list", "data": data, "has_more": false, "url": url }))
}

/// What a customer's events in `[start, end)` come to, of those taken by a moment; nothing when there are none.
fn sum(
    desk: &mut Desk<'_>,
    meter: &Value,
    customer: &str,
    (start, end, taken_by): (i64, i64, i64),
) -> Done<Option<i64>> {
    let formula = text(&meter["default_aggregation"], "formula").to_owned();
    let keys = Keys {
        kind: "billing.meter_event",
        customer: Some(customer),
        lookup: Some(text(meter, "event_name")),
        ..Keys::default()
    };
    let mut counts: Vec<(i64, i64)> = Vec::new();
    let mut before = i64::MAX;
    loop {
        let rows = desk.tx.older(&keys, before, CHUNK)?;
        let Some(last) = rows.last() else { break };
        before = last.seq;
        for row in rows {
            let event: Value = serde_json::from_str(&row.json)?;
            for one in event["_counts"].as_array().into_iter().flatten() {
                let part = |index: usize| one[index].as_i64().unwrap_or_default();
                if (start..end).contains(&part(0)) && part(2) <= taken_by {
                    counts.push((part(0), part(1)));
                }
            }
        }
    }
    if counts.is_empty() {
        return Ok(None);
    }
    Ok(Some(match formula.as_str() {
        "count" => i64::try_from(counts.len()).unwrap_or(i64::MAX),
        "last" => counts.iter().max_by_key(|(at, _)| *at).map_or(0, |(_, value)| *value),
        _ => counts.iter().fold(0_i64, |total, (_, value)| total.saturating_add(*value)),
    }))
}

/// What a metered price counts for a customer in a stretch of time, never below 0.
pub(super) fn usage(desk: &mut Desk<'_>, price: &Value, customer: &str, (start, end): (i64, i64)) -> Done<i64> {
    let meter = desk.need("billing.meter", text(&price["recurring"], "meter"))?;
    Ok(sum(desk, &meter, customer, (start, end, i64::MAX))?.unwrap_or(0).max(0))
}
