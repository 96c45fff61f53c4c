//! What operators and their machines look at: liveness and metrics.

use bytes::Bytes;
use http::header::HeaderValue;
use serde::Serialize;
use tollgate_rules::access::Permission;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_healthz, _, _>(Access::Public, healthz),
        Route::new::<__path_metrics, _, _>(Access::OperatorOrLocal(Permission::DiagnosticsRead), metrics),
    ]
}

#[derive(Serialize, ToSchema)]
struct Live {
    /// `live`.
    status: &'static str,
}

/// The process answers
#[utoipa::path(get, path = "/healthz", tag = "diagnostics", responses((status = 200, description = "Live", body = Live)))]
async fn healthz(_: Call) -> Result<Answer, ApiError> {
    Ok(Answer::data(&Live { status: "live" }))
}

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "diagnostics",
    responses((status = 200, description = "Metrics", content_type = "text/plain", body = String)))]
async fn metrics(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let text = (call.app.state().render_metrics)();
    Ok(Answer::bytes(HeaderValue::from_static("text/plain; version=0.0.4"), Bytes::from(text)))
}
