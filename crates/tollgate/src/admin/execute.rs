//! Carries out one request of an operator.

use serde_json::{Value, json};
use tollgate_rules::time::Timestamp;
use tollgate_web::{Advance, AdvanceError};

use super::{Context, How, Request};
use crate::failure::{Exit, Failure};

/// Does what was asked.
///
/// # Errors
/// It failed; the failure knows the exit code.
pub(crate) async fn execute(context: &Context, request: Request) -> Result<Value, Failure> {
    match request {
        Request::Clock => Ok(json!({"now": context.engine.now()})),
        Request::Advance { how } => advance(context, how).await,
    }
}

async fn advance(context: &Context, how: How) -> Result<Value, Failure> {
    let Some(machine) = &context.time_machine else {
        let failure = Failure::new("only `tollgate dev` has a clock that can be moved").exit(Exit::Denied);
        return Err(failure.remedy("In production time passes by itself."));
    };
    let how = match how {
        How::By(length) => Advance::By(length),
        How::ToNext => Advance::ToNext,
        How::To(moment) => Advance::To(Timestamp::parse_rfc3339(&moment).map_err(|_| {
            Failure::usage(format!("`{moment}` is not a time")).remedy("Write it as 2026-03-01T00:00:00Z.")
        })?),
    };
    let moved = (machine.advance)(how).await.map_err(|error| match &error {
        AdvanceError::Invalid(_) => {
            Failure::usage(error.to_string()).remedy("Write a length as 31d, 1mo or 1y (s m h d w mo y).")
        }
        AdvanceError::Refused(_) | AdvanceError::Busy => Failure::new(error.to_string()).exit(Exit::Conflict),
        AdvanceError::Failed(_) => Failure::new(error.to_string()),
    })?;
    serde_json::to_value(moved).map_err(Failure::during("writing what happened"))
}
