//! What was counted: events, series, open holds, and why a decision was as it was.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_engine::ledger::{self, By, EventFilter, EventLine, Explained, History, HoldLine, Point};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::ledger::Numbers;
use tollgate_rules::period::PeriodKey;
use utoipa::{IntoParams, ToSchema};

use super::ledger as shared;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::paging;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    let read = Access::Org(Permission::UsageRead);
    vec![
        Route::new::<__path_events, _, _>(read, events),
        Route::new::<__path_history, _, _>(read, history),
        Route::new::<__path_holds, _, _>(read, holds),
        Route::new::<__path_explain, _, _>(Access::Org(Permission::DecisionsExplain), explain),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventsQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Only of this metric.
    metric: Option<String>,
    /// Only counted in this period; a plain month means the newest period of it.
    period_key: Option<String>,
    /// Only under this name.
    #[serde(rename = "request_id")]
    #[param(rename = "request_id")]
    request_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListedEvent {
    /// The event (`use_…`).
    id: String,
    /// The caller's name of the usage.
    #[serde(rename = "request_id")]
    request_id: String,
    /// `record`, `force`, `reserve`, `settle` or `correct`.
    verb: &'static str,
    /// What was counted.
    metric: String,
    /// Units asked for.
    units: i64,
    /// Units added to the counter.
    delta: i64,
    /// The label of the period.
    period_key: String,
    /// Units used right after it.
    used: i64,
    /// What was left right after it; null where there was no limit.
    remaining: Option<i64>,
    /// When it happened, as the caller said.
    occurred_at: Option<String>,
    /// When it was counted.
    recorded_at: String,
    /// Units of `delta` that were counted without regard to the limit.
    forced: i64,
    /// Why, where it was.
    reason: Option<String>,
    /// Where it came from.
    source: String,
    /// The `request_id` of the event it corrects.
    corrects: Option<String>,
    /// The hold it belongs to.
    hold_id: Option<String>,
    /// Whether only shadow mode let it pass.
    would_deny: bool,
    /// Who asked.
    actor: String,
}

impl From<&EventLine> for ListedEvent {
    fn from(line: &EventLine) -> Self {
        let event = &line.event;
        Self {
            id: format!("use_{}", line.seq),
            request_id: event.request_id.to_string(),
            verb: event.verb.as_str(),
            metric: event.metric.to_string(),
            units: event.units,
            delta: event.delta,
            period_key: event.answer.period_key.to_string(),
            used: event.answer.used,
            remaining: event.answer.remaining,
            occurred_at: event.occurred_at.map(|at| at.to_string()),
            recorded_at: event.recorded_at.to_string(),
            forced: event.forced,
            reason: event.reason.clone(),
            source: event.source.clone(),
            corrects: event.corrects.as_ref().map(ToString::to_string),
            hold_id: event.hold_id.as_ref().map(ToString::to_string),
            would_deny: event.would_deny,
            actor: line.actor.clone(),
        }
    }
}

/// Usage events, newest first; one is found by its `request_id`
#[utoipa::path(get, path = "/api/usage/events.list", tag = "usage", params(EventsQuery),
    responses((status = 200, description = "A page of events", body = Vec<ListedEvent>)))]
async fn events(call: Call) -> Result<Answer, ApiError> {
    let query: EventsQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let mut fields = Fields::default();
    let filter = EventFilter {
        metric: fields.read_if("/metric", query.metric.as_deref().map(Metric::parse)),
        period_key: fields.read_if("/periodKey", query.period_key.as_deref().map(PeriodKey::parse)),
        request_id: fields.read_if("/request_id", query.request_id.as_deref().map(RequestId::parse)),
    };
    fields.done()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = ledger::events(call.app.engine(), &scope, &filter, &paging).await.map_err(shared::refused)?;
    Ok(paging::told::<_, ListedEvent>(&page))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HistoryQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// From the hour that contains this moment on; 30 days before `to` when left out.
    from: Option<String>,
    /// Before this moment; now when left out.
    to: Option<String>,
    /// Only of this metric.
    metric: Option<String>,
    /// `hour`, `day` (the default) or `key`.
    by: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PointBody {
    /// The start of the hour or day; by key: the first hour with usage.
    at: String,
    /// Who counted, in a series by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// What was counted.
    metric: String,
    /// Units counted, corrections included.
    units: i64,
    /// Events counted.
    events: i64,
}

impl From<&Point> for PointBody {
    fn from(point: &Point) -> Self {
        Self {
            at: point.at.to_string(),
            actor: point.actor.clone(),
            metric: point.metric.to_string(),
            units: point.units,
            events: point.events,
        }
    }
}

/// How far back a series reaches when nothing is said.
const HISTORY_SHOWN: Duration = Duration::from_hours(30 * 24);

/// Usage as a series, oldest first
#[utoipa::path(get, path = "/api/usage/history", tag = "usage", params(HistoryQuery),
    responses((status = 200, description = "The points, at most 10,000", body = Vec<PointBody>)))]
async fn history(call: Call) -> Result<Answer, ApiError> {
    let query: HistoryQuery = call.query()?;
    let mut fields = Fields::default();
    let to = fields.time_if("/to", query.to.as_deref()).unwrap_or_else(|| call.app.now());
    let from = fields.time_if("/from", query.from.as_deref()).unwrap_or_else(|| to.minus(HISTORY_SHOWN));
    let metric = fields.read_if("/metric", query.metric.as_deref().map(Metric::parse));
    let by = match query.by.as_deref() {
        Some("hour") => By::Hour,
        None | Some("day") => By::Day,
        Some("key") => By::Key,
        Some(_) => {
            fields.wrong("/by", "must be hour, day or key");
            By::Day
        }
    };
    if to <= from {
        fields.wrong("/to", "must be after `from`");
    }
    fields.done()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let asked = History { from, to, metric, by };
    let points = ledger::history(call.app.engine(), &scope, &asked).await.map_err(shared::refused)?;
    Ok(Answer::data(&points.iter().map(PointBody::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HoldsQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Only of this metric.
    metric: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListedHold {
    /// The hold.
    hold_id: String,
    /// The caller's name of the usage.
    #[serde(rename = "request_id")]
    request_id: String,
    /// What is held.
    metric: String,
    /// How much of it.
    units: i64,
    /// The label of the period it belongs to.
    period_key: String,
    /// When it was taken.
    taken_at: String,
    /// When it expires.
    expires_at: String,
}

impl From<&HoldLine> for ListedHold {
    fn from(hold: &HoldLine) -> Self {
        Self {
            hold_id: hold.hold_id.to_string(),
            request_id: hold.request_id.to_string(),
            metric: hold.metric.to_string(),
            units: hold.units,
            period_key: hold.period_key.to_string(),
            taken_at: hold.taken_at.to_string(),
            expires_at: hold.expires_at.to_string(),
        }
    }
}

/// Open holds, newest first
#[utoipa::path(get, path = "/api/usage/holds.list", tag = "usage", params(HoldsQuery),
    responses((status = 200, description = "A page of holds", body = Vec<ListedHold>)))]
async fn holds(call: Call) -> Result<Answer, ApiError> {
    let query: HoldsQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let mut fields = Fields::default();
    let metric = fields.read_if("/metric", query.metric.as_deref().map(Metric::parse));
    fields.done()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = ledger::holds(call.app.engine(), &scope, metric.as_ref(), &paging).await.map_err(shared::refused)?;
    Ok(paging::told::<_, ListedHold>(&page))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExplainQuery {
    /// The `Tollgate-Receipt` of the decision.
    receipt: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExplainedBody {
    /// For whom it was decided.
    org_id: String,
    /// What was asked (`check`, `record`, …).
    verb: String,
    /// Whether it passed.
    allowed: bool,
    /// Whether only shadow mode let it pass.
    would_deny: bool,
    /// The error code of a denial.
    reason: Option<String>,
    /// Of what.
    metric: String,
    /// How many units; signed for a correction.
    units: i64,
    /// When.
    decided_at: String,
    /// The plan, where it is known.
    plan_code: Option<String>,
    /// Where the org stood right after it; null where it had no access.
    numbers: Option<NumbersBody>,
    /// The rule in words.
    rule: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NumbersBody {
    /// Included units; null where there was no limit.
    included: Option<i64>,
    /// Units granted on top.
    granted: i64,
    /// Units used.
    used: i64,
    /// Units held.
    held: i64,
    /// Used above a hard stop.
    overrun: i64,
    /// Used above a metered allowance.
    overage: i64,
    /// What was left; null where there was no limit.
    remaining: Option<i64>,
    /// `HARD_STOP` or `METERED`.
    overage_policy: &'static str,
    /// The label of the period.
    period_key: String,
    /// When the period ends.
    reset_at: String,
    /// Which change of the limit was in force.
    limit_version: i64,
}

impl From<&Numbers> for NumbersBody {
    fn from(numbers: &Numbers) -> Self {
        Self {
            included: numbers.included,
            granted: numbers.granted,
            used: numbers.used,
            held: numbers.held,
            overrun: numbers.overrun,
            overage: numbers.overage,
            remaining: numbers.remaining,
            overage_policy: numbers.policy.as_str(),
            period_key: numbers.period_key.to_string(),
            reset_at: numbers.reset_at.to_string(),
            limit_version: numbers.limit_version,
        }
    }
}

impl From<Explained> for ExplainedBody {
    fn from(explained: Explained) -> Self {
        Self {
            org_id: explained.org_id,
            verb: explained.verb,
            allowed: explained.allowed,
            would_deny: explained.would_deny,
            reason: explained.reason,
            metric: explained.metric,
            units: explained.units,
            decided_at: explained.decided_at.to_string(),
            plan_code: explained.plan_code,
            numbers: explained.numbers.as_ref().map(NumbersBody::from),
            rule: explained.rule,
        }
    }
}

/// Why a decision was as it was, from its receipt
#[utoipa::path(get, path = "/api/decisions.explain", tag = "quota", params(ExplainQuery),
    responses((status = 200, description = "The decision, its numbers and rule in words", body = ExplainedBody)))]
async fn explain(call: Call) -> Result<Answer, ApiError> {
    let query: ExplainQuery = call.query()?;
    let explained = ledger::explain_to(call.app.engine(), &call.caller, &query.receipt).map_err(shared::refused)?;
    Ok(Answer::data(&ExplainedBody::from(explained)))
}
