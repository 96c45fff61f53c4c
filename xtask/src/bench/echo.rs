//! The yardstick: a bare axum server that parses a JSON body and answers one, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    org_id: String,
    metric: String,
    units: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    ok: bool,
    org_id: String,
    metric: String,
    units: i64,
}

/// The body sent to it: that of a quota check.
pub(super) const BODY: &str = r#"{"orgId":"org_0190b1c2d3e4f5061728394a5b6c7d8e","metric":"api_call","units":1}"#;

async fn echo(Json(ask): Json<Ask>) -> Json<Answer> {
    Json(Answer { ok: true, org_id: ask.org_id, metric: ask.metric, units: ask.units })
}

/// Serves until the process is ended; writes its address into the file when it listens.
///
/// # Errors
/// No port, or the file cannot be written.
pub async fn serve(ready_file: &Path) -> Outcome {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let listener = tokio::net::TcpListener::bind(any).await.map_err(Failure::during("binding the echo server"))?;
    let address = listener.local_addr().map_err(Failure::during("binding the echo server"))?;
    let partial = ready_file.with_extension("partial");
    std::fs::write(&partial, address.to_string()).map_err(Failure::during("writing the ready file"))?;
    std::fs::rename(&partial, ready_file).map_err(Failure::during("writing the ready file"))?;
    let router = Router::new().route("/echo", post(echo));
    axum::serve(listener, router).await.map_err(Failure::during("serving"))
}
