//! One usage event as callers write it, for `/api/usage/record` and every body kind of `/v1/usage`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use tollgate_engine::ledger::{Item, Record};
use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::quantity::Units;
use utoipa::ToSchema;

use crate::api_error::ApiError;
use crate::fields::Fields;

/// Most metrics one event may count.
const ITEMS_MAX: usize = 100;

/// A usage event.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EventBody<'a> {
    /// The org; may be left out with a key of one org.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub(crate) org_id: Option<Cow<'a, str>>,
    /// What was used; not together with `items`.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    metric: Option<Cow<'a, str>>,
    /// How much of it.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    value: Option<i64>,
    /// Several metrics, counted together or not at all.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<EventItem<'static>>>, min_items = 1, max_items = 100)]
    pub(crate) items: Option<Vec<EventItem<'a>>>,
    /// When it happened: from 35 days ago to 5 minutes ahead. Kept as data; the period is that of the server's time.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    occurred_at: Option<Cow<'a, str>>,
    /// The caller's name of this usage, unique in the org, 1 to 255 bytes.
    #[serde(rename = "request_id", borrow)]
    #[schema(value_type = String)]
    request_id: Cow<'a, str>,
    /// Where it came from; `api` when left out.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    source: Option<Cow<'a, str>>,
    /// Count it even past the limit.
    force: Option<bool>,
    /// Why it is forced.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    reason: Option<Cow<'a, str>>,
}

/// One metric of an event.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EventItem<'a> {
    /// What was used.
    #[serde(borrow)]
    #[schema(value_type = String)]
    metric: Cow<'a, str>,
    /// How much of it.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    value: i64,
}

impl EventBody<'_> {
    /// The id as the caller wrote it.
    pub(crate) fn given_id(&self) -> &str {
        &self.request_id
    }
}

/// The record, and whether it is forced.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn parse(body: &EventBody<'_>) -> Result<(Record, bool), ApiError> {
    let mut fields = Fields::default();
    let request_id = fields.read("/request_id", RequestId::parse(&body.request_id));
    let items = items(body, &mut fields);
    let occurred_at = fields.time_if("/occurredAt", body.occurred_at.as_deref());
    if let Some(source) = body.source.as_deref() {
        fields.text("/source", source);
    }
    let force = force(body, &mut fields);
    let Some(request_id) = request_id else { return Err(fields.refusal()) };
    fields.done()?;
    let source = body.source.as_deref().unwrap_or("api").to_owned();
    let forced = force.is_some();
    Ok((Record { request_id, items, occurred_at, source, force }, forced))
}

fn items(body: &EventBody<'_>, fields: &mut Fields) -> Vec<Item> {
    match (&body.items, &body.metric, body.value) {
        (None, Some(metric), Some(value)) => item(("/metric", metric), ("/value", value), fields).into_iter().collect(),
        (None, metric, value) => {
            if metric.is_none() {
                fields.wrong("/metric", "this field is needed");
            }
            if value.is_none() {
                fields.wrong("/value", "this field is needed");
            }
            Vec::new()
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            fields.wrong("/items", "give either `items` or `metric` and `value`");
            Vec::new()
        }
        (Some(items), None, None) => {
            if items.is_empty() || items.len() > ITEMS_MAX {
                fields.wrong("/items", format!("must have 1 to {ITEMS_MAX} entries"));
                return Vec::new();
            }
            let read = items.iter().enumerate().filter_map(|(place, one)| {
                let (metric, value) = (format!("/items/{place}/metric"), format!("/items/{place}/value"));
                item((&metric, &one.metric), (&value, one.value), fields)
            });
            read.collect()
        }
    }
}

fn item((metric_at, metric): (&str, &str), (value_at, value): (&str, i64), fields: &mut Fields) -> Option<Item> {
    let metric = fields.read(metric_at, Metric::parse(metric));
    let units = fields.read(value_at, Units::new(value));
    Some(Item { metric: metric?, units: units? })
}

fn force(body: &EventBody<'_>, fields: &mut Fields) -> Option<String> {
    match (body.force.unwrap_or(false), body.reason.as_deref()) {
        (false, None) => None,
        (false, Some(reason)) => {
            fields.text("/reason", reason);
            None
        }
        (true, None) => {
            fields.wrong("/reason", "`force` needs a reason");
            None
        }
        (true, Some(reason)) => {
            fields.text("/reason", reason);
            Some(reason.to_owned())
        }
    }
}

/// A CloudEvents 1.0 event as the body it stands for: `source` and `id` name the usage, `subject` the org, `type` the metric,
/// `time` when it happened, `data.value` how much. Other attributes are not looked at.
///
/// # Errors
/// 422 with every attribute that is missing or wrong.
pub(crate) fn from_cloud_event(event: &Value) -> Result<EventBody<'static>, ApiError> {
    let mut fields = Fields::default();
    if event["specversion"] != "1.0" {
        fields.wrong("/specversion", "must be \"1.0\"");
    }
    let mut needed = |name: &str| -> String {
        let text = event[name].as_str().filter(|text| !text.is_empty());
        text.map_or_else(
            || {
                fields.wrong(&format!("/{name}"), "this attribute is needed, as text");
                String::new()
            },
            str::to_owned,
        )
    };
    let (id, source, metric) = (needed("id"), needed("source"), needed("type"));
    if source.contains(char::is_whitespace) {
        fields.wrong("/source", "must be a URI reference");
    }
    let value = event["data"]["value"].as_i64();
    if value.is_none() {
        fields.wrong("/data/value", "must be an integer");
    }
    let subject = optional(event, "subject", &mut fields);
    let time = optional(event, "time", &mut fields);
    fields.done()?;
    Ok(EventBody {
        org_id: subject,
        metric: Some(Cow::Owned(metric)),
        value,
        items: None,
        occurred_at: time,
        // A URI reference holds no space, so no two pairs of source and id make the same name.
        request_id: Cow::Owned(format!("{source} {id}")),
        source: Some(Cow::Owned(source)),
        force: None,
        reason: None,
    })
}

fn optional(event: &Value, name: &str, fields: &mut Fields) -> Option<Cow<'static, str>> {
    match &event[name] {
        Value::Null => None,
        Value::String(text) => Some(Cow::Owned(text.clone())),
        _ => {
            fields.wrong(&format!("/{name}"), "must be a string");
            None
        }
    }
}
