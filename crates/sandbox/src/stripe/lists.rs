//! Cursor lists: newest first, `limit` 1–100, `starting_after`, `ending_before`, `has_more`.

use serde_json::{Value, json};

use super::Call;
use crate::api_error::ApiError;
use crate::desk::{Done, id_in, int};
use crate::render;
use crate::store::Keys;

/// How many rows are looked at per round trip.
const CHUNK: i64 = 200;

/// Answers a list of the objects with these keys that `keep` accepts.
pub(super) fn list(call: &mut Call<'_, '_>, keys: &Keys<'_>, url: &str, keep: impl Fn(&Value) -> bool) -> Done {
    let limit = match call.params.get("limit").and_then(Value::as_i64) {
        None => 10,
        Some(limit @ 1..=100) => limit,
        Some(_) => return Err(ApiError::invalid("Invalid limit: must be between 1 and 100").param("limit")),
    };
    let wanted = usize::try_from(limit).unwrap_or(100);
    let backwards = call.has("ending_before");
    if backwards && call.has("starting_after") {
        let message = "You cannot parameterize starting_after and ending_before on a list call at the same time.";
        return Err(ApiError::invalid(message).code("parameters_exclusive"));
    }
    let mut edge =
        if backwards { edge(call, "ending_before")? } else { edge(call, "starting_after")?.or(Some(i64::MAX)) };
    let mut found = Vec::new();
    while let Some(from) = edge.filter(|_| found.len() <= wanted) {
        let rows =
            if backwards { call.desk.tx.newer(keys, from, CHUNK)? } else { call.desk.tx.older(keys, from, CHUNK)? };
        edge = rows.last().map(|row| row.seq);
        for row in rows {
            let object: Value = serde_json::from_str(&row.json)?;
            if found.len() <= wanted && keep(&object) {
                found.push(object);
            }
        }
    }
    let has_more = found.len() > wanted;
    found.truncate(wanted);
    if backwards {
        found.reverse();
    }
    let data: Vec<Value> = found.iter().map(|object| render::finished(call.desk, object)).collect::<Done<_>>()?;
    Ok(json!({ "object": "list", "data": data, "has_more": has_more, "url": url }))
}

fn edge(call: &mut Call<'_, '_>, param: &str) -> Done<Option<i64>> {
    let Some(id) = call.params[param].as_str().map(str::to_owned) else { return Ok(None) };
    match call.desk.tx.position(&id)? {
        Some(position) => Ok(Some(position)),
        None => {
            let mut error = ApiError::missing("object", &id).param(param);
            error.status = 400;
            Err(error)
        }
    }
}

/// Whether an object's `created` fits the `created` filter: a time, or bounds.
pub(super) fn created_fits(object: &Value, filter: &Value) -> bool {
    let created = int(object, "created");
    match filter {
        Value::Number(_) => filter.as_i64() == Some(created),
        Value::Object(bounds) => bounds.iter().all(|(bound, value)| {
            let value = value.as_i64().unwrap_or_default();
            match bound.as_str() {
                "gt" => created > value,
                "gte" => created >= value,
                "lt" => created < value,
                _ => created <= value,
            }
        }),
        _ => true,
    }
}

/// Whether a member equals a filter parameter, when that was given.
pub(super) fn equals(object: &Value, member: &str, params: &Value) -> bool {
    match params.get(member) {
        None => true,
        Some(Value::String(wanted)) => id_in(&object[member]) == Some(wanted),
        Some(wanted) => object[member] == *wanted,
    }
}
