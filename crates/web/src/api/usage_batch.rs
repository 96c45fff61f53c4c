//! `/v1/usage`: one event or many, in any of five body kinds, answered item by item once all that passed are durable.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_engine::access::OrgScope;
use tollgate_engine::ledger::{self, Error, Outcome, Record, Recorded, Signed};
use tollgate_rules::access::Permission;
use utoipa::ToSchema;

use super::ledger::{self as shared, CountedItem};
use super::usage_event::{self, EventBody};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::decode;
use crate::errors;
use crate::routes::{Access, Route, Spec};
use crate::strict::{self, Fault};

/// Most events of one request.
const ITEMS_MAX: usize = 10_000;
/// The content types this route reads.
const KINDS: &str =
    "application/json, application/cloudevents+json, application/cloudevents-batch+json or application/x-ndjson";

pub(crate) fn routes() -> Vec<Route> {
    let spec = Spec::batch(Access::Org(Permission::UsageWrite));
    vec![Route::with::<__path_ingest, _, _>(spec, ingest).refuses(&[
        errors::OVERLOADED,
        errors::TOO_LARGE,
        errors::UNSUPPORTED_MEDIA_TYPE,
    ])]
}

/// What became of each event, in the order of the request.
#[derive(Serialize, ToSchema)]
struct BatchBody {
    items: Vec<ItemBody>,
}

/// What became of one event.
#[derive(Serialize, ToSchema)]
struct ItemBody {
    /// The event's name; null where it could not be read.
    request_id: Option<String>,
    /// `accepted`, `duplicate` (the first answer again), `denied` or `invalid`.
    status: Became,
    /// Units used after it, where the event names one metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<i64>,
    /// What is left after it; null where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<Option<i64>>,
    /// Metric by metric, where the event has `items`.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<CountedItem>>,
    /// Why it was denied or is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::ErrorSchema>)]
    error: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Became {
    Accepted,
    Duplicate,
    Denied,
    Invalid,
}

/// One event on its way: read, or already known to be wrong.
struct Event {
    request_id: Option<String>,
    by_item: bool,
    read: Result<Asked, ApiError>,
}

struct Asked {
    org_id: Option<String>,
    record: Record,
    forced: bool,
}

/// Counts one event or many
///
/// Takes one event (the body of `usage/record`), an array of them, one or many CloudEvents 1.0 (`source` and `id` become the
/// `request_id`, `subject` the org, `type` the metric, `time` the `occurredAt`, `data.value` the amount), or one event per line
/// (NDJSON). At most 10,000 events and 8 MiB. Each is decided on its own, in order; what is accepted is durable when this answers.
#[utoipa::path(post, path = "/v1/usage", tag = "usage",
    request_body(content((EventBody<'static> = "application/json"))),
    responses((status = 200, description = "What became of each event", body = BatchBody)))]
async fn ingest(call: Call) -> Result<Answer, ApiError> {
    let events = read(&call)?;
    if events.len() > ITEMS_MAX {
        let message = format!("A batch has at most {ITEMS_MAX} events; this one has {}.", events.len());
        return Err(ApiError::new(&errors::TOO_LARGE, message)
            .with_details(&serde_json::json!({ "itemsMax": ITEMS_MAX, "items": events.len() })));
    }
    let (mut items, permitted) = permit(&call, events).await?;
    let since = call.app.tick();
    let (places, records): (Vec<_>, Vec<_>) = permitted.into_iter().unzip();
    let answers = ledger::record_batch(call.app.engine(), records).await;
    let micros = call.micros_since(since);
    for ((place, by_item), answer) in places.into_iter().zip(answers) {
        if let Some(item) = items.get_mut(place) {
            *item = told(&call, item.request_id.take(), by_item, answer)?;
        }
    }
    Ok(Answer::data(&BatchBody { items }).committed_in(micros))
}

fn read(call: &Call) -> Result<Vec<Event>, ApiError> {
    let body = &call.body;
    match decode::media_type(&call.parts.headers).as_deref() {
        Some("application/json") => plain(body),
        Some("application/cloudevents+json") => {
            let (document, faults) = document(body)?;
            Ok(vec![of_cloud_event(&document, faults)])
        }
        Some("application/cloudevents-batch+json") => {
            let (document, faults) = document(body)?;
            let Value::Array(list) = &document else {
                return Err(ApiError::field("", "must be an array of CloudEvents"));
            };
            Ok(each(list, &faults, of_cloud_event))
        }
        Some("application/x-ndjson") => Ok(lines(body)),
        _ => Err(decode::unsupported(KINDS)),
    }
}

/// One event or an array. The common case is read straight into its type; a body with any fault is read again, strictly.
fn plain(body: &[u8]) -> Result<Vec<Event>, ApiError> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        if let Ok(list) = serde_json::from_slice::<Vec<EventBody<'_>>>(body) {
            return Ok(list.iter().map(of_body).collect());
        }
    } else if let Ok(one) = serde_json::from_slice::<EventBody<'_>>(body) {
        return Ok(vec![of_body(&one)]);
    }
    let (document, faults) = document(body)?;
    match &document {
        Value::Array(list) => Ok(each(list, &faults, of_value)),
        Value::Object(_) => Ok(vec![of_value(&document, faults)]),
        _ => Err(ApiError::field("", "must be an event or an array of events")),
    }
}

fn document(body: &[u8]) -> Result<(Value, Vec<Fault>), ApiError> {
    strict::read(body).map_err(|error| decode::unreadable(&error.0))
}

/// Each event of an array, with the faults that were found inside it.
fn each(list: &[Value], faults: &[Fault], read: impl Fn(&Value, Vec<Fault>) -> Event) -> Vec<Event> {
    let mut by_place: HashMap<usize, Vec<Fault>> = HashMap::new();
    for fault in faults {
        let mut steps = fault.pointer.splitn(3, '/').skip(1);
        if let Some(place) = steps.next().and_then(|step| step.parse().ok()) {
            let pointer = steps.next().map(|rest| format!("/{rest}")).unwrap_or_default();
            by_place.entry(place).or_default().push(Fault { pointer, message: fault.message.clone() });
        }
    }
    list.iter().enumerate().map(|(place, value)| read(value, by_place.remove(&place).unwrap_or_default())).collect()
}

fn lines(body: &[u8]) -> Vec<Event> {
    let lines = body.split(|byte| *byte == b'\n');
    let filled = lines.filter(|line| line.iter().any(|byte| !byte.is_ascii_whitespace()));
    filled.map(line).collect()
}

fn line(line: &[u8]) -> Event {
    if let Ok(body) = serde_json::from_slice::<EventBody<'_>>(line) {
        return of_body(&body);
    }
    match strict::read(line) {
        Ok((value, faults)) => of_value(&value, faults),
        Err(error) => Event { request_id: None, by_item: false, read: Err(decode::unreadable(&error.0)) },
    }
}

fn of_value(value: &Value, faults: Vec<Fault>) -> Event {
    let request_id = value["request_id"].as_str().map(str::to_owned);
    if !faults.is_empty() {
        return Event { request_id, by_item: false, read: Err(ApiError::invalid(&faults)) };
    }
    match decode::value::<EventBody<'_>>(value, "") {
        Ok(body) => of_body(&body),
        Err(faults) => Event { request_id, by_item: false, read: Err(ApiError::invalid(&faults)) },
    }
}

fn of_cloud_event(value: &Value, faults: Vec<Fault>) -> Event {
    let body = if faults.is_empty() { usage_event::from_cloud_event(value) } else { Err(ApiError::invalid(&faults)) };
    match body {
        Ok(body) => of_body(&body),
        Err(error) => Event { request_id: None, by_item: false, read: Err(error) },
    }
}

fn of_body(body: &EventBody<'_>) -> Event {
    let asked = |(record, forced)| Asked { org_id: body.org_id.as_deref().map(str::to_owned), record, forced };
    Event {
        request_id: Some(body.given_id().to_owned()),
        by_item: body.items.is_some(),
        read: usage_event::parse(body).map(asked),
    }
}

/// Where an event stands in the request, and whether it is answered item by item.
type Place = (usize, bool);

/// Checks the right of each event; orgs are looked up once per request.
async fn permit(
    call: &Call,
    events: Vec<Event>,
) -> Result<(Vec<ItemBody>, Vec<(Place, (OrgScope, Record))>), ApiError> {
    let mut known: HashMap<(Option<String>, bool), OrgScope> = HashMap::new();
    let mut items = Vec::with_capacity(events.len());
    let mut permitted = Vec::with_capacity(events.len());
    for (place, event) in events.into_iter().enumerate() {
        let mut item = ItemBody::of(event.request_id, Became::Invalid);
        match event.read {
            Err(error) => item.error = Some(error.item(call.request_id.as_str())),
            Ok(asked) => {
                let key = (asked.org_id, asked.forced);
                if let Some(scope) = known.get(&key) {
                    permitted.push(((place, event.by_item), (scope.clone(), asked.record)));
                } else {
                    match scope(call, key.0.as_deref(), asked.forced).await {
                        Ok(scope) => {
                            permitted.push(((place, event.by_item), (scope.clone(), asked.record)));
                            known.insert(key, scope);
                        }
                        Err(error) if error.status() >= 500 => return Err(error),
                        Err(error) => item.error = Some(error.item(call.request_id.as_str())),
                    }
                }
            }
        }
        items.push(item);
    }
    Ok((items, permitted))
}

async fn scope(call: &Call, org_id: Option<&str>, forced: bool) -> Result<OrgScope, ApiError> {
    let scope = call.org(org_id).await?;
    if forced {
        call.org_for(Permission::UsageForce, org_id).await?;
    }
    Ok(scope)
}

/// One item's answer. "Cannot know" of any item is the answer to the whole request: a repeat settles it.
fn told(
    call: &Call,
    request_id: Option<String>,
    by_item: bool,
    answer: Result<Signed<Outcome<Recorded>>, Error>,
) -> Result<ItemBody, ApiError> {
    match answer {
        Ok(signed) => Ok(match signed.answer {
            Outcome::Allowed(recorded) => counted(request_id, by_item, &recorded),
            Outcome::Denied(denial) => {
                let error = shared::denied(call, &denial, None);
                let mut item = ItemBody::of(request_id, Became::Denied);
                item.remaining = denial.numbers.as_ref().map(|numbers| numbers.remaining);
                item.error = Some(error.item(call.request_id.as_str()));
                item
            }
        }),
        Err(error) => {
            let error = shared::refused(error);
            if error.status() >= 500 {
                return Err(error);
            }
            let mut item = ItemBody::of(request_id, Became::Invalid);
            item.error = Some(error.item(call.request_id.as_str()));
            Ok(item)
        }
    }
}

fn counted(request_id: Option<String>, by_item: bool, recorded: &Recorded) -> ItemBody {
    let became = if recorded.repeat { Became::Duplicate } else { Became::Accepted };
    let mut item = ItemBody::of(request_id, became);
    if by_item {
        item.items = Some(recorded.items.iter().map(CountedItem::from).collect());
    } else if let Some(one) = recorded.items.first() {
        item.used = Some(one.numbers.used);
        item.remaining = Some(one.numbers.remaining);
    }
    item
}

impl ItemBody {
    fn of(request_id: Option<String>, status: Became) -> Self {
        Self { request_id, status, used: None, remaining: None, items: None, error: None }
    }
}
