//! What an org may use and has used.

use std::collections::BTreeMap;

use http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use tollgate_engine::access::OrgScope;
use tollgate_engine::subscriptions::{self, Entitlements, MetricEntitlement};
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::{Draws, FeatureValue};
use tollgate_rules::entitlement::ScheduledChange;
use tollgate_rules::time::Timestamp;
use utoipa::{IntoParams, ToSchema};

use super::usage::MAIN_METRIC;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::failures;
use crate::fields::Fields;
use crate::routes::{Access, Route};

const BY_ORG: &str = "/v1/entitlements/";

pub(crate) fn routes() -> Vec<Route> {
    let read = Access::Org(Permission::EntitlementsRead);
    vec![Route::new::<__path_mine, _, _>(read, mine), Route::new::<__path_of_org, _, _>(read, of_org)]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MineQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// A past moment (RFC 3339); now when left out.
    at: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AtQuery {
    /// A past moment (RFC 3339); now when left out.
    at: Option<String>,
}

/// What the org may use now, or at a past moment. The top-level numbers are those of `api_call`; plan, period and numbers are
/// null where there is no access.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EntitlementsBody {
    /// The org.
    org_id: String,
    /// The plan in force; `trial` during a trial.
    plan_code: Option<String>,
    /// Included units of `api_call`; null where there is no limit.
    included: Option<i64>,
    /// Units of it used in the period.
    used: Option<i64>,
    /// What is left of it; null where there is no limit.
    remaining: Option<i64>,
    /// The label of the quota period.
    period_key: Option<String>,
    /// When the period began.
    period_start: Option<String>,
    /// When it ends.
    period_end: Option<String>,
    /// The status of the subscription that counts, else of the last one; `none` if there never was one.
    status: &'static str,
    /// In a trial, the plan being tried.
    trial_of: Option<String>,
    /// Since when this is so.
    effective_at: Option<String>,
    /// The plan change that comes by itself.
    scheduled_change: Option<ScheduledBody>,
    /// Every metric's numbers.
    metrics: Vec<EntitledMetric>,
    /// The features in force.
    #[schema(value_type = Object)]
    features: BTreeMap<String, FeatureBody>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduledBody {
    /// The plan to come; null where access ends.
    plan_code: Option<String>,
    /// When.
    effective_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EntitledMetric {
    /// The metric.
    metric: String,
    /// Included units; null where there is no limit.
    included: Option<i64>,
    /// Units granted on top.
    granted: i64,
    /// Units used in the period.
    used: i64,
    /// Units held.
    held: i64,
    /// Used above the allowance, and charged.
    overage: i64,
    /// Used above a hard stop: forced, or the limit was lowered.
    overrun: i64,
    /// What is left; null where there is no limit.
    remaining: Option<i64>,
    /// `HARD_STOP` or `METERED`.
    overage_policy: &'static str,
    /// When the numbers start anew.
    reset_at: String,
    /// The pool its units are taken from as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<PoolBody>,
}

/// How a metric draws on a pool.
#[derive(Serialize, ToSchema)]
pub(crate) struct PoolBody {
    /// The pool: a metric with numbers of its own.
    metric: String,
    /// Units of the pool for one unit.
    rate: i64,
}

impl From<&Draws> for PoolBody {
    fn from(draws: &Draws) -> Self {
        Self { metric: draws.pool.to_string(), rate: draws.rate }
    }
}

/// The value of a feature.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FeatureBody {
    /// On or off.
    Switch(bool),
    /// How many.
    Number(i64),
    /// Which.
    Text(String),
}

impl From<&FeatureValue> for FeatureBody {
    fn from(value: &FeatureValue) -> Self {
        match value {
            FeatureValue::Bool(on) => Self::Switch(*on),
            FeatureValue::Number(number) => Self::Number(*number),
            FeatureValue::Text(text) => Self::Text(text.clone()),
        }
    }
}

impl From<&MetricEntitlement> for EntitledMetric {
    fn from(one: &MetricEntitlement) -> Self {
        Self {
            metric: one.metric.to_string(),
            included: one.included,
            granted: one.granted,
            used: one.used,
            held: one.held,
            overage: one.overage,
            overrun: one.overrun,
            remaining: one.remaining,
            overage_policy: one.policy.as_str(),
            reset_at: one.reset_at.to_string(),
            pool: one.draws.as_ref().map(PoolBody::from),
        }
    }
}

impl From<&ScheduledChange> for ScheduledBody {
    fn from(change: &ScheduledChange) -> Self {
        Self { plan_code: change.plan_code.as_ref().map(ToString::to_string), effective_at: change.at.to_string() }
    }
}

impl From<&Entitlements> for EntitlementsBody {
    fn from(one: &Entitlements) -> Self {
        let main = one.metric(MAIN_METRIC);
        Self {
            org_id: one.org_id.to_string(),
            plan_code: one.plan_code.as_ref().map(ToString::to_string),
            included: main.and_then(|numbers| numbers.included),
            used: main.map(|numbers| numbers.used),
            remaining: main.and_then(|numbers| numbers.remaining),
            period_key: one.period_key.map(|key| key.to_string()),
            period_start: one.period.map(|period| period.start.to_string()),
            period_end: one.period.map(|period| period.end.to_string()),
            status: one.status.map_or("none", |status| status.as_str()),
            trial_of: one.trial_of.as_ref().map(ToString::to_string),
            effective_at: one.effective_at.map(|at| at.to_string()),
            scheduled_change: one.scheduled_change.as_ref().map(ScheduledBody::from),
            metrics: one.metrics.iter().map(EntitledMetric::from).collect(),
            features: one.features.iter().map(|(code, value)| (code.to_string(), value.into())).collect(),
        }
    }
}

/// What the org may use and has used
///
/// Always 200 for an org one may see: where it has no access, `status` says why and plan, period and numbers are null.
#[utoipa::path(get, path = "/api/me/entitlements.read", tag = "entitlements", params(MineQuery),
    responses((status = 200, description = "The entitlements, with an `ETag`", body = EntitlementsBody),
        (status = 304, description = "As in `If-None-Match`")))]
async fn mine(call: Call) -> Result<Answer, ApiError> {
    let query: MineQuery = call.query()?;
    let at = moment(query.at.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    read(&call, &scope, at).await
}

/// The same, with the org in the path
#[utoipa::path(get, path = "/v1/entitlements/{orgId}", tag = "entitlements",
    params(("orgId" = String, Path, description = "The org"), AtQuery),
    responses((status = 200, description = "The entitlements, with an `ETag`", body = EntitlementsBody),
        (status = 304, description = "As in `If-None-Match`")))]
async fn of_org(call: Call) -> Result<Answer, ApiError> {
    let query: AtQuery = call.query()?;
    let at = moment(query.at.as_deref())?;
    let org_id = call.path_after(BY_ORG)?;
    let scope = call.org(Some(&org_id)).await?;
    read(&call, &scope, at).await
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let mut fields = Fields::default();
    let at = fields.time_if("/at", text);
    fields.done()?;
    Ok(at)
}

async fn read(call: &Call, scope: &OrgScope, at: Option<Timestamp>) -> Result<Answer, ApiError> {
    let found = subscriptions::entitlements(call.app.engine(), scope, at).await;
    let entitlements = found.map_err(|error| failures::database(&error))?;
    Ok(tagged(call, Answer::data(&EntitlementsBody::from(&entitlements))))
}

/// Adds the `ETag`, and answers 304 to whoever has this very answer already.
fn tagged(call: &Call, answer: Answer) -> Answer {
    let tag = etag(&answer.body);
    let known = call.header(IF_NONE_MATCH.as_str());
    let same = known.is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*")
    });
    let answer = if same { Answer { status: 304, body: bytes::Bytes::new(), ..answer } } else { answer };
    match HeaderValue::try_from(tag) {
        Ok(value) => answer.with_header(ETAG, value),
        Err(_) => answer,
    }
}

fn etag(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    let hex: String = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
