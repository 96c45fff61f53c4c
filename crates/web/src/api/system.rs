//! What operators and their machines look at: liveness, readiness, health, metrics, the smoke test.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::HeaderValue;
use serde::Serialize;
use tollgate_engine::diag::{self, Check};
use tollgate_rules::access::Permission;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    let look = Access::OperatorOrLocal(Permission::DiagnosticsRead);
    vec![
        Route::new::<__path_healthz, _, _>(Access::Public, healthz),
        Route::new::<__path_readyz, _, _>(Access::Public, readyz),
        Route::new::<__path_health, _, _>(look, health),
        Route::new::<__path_metrics, _, _>(look, metrics),
        Route::new::<__path_smoke, _, _>(look, smoke),
    ]
}

#[derive(Serialize, ToSchema)]
struct StatusBody {
    /// `live` or `ready`.
    status: &'static str,
}

/// The process answers
#[utoipa::path(get, path = "/healthz", tag = "diagnostics", responses((status = 200, description = "Live", body = StatusBody)))]
async fn healthz(_: Call) -> Result<Answer, ApiError> {
    Ok(Answer::data(&StatusBody { status: "live" }))
}

/// The server can make something durable now
///
/// A durable write, on demand, remembered for a second.
#[utoipa::path(get, path = "/readyz", tag = "diagnostics", responses((status = 200, description = "Ready", body = StatusBody)))]
async fn readyz(call: Call) -> Result<Answer, ApiError> {
    match diag::ready(call.app.engine()).await {
        Ok(()) => Ok(Answer::data(&StatusBody { status: "ready" })),
        Err(reason) => Err(not_ready(&reason)),
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HealthBody {
    /// `ready`.
    status: &'static str,
    /// The version that runs.
    version: String,
    /// Since it started.
    uptime_seconds: u64,
    /// What was looked at.
    #[schema(value_type = Object)]
    checks: BTreeMap<&'static str, CheckBody>,
}

/// Readiness with version, uptime and checks
#[utoipa::path(get, path = "/health", tag = "diagnostics", responses((status = 200, description = "Ready", body = HealthBody)))]
async fn health(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let since = call.app.tick();
    let ready = diag::ready(call.app.engine()).await;
    let ms = call.micros_since(since) / 1000;
    if let Err(reason) = ready {
        return Err(not_ready(&reason));
    }
    let checks = BTreeMap::from([("db", CheckBody { ok: true, ms, detail: "a durable write".to_owned() })]);
    Ok(Answer::data(&HealthBody {
        status: "ready",
        version: call.app.state().version.clone(),
        uptime_seconds: call.app.uptime().as_secs(),
        checks,
    }))
}

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "diagnostics",
    responses((status = 200, description = "Metrics", content_type = "text/plain", body = String)))]
async fn metrics(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let text = (call.app.state().render_metrics)();
    Ok(Answer::bytes(HeaderValue::from_static("text/plain; version=0.0.4"), Bytes::from(text)))
}

#[derive(Serialize, ToSchema)]
struct SmokeBody {
    /// Whether every check passed.
    ok: bool,
    /// `db`, `redis`, `env`, `stripe` and `jobs`, each `{ok, ms, detail}`.
    #[schema(value_type = Object)]
    checks: BTreeMap<&'static str, CheckBody>,
}

#[derive(Serialize)]
struct CheckBody {
    ok: bool,
    ms: u64,
    detail: String,
}

impl From<&Check> for CheckBody {
    fn from(check: &Check) -> Self {
        Self { ok: check.ok, ms: check.ms, detail: check.detail.clone() }
    }
}

/// Tries everything the server needs, once
#[utoipa::path(get, path = "/api/diag/smoke", tag = "diagnostics",
    responses((status = 200, description = "Every check passed", body = SmokeBody)))]
async fn smoke(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let smoke = diag::smoke(call.app.engine()).await;
    let checks: BTreeMap<_, _> = smoke.checks.iter().map(|check| (check.name, CheckBody::from(check))).collect();
    let failing: Vec<&str> = smoke.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
    tracing::info!(
        event = "diag.smoke",
        ok = smoke.ok(),
        failing = failing.join(","),
        request_id = call.request_id.as_str(),
        corr_id = call.caller.corr_id(),
        "the smoke test ran"
    );
    let body = SmokeBody { ok: smoke.ok(), checks };
    if body.ok {
        return Ok(Answer::data(&body));
    }
    let billing_only = failing == ["stripe"];
    let doc = if billing_only { &errors::BILLING_UNAVAILABLE } else { &errors::STORE_UNAVAILABLE };
    let message = format!("These checks fail: {}.", failing.join(", "));
    Err(ApiError::new(doc, message).with_data(&body).retry_after(5))
}

fn not_ready(reason: &str) -> ApiError {
    tracing::warn!(reason, "the server is not ready");
    ApiError::new(&errors::STORE_UNAVAILABLE, "The server cannot make anything durable right now.").retry_after(1)
}
