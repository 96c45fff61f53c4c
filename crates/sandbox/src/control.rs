//! The sandbox's own controls over HTTP, beside what it stands in for: its clock, and what goes wrong.
//!
//! `GET /sandbox/clock`, `POST /sandbox/clock.advance` `{"seconds": 86400}` or `{"toMicros": …}`, `GET`, `POST` and `DELETE`
//! `/sandbox/faults`. Any `sk_test_…` key may use them, as everything else here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Inner;
use crate::api_error::ApiError;
use crate::clock::SECOND;
use crate::faults::{Failure, Faults};
use crate::server::Answer;

/// The longest step of the clock: a hundred years.
const SECONDS_MAX: i64 = 100 * 366 * 86_400;
/// The longest pause that can be asked for.
const PAUSE_MILLIS_MAX: u64 = 60_000;

/// What is to go wrong; what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// Webhooks are lost.
    drop_webhooks: Option<bool>,
    /// Webhooks come twice.
    duplicate_webhooks: Option<bool>,
    /// Webhooks come in another order: a number makes the order, 0 restores it.
    reorder_webhooks: Option<u64>,
    /// Webhooks come later.
    webhook_delay_ms: Option<u64>,
    /// Answers come later.
    answer_delay_ms: Option<u64>,
    /// Plans cost so much more per period at Stigg than at Stripe, in minor units.
    stigg_surcharge: Option<i64>,
    /// Keys lack permissions.
    #[serde(default)]
    restrict: Vec<Restricted>,
    /// Calls fail.
    #[serde(default)]
    fail: Vec<Fail>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fail {
    /// What the path begins with (`/v1/invoices`).
    path: String,
    /// Calls that still pass before it begins.
    #[serde(default)]
    after: u32,
    /// How many calls.
    #[serde(default = "once")]
    times: u32,
    /// `429`, `500` or another status; `pinned_500`, `timeout_after_commit`, `error_after_commit`, `bad_gateway`, `slow`.
    how: String,
    /// How long a `slow` call waits first.
    #[serde(default)]
    wait_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Restricted {
    /// The key (`rk_test_…`).
    key: String,
    /// What the paths begin with that it may not use; with none it lacks nothing any more.
    lacks: Vec<String>,
}

const fn once() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    seconds: Option<i64>,
    to_micros: Option<i64>,
}

/// Answers a call to a control.
pub(crate) async fn answer(inner: &Arc<Inner>, method: &Method, path: &str, body: &Bytes) -> Result<Answer, ApiError> {
    let told = match (method.as_str(), path) {
        ("GET", "/sandbox/clock") => json!({ "nowMicros": inner.clock.now_micros() }),
        ("POST", "/sandbox/clock.advance") => advance(inner, read(body)?).await?,
        ("GET", "/sandbox/faults") => shown(&inner.faults),
        ("POST", "/sandbox/faults") => {
            plan(&inner.faults, read(body)?)?;
            shown(&inner.faults)
        }
        ("DELETE", "/sandbox/faults") => {
            inner.faults.clear();
            shown(&inner.faults)
        }
        _ => return Err(ApiError::no_route(method.as_str(), path)),
    };
    Ok(Answer { status: 200, body: told.to_string(), replayed: false })
}

fn read<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid(format!("The body is JSON: {error}")))
}

async fn advance(inner: &Arc<Inner>, step: Step) -> Result<Value, ApiError> {
    let now = inner.clock.now_micros();
    let to = match (step.seconds, step.to_micros) {
        (Some(seconds), None) if (0..=SECONDS_MAX).contains(&seconds) => now.saturating_add(seconds * SECOND),
        (None, Some(micros)) => micros,
        _ => return Err(ApiError::invalid("Give `seconds`, up to a hundred years, or `toMicros`.")),
    };
    let happened = crate::move_to(inner, to).await.map_err(|error| ApiError::invalid(error.to_string()))?;
    let happened: Vec<Value> = happened
        .iter()
        .map(|one| json!({ "atMicros": one.at_micros, "kind": one.kind, "object": one.object, "summary": one.summary }))
        .collect();
    Ok(json!({ "nowMicros": inner.clock.now_micros(), "happened": happened }))
}

fn plan(faults: &Faults, wanted: Wanted) -> Result<(), ApiError> {
    let fails: Vec<(Fail, Failure)> = wanted
        .fail
        .into_iter()
        .map(|fail| failure(&fail).map(|failure| (fail, failure)))
        .collect::<Result<_, ApiError>>()?;
    let (webhooks, answers) =
        (wanted.webhook_delay_ms.map(pause).transpose()?, wanted.answer_delay_ms.map(pause).transpose()?);
    // Nothing is set before all of it is understood.
    if let Some(drop) = wanted.drop_webhooks {
        faults.drop_webhooks(drop);
    }
    if let Some(duplicate) = wanted.duplicate_webhooks {
        faults.duplicate_webhooks(duplicate);
    }
    if let Some(seed) = wanted.reorder_webhooks {
        faults.reorder_webhooks(Some(seed).filter(|seed| *seed > 0));
    }
    if let Some(delay) = webhooks {
        faults.delay_webhooks(delay);
    }
    if let Some(delay) = answers {
        faults.delay_answers(delay);
    }
    if let Some(minor) = wanted.stigg_surcharge {
        faults.stigg_surcharge(minor);
    }
    for restricted in &wanted.restrict {
        faults.restrict_key(&restricted.key, &restricted.lacks);
    }
    for (fail, failure) in fails {
        faults.fail_after(&fail.path, fail.after, fail.times, failure);
    }
    Ok(())
}

fn pause(millis: u64) -> Result<Duration, ApiError> {
    match millis {
        0..=PAUSE_MILLIS_MAX => Ok(Duration::from_millis(millis)),
        _ => Err(ApiError::invalid("A pause is at most 60000 ms.")),
    }
}

fn failure(fail: &Fail) -> Result<Failure, ApiError> {
    match fail.how.as_str() {
        "slow" => Ok(Failure::Slow(pause(fail.wait_ms)?)),
        "pinned_500" => Ok(Failure::PinnedError),
        "timeout_after_commit" => Ok(Failure::LostAnswer),
        "error_after_commit" => Ok(Failure::ErrorAfterCommit),
        "bad_gateway" => Ok(Failure::BadGateway),
        status => match status.parse() {
            Ok(status @ 400..=599) => Ok(Failure::Status(status)),
            _ => Err(ApiError::invalid(
                "`how` is a status from 400 to 599, pinned_500, timeout_after_commit, error_after_commit, bad_gateway or slow.",
            )),
        },
    }
}

fn shown(faults: &Faults) -> Value {
    let settings = faults.settings();
    json!({
        "dropWebhooks": settings.drop_webhooks,
        "duplicateWebhooks": settings.duplicate_webhooks,
        "reorderWebhooks": settings.reorder_seed.unwrap_or(0),
        "webhookDelayMs": u64::try_from(settings.webhook_delay.as_millis()).unwrap_or(u64::MAX),
        "answerDelayMs": u64::try_from(settings.answer_delay.as_millis()).unwrap_or(u64::MAX),
        "stiggSurcharge": settings.stigg_surcharge,
        "planned": settings.planned_paths(),
        "restricted": settings.restricted().iter().map(|(key, lacks)| json!({ "key": key, "lacks": lacks })).collect::<Value>(),
    })
}
