//! The sandbox's time machine (`tollgate dev` only).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_rules::access::Permission;
use tollgate_rules::time::Timestamp;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::routes::{Access, Route};
use crate::state::{Advance, AdvanceError, Advanced, TimeMachine};

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::ClockAdvance);
    vec![
        Route::new::<__path_read, _, _>(operate, read).in_dev_only(),
        Route::new::<__path_advance, _, _>(operate, advance).in_dev_only().refuses(&[errors::CONFLICT]),
    ]
}

#[derive(Serialize, ToSchema)]
struct ClockBody {
    /// The sandbox's time.
    now: String,
}

/// What time it is in the sandbox
#[utoipa::path(get, path = "/sandbox/clock", tag = "sandbox", responses((status = 200, description = "The time", body = ClockBody)))]
async fn read(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let machine = machine(&call)?;
    Ok(Answer::data(&ClockBody { now: (machine.now)().to_string() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdvanceBody {
    /// By a length: a number with `s`, `m`, `h`, `d`, `w`, `mo` or `y`.
    by: Option<String>,
    /// To a moment.
    to: Option<String>,
    /// To the next thing that is due.
    to_next: Option<bool>,
}

/// Moves time forward
///
/// Answers once everything due by then has happened in order and converged. Give one of `by`, `to` and `toNext`.
#[utoipa::path(post, path = "/sandbox/clock.advance", tag = "sandbox", request_body = AdvanceBody,
    responses((status = 200, description = "What happened", body = Advanced)))]
async fn advance(call: Call) -> Result<Answer, ApiError> {
    call.operator()?;
    let body: AdvanceBody = call.json()?;
    let machine = machine(&call)?;
    let advanced = (machine.advance)(asked(body)?).await.map_err(refused)?;
    Ok(Answer::data(&advanced))
}

fn asked(body: AdvanceBody) -> Result<Advance, ApiError> {
    match (body.by, body.to, body.to_next) {
        (Some(by), None, None) => Ok(Advance::By(by)),
        (None, Some(to), None) => match Timestamp::parse_rfc3339(&to) {
            Ok(to) => Ok(Advance::To(to)),
            Err(error) => Err(ApiError::field("/to", error.to_string())),
        },
        (None, None, Some(true)) => Ok(Advance::ToNext),
        _ => Err(ApiError::field("", "give exactly one of `by`, `to` and `toNext`: true")),
    }
}

fn machine(call: &Call) -> Result<Arc<TimeMachine>, ApiError> {
    let machine = call.app.state().time_machine.as_ref();
    machine.map(Arc::clone).ok_or_else(|| ApiError::new(&errors::NOT_FOUND, "There is no such route."))
}

pub(crate) fn refused(error: AdvanceError) -> ApiError {
    match error {
        AdvanceError::Invalid(reason) => ApiError::field("", reason),
        AdvanceError::Refused(reason) => ApiError::new(&errors::CONFLICT, format!("{reason}.")),
        AdvanceError::Busy => {
            ApiError::new(&errors::CONFLICT, "The clock is being moved by another call.").retry_after(1)
        }
        AdvanceError::Failed(reason) => {
            tracing::error!(reason, "the clock could not be moved");
            ApiError::new(&errors::BILLING_UNAVAILABLE, "Something that was due could not be done; the log says what.")
                .retry_after(1)
        }
    }
}
