//! What all routes of the ledger share: its errors in the API's words, and the headers of an answer about a quota.

use serde::Serialize;
use tollgate_engine::ledger::{Counted, Denial, Error, Numbers, Refusal};
use tollgate_engine::plans;
use tollgate_rules::ids::Metric;
use tollgate_rules::time::Timestamp;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::decision;
use crate::denials::Denied;
use crate::errors;
use crate::state::Mode;

/// Marks what only shadow mode let pass.
const WOULD_DENY: http::HeaderName = http::HeaderName::from_static("tollgate-would-deny");

/// What was counted of one metric.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CountedItem {
    /// The metric.
    metric: String,
    /// Units used in the period, this call included.
    used: i64,
    /// What is left; null where there is no limit.
    remaining: Option<i64>,
}

impl From<&Counted> for CountedItem {
    fn from(counted: &Counted) -> Self {
        let numbers = &counted.numbers;
        Self { metric: counted.metric.to_string(), used: numbers.used, remaining: numbers.remaining }
    }
}

/// The ledger's error for the caller.
pub(crate) fn refused(error: Error) -> ApiError {
    match error {
        Error::Refused(refusal) => of_request(&refusal),
        Error::Overloaded => {
            ApiError::new(&errors::OVERLOADED, "Too much is waiting for this org; nothing was counted.").retry_after(1)
        }
        Error::Unavailable(reason) => {
            tracing::warn!(reason, "the ledger could not answer");
            ApiError::unavailable()
        }
        Error::NotFound(_) => ApiError::not_found(),
        Error::BadReceipt => ApiError::field("/receipt", "this receipt was not given by this server"),
        Error::BadCursor(error) => ApiError::field("/cursor", error.to_string()),
    }
}

/// The denial for the caller, with what its owner can do.
pub(crate) fn denied(call: &Call, denial: &Denial, receipt: Option<&str>) -> ApiError {
    let catalog = plans::catalog(call.app.engine());
    let error = decision::denied(denial, &catalog, &call.app.state().base_url);
    if call.app.state().mode == Mode::Dev {
        let (org_name, message) = (denial.org_name.clone(), error.message().to_owned());
        call.app.denials().remember(Denied { org_name, code: error.code(), message, at: denial.decided_at });
    }
    match receipt.and_then(decision::receipt) {
        Some((name, value)) => error.with_header(name, value),
        None => error,
    }
}

/// The answer with its quota headers and receipt.
pub(crate) fn with_quota(
    mut answer: Answer,
    (metric, numbers): (&Metric, &Numbers),
    now: Timestamp,
    receipt: &str,
) -> Answer {
    answer.headers.extend(decision::rate_limit(metric, numbers, now));
    answer.headers.extend(decision::receipt(receipt));
    answer
}

/// Says in a header that only shadow mode let this pass.
pub(crate) fn mark_shadow(answer: Answer, would_deny: bool) -> Answer {
    if would_deny { answer.with_header(WOULD_DENY, http::HeaderValue::from_static("true")) } else { answer }
}

fn of_request(refusal: &Refusal) -> ApiError {
    let said = refusal.to_string();
    match refusal {
        Refusal::UnknownMetric(_) => ApiError::field("/metric", said),
        Refusal::Reused(_) => ApiError::new(&errors::REQUEST_ID_REUSED, "This request_id was used for something else."),
        Refusal::TotalTooLarge(_) | Refusal::CorrectionUnits | Refusal::BelowZero => ApiError::field("/units", said),
        Refusal::OccurredAtOutOfRange => ApiError::field("/occurredAt", said),
        Refusal::HoldNotFound => ApiError::not_found(),
        Refusal::HoldEnded => ApiError::new(&errors::HOLD_ENDED, "This hold was settled, released or has expired."),
        Refusal::CorrectsUnknown(_) | Refusal::CorrectsSeveral => ApiError::field("/corrects", said),
        Refusal::OtherPeriod(_) => ApiError::new(&errors::OTHER_PERIOD, format!("{said}.")),
        Refusal::NoItems => ApiError::field("/items", said),
    }
}
