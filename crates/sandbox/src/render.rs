//! Objects as callers see them: without private members, long lists cut, and expanded where asked.

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::desk::{Desk, Done, id_in, text};
use crate::store::Keys;
use crate::stripe::{coupons, discounts, prices};

/// How many lines of an invoice stand in the invoice itself.
const LINES_SHOWN: usize = 10;
/// Stripe's limit on the depth of an expansion.
const EXPANSION_DEPTH_MAX: usize = 4;

/// An object without its private members.
pub(crate) fn plain(object: &Value) -> Value {
    match object {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, value)| (name.clone(), if name == "metadata" { value.clone() } else { plain(value) }))
            .collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// An object as it is answered without expansions.
pub(crate) fn finished(desk: &mut Desk<'_>, object: &Value) -> Done {
    let mut shown = plain(object);
    match text(object, "object") {
        "subscription" => {
            refresh_prices(desk, &mut shown)?;
            drop_discounts_that_ended(desk, object, &mut shown)?;
        }
        "coupon" if shown["deleted"] != true => {
            let now = desk.now(None)?;
            shown["valid"] = coupons::is_valid(object, now).into();
        }
        "invoice" => cut_lines(&mut shown),
        "event" => {
            let (open, _) = desk.tx.outstanding(text(object, "id"))?;
            shown["pending_webhooks"] = open.into();
        }
        _ => {}
    }
    Ok(shown)
}

/// Fills in the members named by `expand`.
///
/// # Errors
/// 400 for a path that is too deep or names nothing that can be expanded.
pub(crate) fn expand(desk: &mut Desk<'_>, answer: &mut Value, paths: &Value) -> Done<()> {
    for path in paths.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let segments: Vec<&str> = path.split('.').collect();
        if segments.len() > EXPANSION_DEPTH_MAX + usize::from(segments[0] == "data") {
            let message =
                format!("You cannot expand more than {EXPANSION_DEPTH_MAX} levels of a property. Property: {path}");
            return Err(ApiError::invalid(message).param("expand"));
        }
        descend(desk, answer, &segments, path)?;
    }
    Ok(())
}

fn descend(desk: &mut Desk<'_>, node: &mut Value, path: &[&str], whole: &str) -> Done<()> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if let Value::Array(items) = node {
        return items.iter_mut().try_for_each(|item| descend(desk, item, path, whole));
    }
    add_virtual(desk, node, first)?;
    let Some(child) = node.get_mut(*first) else {
        let message = format!("This property cannot be expanded ({whole}).");
        return Err(ApiError::invalid(message).param("expand"));
    };
    if let (Value::Array(ids), true) = (&mut *child, rest.is_empty()) {
        for id in ids.iter_mut().filter(|id| id.is_string()) {
            if let Some(object) = desk.get(text_of(id))? {
                *id = finished(desk, &object)?;
            }
        }
        return Ok(());
    }
    if let Some(id) = child.as_str() {
        let Some(object) = desk.get(id)? else {
            let message = format!("This property cannot be expanded ({whole}).");
            return Err(ApiError::invalid(message).param("expand"));
        };
        *child = finished(desk, &object)?;
    }
    if child.is_null() { Ok(()) } else { descend(desk, child, rest, whole) }
}

/// Members that are only there when asked for.
fn add_virtual(desk: &mut Desk<'_>, node: &mut Value, member: &str) -> Done<()> {
    let id = text(node, "id").to_owned();
    match (text(node, "object"), member) {
        ("invoice", "payments") => {
            let keys = Keys { kind: "invoice_payment", lookup: Some(&id), ..Keys::default() };
            let rows = desk.tx.older(&keys, i64::MAX, 100)?;
            let payments: Vec<Value> = rows
                .iter()
                .map(|row| serde_json::from_str(&row.json).map(|object| plain(&object)))
                .collect::<Result<_, _>>()?;
            node["payments"] = list_of(payments, &format!("/v1/invoice_payments?invoice={id}"));
        }
        ("invoice", "confirmation_secret") => {
            let stored = desk.get(&id)?.unwrap_or_default();
            let intent = match stored["_payment_intent"].as_str() {
                Some(intent) => desk.get(intent)?,
                None => None,
            };
            node["confirmation_secret"] = intent.map_or(
                Value::Null,
                |intent| json!({ "client_secret": intent["client_secret"], "type": "payment_intent" }),
            );
        }
        ("customer", "subscriptions") => {
            let mut live = desk.all("subscription", Some(&id), None)?;
            live.retain(|subscription| !matches!(text(subscription, "status"), "canceled" | "incomplete_expired"));
            let live: Vec<Value> = live.iter().map(|one| finished(desk, one)).collect::<Done<_>>()?;
            node["subscriptions"] = list_of(live, &format!("/v1/customers/{id}/subscriptions"));
        }
        _ => {}
    }
    Ok(())
}

/// A complete list object.
pub(crate) fn list_of(data: Vec<Value>, url: &str) -> Value {
    json!({ "object": "list", "data": data, "has_more": false, "url": url })
}

fn refresh_prices(desk: &mut Desk<'_>, subscription: &mut Value) -> Done<()> {
    let Some(items) = subscription["items"]["data"].as_array_mut() else { return Ok(()) };
    for item in items {
        let stored = match id_in(&item["price"]) {
            Some(id) => desk.get(id)?,
            None => None,
        };
        if let Some(price) = stored {
            item["plan"] = prices::as_plan(&price);
            item["price"] = plain(&price);
        }
    }
    Ok(())
}

/// A discount that ended or was used up is not the subscription's any more.
fn drop_discounts_that_ended(desk: &mut Desk<'_>, subscription: &Value, shown: &mut Value) -> Done<()> {
    let Some(ids) = subscription["discounts"].as_array().filter(|ids| !ids.is_empty()) else { return Ok(()) };
    let now = desk.now_of(subscription)?;
    let mut left = Vec::new();
    for id in ids {
        if desk.get(text_of(id))?.is_some_and(|discount| discounts::counts(&discount, now)) {
            left.push(id.clone());
        }
    }
    shown["discounts"] = left.into();
    Ok(())
}

fn text_of(id: &Value) -> &str {
    id.as_str().unwrap_or_default()
}

fn cut_lines(invoice: &mut Value) {
    if let Some(lines) = invoice.pointer_mut("/lines/data").and_then(Value::as_array_mut) {
        let more = lines.len() > LINES_SHOWN;
        lines.truncate(LINES_SHOWN);
        invoice["lines"]["has_more"] = more.into();
    }
}
