//! Holds: reserve units before the work, settle what it really took.

use serde::{Deserialize, Serialize};
use tollgate_engine::access::OrgScope;
use tollgate_engine::ledger::{self, Extend, HoldAnswer, HoldTtl, NewHold, Outcome, Release, Reserved, Settle, Signed};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{HoldId, Metric, RequestId};
use tollgate_rules::quantity::Units;
use utoipa::ToSchema;

use super::ledger as shared;
use super::quota::DENIALS;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::caller;
use crate::errors;
use crate::fields::Fields;
use crate::routes::{Access, Route};

const WRITE: Access = Access::Org(Permission::UsageWrite);

pub(crate) fn routes() -> Vec<Route> {
    let ended = &[errors::HOLD_ENDED, errors::OVERLOADED];
    vec![
        Route::new::<__path_reserve, _, _>(WRITE, reserve).refuses(DENIALS).refuses(&[errors::REQUEST_ID_REUSED]),
        Route::new::<__path_settle, _, _>(WRITE, settle).refuses(ended),
        Route::new::<__path_release, _, _>(WRITE, release).refuses(ended),
        Route::new::<__path_extend, _, _>(WRITE, extend).refuses(ended),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReserveBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// What is held.
    metric: String,
    /// How much of it.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    units: i64,
    /// For how long, in seconds: 1 to 86400.
    #[schema(minimum = 1, maximum = 86_400)]
    ttl_seconds: i64,
    /// The caller's name of this usage, unique in the org, 1 to 255 bytes.
    #[serde(rename = "request_id")]
    request_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservedBody {
    /// The hold.
    hold_id: String,
    /// Units held.
    units: i64,
    /// What is left beside it; null where there is no limit.
    remaining: Option<i64>,
    /// When it expires by itself.
    expires_at: String,
}

/// Holds units before the work is done
///
/// Nothing is counted until the hold is settled; what is held cannot be used by others. It expires by itself.
#[utoipa::path(post, path = "/api/usage/reserve", tag = "usage", request_body = ReserveBody,
    responses((status = 200, description = "Held", body = ReservedBody)))]
async fn reserve(call: Call) -> Result<Answer, ApiError> {
    let body: ReserveBody = call.json()?;
    let mut fields = Fields::default();
    let request_id = fields.read("/request_id", RequestId::parse(&body.request_id));
    let metric = fields.read("/metric", Metric::parse(&body.metric));
    let units = fields.read("/units", Units::new(body.units));
    let ttl = fields.read("/ttlSeconds", HoldTtl::from_seconds(body.ttl_seconds));
    let (Some(request_id), Some(metric), Some(units), Some(ttl)) = (request_id, metric, units, ttl) else {
        return Err(fields.refusal());
    };
    let scope = call.org(body.org_id.as_deref()).await?;
    let since = call.app.tick();
    let hold = NewHold { request_id, metric, units, ttl, source: "api".to_owned() };
    let signed = ledger::reserve(call.app.engine(), &scope, hold).await.map_err(shared::refused)?;
    let micros = call.micros_since(since);
    match signed.answer {
        Outcome::Allowed(reserved) => Ok(held(&call, &reserved, &signed.receipt).committed_in(micros)),
        Outcome::Denied(denial) => Err(shared::denied(&call, &denial, Some(&signed.receipt))),
    }
}

fn held(call: &Call, reserved: &Reserved, receipt: &str) -> Answer {
    let answer = Answer::data(&ReservedBody {
        hold_id: reserved.hold_id.to_string(),
        units: reserved.units,
        remaining: reserved.numbers.remaining,
        expires_at: reserved.expires_at.to_string(),
    });
    let answer = shared::with_quota(answer, (&reserved.metric, &reserved.numbers), call.app.now(), receipt);
    shared::mark_shadow(answer, reserved.would_deny)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SettleBody {
    /// The hold.
    hold_id: String,
    /// What the work really took.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    units: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReleaseBody {
    /// The hold.
    hold_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExtendBody {
    /// The hold.
    hold_id: String,
    /// For how long from now, in seconds: 1 to 86400. Never shortens.
    #[schema(minimum = 1, maximum = 86_400)]
    ttl_seconds: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HoldBody {
    /// The label of the hold's period.
    period_key: String,
    /// Units used in it.
    used: i64,
    /// Units held of this metric, by all holds of the org.
    held: i64,
    /// What is left; null where there is no limit.
    remaining: Option<i64>,
}

/// Charges what the work took and frees the rest
///
/// Never refused for quota: what is above the hold, or comes after its expiry, is counted as forced.
#[utoipa::path(post, path = "/api/usage/settle", tag = "usage", request_body = SettleBody,
    responses((status = 200, description = "Charged", body = HoldBody)))]
async fn settle(call: Call) -> Result<Answer, ApiError> {
    let body: SettleBody = call.json()?;
    let mut fields = Fields::default();
    let hold_id = fields.read("/holdId", HoldId::parse(&body.hold_id));
    let units = fields.read("/units", Units::new(body.units));
    let (Some(hold_id), Some(units)) = (hold_id, units) else { return Err(fields.refusal()) };
    let scope = scope_of(&call, &hold_id).await?;
    let since = call.app.tick();
    let signed = ledger::settle(call.app.engine(), &scope, Settle { hold_id, units }).await;
    told(&call, signed, call.micros_since(since))
}

/// Frees a hold
#[utoipa::path(post, path = "/api/usage/release", tag = "usage", request_body = ReleaseBody,
    responses((status = 200, description = "Freed", body = HoldBody)))]
async fn release(call: Call) -> Result<Answer, ApiError> {
    let body: ReleaseBody = call.json()?;
    let mut fields = Fields::default();
    let Some(hold_id) = fields.read("/holdId", HoldId::parse(&body.hold_id)) else { return Err(fields.refusal()) };
    let scope = scope_of(&call, &hold_id).await?;
    let since = call.app.tick();
    let signed = ledger::release(call.app.engine(), &scope, Release { hold_id }).await;
    told(&call, signed, call.micros_since(since))
}

/// Prolongs a hold
#[utoipa::path(post, path = "/api/usage/extend", tag = "usage", request_body = ExtendBody,
    responses((status = 200, description = "Prolonged", body = HoldBody)))]
async fn extend(call: Call) -> Result<Answer, ApiError> {
    let body: ExtendBody = call.json()?;
    let mut fields = Fields::default();
    let hold_id = fields.read("/holdId", HoldId::parse(&body.hold_id));
    let ttl = fields.read("/ttlSeconds", HoldTtl::from_seconds(body.ttl_seconds));
    let (Some(hold_id), Some(ttl)) = (hold_id, ttl) else { return Err(fields.refusal()) };
    let scope = scope_of(&call, &hold_id).await?;
    let since = call.app.tick();
    let signed = ledger::extend(call.app.engine(), &scope, Extend { hold_id, ttl }).await;
    told(&call, signed, call.micros_since(since))
}

/// A hold's id says nothing of its org: a key means its own org, the operator any.
async fn scope_of(call: &Call, hold_id: &HoldId) -> Result<OrgScope, ApiError> {
    if !call.caller.is_operator() {
        return call.org(None).await;
    }
    let operator = caller::require_operator(&call.caller, Permission::UsageWrite)?;
    let org_id = ledger::org_of_hold(call.app.engine(), &operator, hold_id).await.map_err(shared::refused)?;
    call.org(Some(org_id.as_str())).await
}

fn told(call: &Call, signed: Result<Signed<HoldAnswer>, ledger::Error>, micros: u64) -> Result<Answer, ApiError> {
    let signed = signed.map_err(shared::refused)?;
    let numbers = &signed.answer.numbers;
    let answer = Answer::data(&HoldBody {
        period_key: numbers.period_key.to_string(),
        used: numbers.used,
        held: numbers.held,
        remaining: numbers.remaining,
    });
    let metric = (&signed.answer.metric, numbers);
    Ok(shared::with_quota(answer, metric, call.app.now(), &signed.receipt).committed_in(micros))
}
