//! Asking whether units may pass, and what a denial looks like.

use tollgate_rules::catalog::{DenyStatus, OveragePolicy};
use tollgate_rules::ids::{Metric, PlanCode};
use tollgate_rules::ledger::{Denial, Numbers, Reason};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::time::Timestamp;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::decision::{self, Way};
use crate::errors;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::new::<__path_deny_example, _, _>(Access::Public, deny_example).refuses(&[errors::QUOTA_EXCEEDED])]
}

/// What a denial looks like
///
/// Answers every call with the same denial, so that a client can be tested against it.
#[utoipa::path(post, path = "/api/quota/deny-envelope.example", tag = "quota", responses())]
async fn deny_example(call: Call) -> Result<Answer, ApiError> {
    let ways = vec![
        Way::Upgrade {
            plan_code: "growth".to_owned(),
            amount: 39_900,
            currency: "usd".to_owned(),
            url: decision::guide(&call.app.state().base_url, "post", "/api/plans/upgrade.now"),
        },
        Way::Wait { at: EXAMPLE_RESET.to_string() },
    ];
    Err(decision::told(&example(), ways))
}

/// 2026-01-15T09:00:00Z.
const EXAMPLE_START: Timestamp = Timestamp::from_seconds(1_768_467_600);
/// 2026-02-15T09:00:00Z.
const EXAMPLE_RESET: Timestamp = Timestamp::from_seconds(1_771_146_000);
/// A day before the reset.
const EXAMPLE_NOW: Timestamp = Timestamp::from_seconds(1_771_059_600);

fn example() -> Denial {
    let period = Period::new(EXAMPLE_START, EXAMPLE_RESET);
    let numbers = Numbers {
        included: Some(10_000),
        granted: 0,
        used: 10_000,
        held: 0,
        overrun: 0,
        overage: 0,
        remaining: Some(0),
        policy: OveragePolicy::HardStop,
        period_key: PeriodKey::label(EXAMPLE_START, 1),
        period,
        reset_at: EXAMPLE_RESET,
        limit_version: 1,
    };
    Denial {
        reason: Reason::QuotaExceeded,
        metric: Metric::parse("api_call").expect("a lower case word"),
        requested: 1,
        numbers: Some(numbers),
        deny_status: DenyStatus::TooManyRequests,
        org_name: "Acme".to_owned(),
        plan_code: PlanCode::parse("starter").ok(),
        decided_at: EXAMPLE_NOW,
    }
}
