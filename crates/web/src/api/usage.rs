//! Counting usage: record, seed, correct.

use serde::{Deserialize, Serialize};
use tollgate_engine::access::OrgScope;
use tollgate_engine::ledger::{self, Correct, Outcome, Record, Recorded};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::period::PeriodKey;
use utoipa::ToSchema;

use super::ledger::{self as shared, CountedItem};
use super::quota::DENIALS;
use super::usage_event::{self, EventBody};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::fields::Fields;
use crate::routes::{Access, Route};

/// The metric whose numbers stand at the top of answers that name none.
pub(crate) const MAIN_METRIC: &str = "api_call";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_record, _, _>(Access::Org(Permission::UsageWrite), record)
            .refuses(DENIALS)
            .refuses(&[errors::REQUEST_ID_REUSED]),
        Route::new::<__path_seed, _, _>(Access::Org(Permission::UsageWrite), seed)
            .refuses(DENIALS)
            .refuses(&[errors::OTHER_PERIOD]),
        Route::new::<__path_correct, _, _>(Access::Operator(Permission::UsageCorrect), correct)
            .refuses(&[errors::REQUEST_ID_REUSED, errors::OVERLOADED]),
    ]
}

/// What was counted. With `items` in the request the numbers stand per item.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CountedBody {
    /// The label of the period it was counted in.
    period_key: String,
    /// Units used in that period, this call included.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<i64>,
    /// What is left; null where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<Option<i64>>,
    /// Item by item, in the order of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<CountedItem>>,
}

/// Checks and counts usage
///
/// One atomic, durable step. The same `request_id` with the same content answers the same again and counts nothing; with
/// `items` several metrics are counted together or not at all. `force` counts what already happened, even past the limit; it
/// needs the scope `usage:force` and a `reason`.
#[utoipa::path(post, path = "/api/usage/record", tag = "usage", request_body = EventBody<'static>,
    responses((status = 200, description = "Counted", body = CountedBody)))]
async fn record(call: Call) -> Result<Answer, ApiError> {
    let body: EventBody<'_> = call.json()?;
    let (record, forced) = usage_event::parse(&body)?;
    let scope = call.org(body.org_id.as_deref()).await?;
    if forced {
        call.org_for(Permission::UsageForce, body.org_id.as_deref()).await?;
    }
    counted(&call, &scope, record, body.items.is_some()).await
}

async fn counted(call: &Call, scope: &OrgScope, record: Record, by_item: bool) -> Result<Answer, ApiError> {
    let since = call.app.tick();
    let signed = ledger::record(call.app.engine(), scope, record).await.map_err(shared::refused)?;
    let micros = call.micros_since(since);
    match signed.answer {
        Outcome::Allowed(recorded) => Ok(told(call, &recorded, by_item, &signed.receipt).committed_in(micros)),
        Outcome::Denied(denial) => Err(shared::denied(call, &denial, Some(&signed.receipt))),
    }
}

fn told(call: &Call, recorded: &Recorded, by_item: bool, receipt: &str) -> Answer {
    let period_key = recorded.period_key.to_string();
    let first = recorded.items.first();
    let body = if by_item {
        let items = recorded.items.iter().map(CountedItem::from).collect();
        CountedBody { period_key, used: None, remaining: None, items: Some(items) }
    } else {
        let numbers = first.map(|item| &item.numbers);
        let (used, remaining) = (numbers.map(|n| n.used), numbers.map(|n| n.remaining));
        CountedBody { period_key, used, remaining, items: None }
    };
    let answer = Answer::data(&body);
    match first {
        Some(item) => {
            let now = if recorded.repeat { call.app.now() } else { recorded.recorded_at };
            let answer = shared::with_quota(answer, (&item.metric, &item.numbers), now, receipt);
            shared::mark_shadow(answer, recorded.items.iter().any(|item| item.would_deny))
        }
        None => answer,
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeedBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The period the caller believes to be current; another one is answered with 409.
    period_key: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Seeded {
    /// Units used in the period.
    used: i64,
    /// What is left; null where there is no limit.
    remaining: Option<i64>,
    /// The label of the period.
    period_key: String,
}

/// Makes sure that the current period's counter is open
#[utoipa::path(post, path = "/api/usage/seed", tag = "usage", request_body = SeedBody,
    responses((status = 200, description = "The counter", body = Seeded)))]
async fn seed(call: Call) -> Result<Answer, ApiError> {
    let body: SeedBody = call.json()?;
    let mut fields = Fields::default();
    let period_key = fields.read_if("/periodKey", body.period_key.as_deref().map(PeriodKey::parse));
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let metric = Metric::parse(MAIN_METRIC).expect("a lower case word");
    match ledger::seed(call.app.engine(), &scope, metric, period_key).await.map_err(shared::refused)? {
        Outcome::Allowed(seeded) => Ok(Answer::data(&Seeded {
            used: seeded.numbers.used,
            remaining: seeded.numbers.remaining,
            period_key: seeded.numbers.period_key.to_string(),
        })),
        Outcome::Denied(denial) => Err(shared::denied(&call, &denial, None)),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CorrectBody {
    /// The org.
    org_id: Option<String>,
    /// The `request_id` of the event that was wrong.
    corrects: String,
    /// Which metric of it; needed only where the event counted several.
    metric: Option<String>,
    /// Signed units to add; not 0.
    units: i64,
    /// Why; kept in the audit journal.
    reason: String,
    /// The name of this correction, unique in the org.
    #[serde(rename = "request_id")]
    request_id: String,
}

/// Puts a count right
///
/// Appends an entry that names the event it corrects; nothing is rewritten.
#[utoipa::path(post, path = "/api/admin/usage.correct", tag = "admin", request_body = CorrectBody,
    responses((status = 200, description = "The counter after it", body = Seeded)))]
async fn correct(call: Call) -> Result<Answer, ApiError> {
    let body: CorrectBody = call.json()?;
    let mut fields = Fields::default();
    let request_id = fields.read("/request_id", RequestId::parse(&body.request_id));
    let corrects = fields.read("/corrects", RequestId::parse(&body.corrects));
    let metric = fields.read_if("/metric", body.metric.as_deref().map(Metric::parse));
    fields.text("/reason", &body.reason);
    let (Some(request_id), Some(corrects)) = (request_id, corrects) else { return Err(fields.refusal()) };
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let correct = Correct { request_id, corrects, metric, units: body.units, reason: body.reason };
    let since = call.app.tick();
    let signed = ledger::correct(call.app.engine(), &scope, correct).await.map_err(shared::refused)?;
    let micros = call.micros_since(since);
    let numbers = &signed.answer.numbers;
    let answer = Answer::data(&Seeded {
        used: numbers.used,
        remaining: numbers.remaining,
        period_key: numbers.period_key.to_string(),
    });
    Ok(shared::with_quota(answer, (&signed.answer.metric, numbers), call.app.now(), &signed.receipt)
        .committed_in(micros))
}
