//! The gate: what a gateway asks before it lets a call through. One `api_call` is counted on each request.
//!
//! Answers are empty, with headers; refusals are bare problem documents. The original path and method do not matter, and the
//! original query string is never looked at: it is the end customer's.

use http::header::{HeaderName, HeaderValue};
use tollgate_engine::access::OrgScope;
use tollgate_engine::ledger::{self, Counted, Item, Outcome, Record};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{Metric, RequestId};
use tollgate_rules::quantity::Units;

use super::DENIALS;
use super::ledger as shared;
use super::usage::MAIN_METRIC;
use crate::answer::Answer;
use crate::api_error::{ApiError, Shape};
use crate::call::Call;
use crate::decision;
use crate::routes::{Access, Route, Spec};

const ORG: HeaderName = HeaderName::from_static("x-tollgate-org");
const METRIC: HeaderName = HeaderName::from_static("x-tollgate-metric");
const USED: HeaderName = HeaderName::from_static("x-tollgate-used");
const REMAINING: HeaderName = HeaderName::from_static("x-tollgate-remaining");
const PERIOD: HeaderName = HeaderName::from_static("x-tollgate-period");

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::with::<__path_pass, _, _>(spec(), pass).refuses(DENIALS),
        Route::with::<__path_pass_at, _, _>(spec(), pass).refuses(DENIALS),
    ]
}

/// The body belongs to the service behind the gate and is not read.
fn spec() -> Spec {
    Spec { body_bytes_max: 0, shape: Shape::Problem, ..Spec::new(Access::Org(Permission::GatePass)) }
}

/// Counts one call and lets it pass, or says why not
///
/// The answer is empty, with `X-Tollgate-Org`, `X-Tollgate-Used`, `X-Tollgate-Remaining`, `X-Tollgate-Period` and `RateLimit*`; a
/// refusal is a bare problem document.
#[utoipa::path(method(get, post, put, delete, options, head, patch, trace), path = "/v1/gate/default", tag = "gate",
    responses((status = 200, description = "Passed; empty")))]
async fn pass(call: Call) -> Result<Answer, ApiError> {
    let (scope, counted, headers) = count_one(&call, "gate").await?;
    let mut answer = Answer::bytes(HeaderValue::from_static("text/plain"), bytes::Bytes::new());
    answer.headers = headers;
    answer.headers.extend(about(&scope, &counted));
    Ok(answer)
}

/// The same, with the original path behind the profile
#[utoipa::path(method(get, post, put, delete, options, head, patch, trace), path = "/v1/gate/default/{*path}", tag = "gate",
    params(("path" = String, Path, description = "The original path; not looked at")),
    responses((status = 200, description = "Passed; empty")))]
#[expect(dead_code, reason = "only its description is used: the handler is the one above")]
async fn pass_at(call: Call) -> Result<Answer, ApiError> {
    pass(call).await
}

type Headers = Vec<(HeaderName, HeaderValue)>;

/// Counts one call of the credential's org. Each request counts: ids that clients choose do not make repeats here.
pub(crate) async fn count_one(call: &Call, source: &str) -> Result<(OrgScope, Counted, Headers), ApiError> {
    let scope = call.org(None).await?;
    let name = call.app.request_ids().fresh();
    let request_id = RequestId::parse(name.as_str()).expect("letters and digits are a request id");
    let metric = Metric::parse(MAIN_METRIC).expect("a lower case word");
    let items = vec![Item { metric: metric.clone(), units: Units::ONE }];
    let record = Record { request_id, items, occurred_at: None, source: source.to_owned(), force: None };
    let signed = ledger::record(call.app.engine(), &scope, record).await.map_err(shared::refused)?;
    match signed.answer {
        Outcome::Denied(denial) => Err(shared::denied(call, &denial, Some(&signed.receipt))),
        Outcome::Allowed(mut recorded) => {
            let counted = recorded.items.pop().ok_or_else(ApiError::internal)?;
            let mut headers = decision::rate_limit(&metric, &counted.numbers, recorded.recorded_at);
            headers.extend(decision::receipt(&signed.receipt));
            Ok((scope, counted, headers))
        }
    }
}

fn about(scope: &OrgScope, counted: &Counted) -> Headers {
    let numbers = &counted.numbers;
    let remaining = numbers.remaining.map_or_else(|| "unlimited".to_owned(), |left| left.to_string());
    let texts = [
        (ORG, scope.org_id().to_string()),
        (METRIC, counted.metric.to_string()),
        (USED, numbers.used.to_string()),
        (REMAINING, remaining),
        (PERIOD, numbers.period_key.to_string()),
    ];
    texts.into_iter().filter_map(|(name, text)| HeaderValue::try_from(text).ok().map(|value| (name, value))).collect()
}
