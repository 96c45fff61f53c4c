//! Asking whether units may pass, and what a denial looks like.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tollgate_engine::ledger::{self, Check, Checked, Outcome};
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::{DenyStatus, OveragePolicy};
use tollgate_rules::ids::{Metric, PlanCode};
use tollgate_rules::ledger::{Denial, Numbers, Reason, Rule};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::quantity::Units;
use tollgate_rules::time::Timestamp;
use utoipa::ToSchema;

use super::ledger as shared;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::decision::{self, Way};
use crate::errors;
use crate::fields::Fields;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_check, _, _>(Access::Org(Permission::QuotaCheck), check).refuses(DENIALS),
        Route::new::<__path_deny_example, _, _>(Access::Public, deny_example).refuses(&[errors::QUOTA_EXCEEDED]),
    ]
}

/// What a decision may be denied with.
pub(crate) const DENIALS: &[errors::ErrorDoc] =
    &[errors::QUOTA_EXCEEDED, errors::NO_SUBSCRIPTION, errors::PAST_DUE, errors::ORG_SUSPENDED, errors::OVERLOADED];

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckBody<'a> {
    /// The org; may be left out with a key of one org.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    org_id: Option<Cow<'a, str>>,
    /// What would be used.
    #[serde(borrow)]
    #[schema(value_type = String)]
    metric: Cow<'a, str>,
    /// How much of it; 1 when left out.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    units: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Allowed {
    /// Always true; a denial is an error with `data.allow` false.
    allow: bool,
    /// What is left; null where there is no limit.
    remaining: Option<i64>,
    /// The label of the period.
    period_key: String,
    /// When the period ends.
    reset_at: String,
}

/// Asks whether units would pass
///
/// Answered from memory; changes nothing. A denial comes with the plan's deny status and says what can be done.
#[utoipa::path(post, path = "/api/quota/check", tag = "quota", request_body = CheckBody<'static>,
    responses((status = 200, description = "They would pass", body = Allowed)))]
async fn check(call: Call) -> Result<Answer, ApiError> {
    let body: CheckBody<'_> = call.json()?;
    let mut fields = Fields::default();
    let metric = fields.read("/metric", Metric::parse(&body.metric));
    let units = fields.read("/units", Units::new(body.units.unwrap_or(1)));
    let (Some(metric), Some(units)) = (metric, units) else { return Err(fields.refusal()) };
    let scope = call.org(body.org_id.as_deref()).await?;
    let signed = ledger::check(call.app.engine(), &scope, Check { metric, units }).await.map_err(shared::refused)?;
    match signed.answer {
        Outcome::Allowed(checked) => Ok(allowed(&checked, &signed.receipt)),
        Outcome::Denied(denial) => Err(shared::denied(&call, &denial, Some(&signed.receipt))),
    }
}

fn allowed(checked: &Checked, receipt: &str) -> Answer {
    let numbers = &checked.numbers;
    let answer = Answer::data(&Allowed {
        allow: true,
        remaining: numbers.remaining,
        period_key: numbers.period_key.to_string(),
        reset_at: numbers.reset_at.to_string(),
    });
    let answer = shared::with_quota(answer, (&checked.metric, numbers), checked.decided_at, receipt);
    shared::mark_shadow(answer, checked.would_deny)
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
        rule: Rule::Allowance,
        metric: Metric::parse("api_call").expect("a lower case word"),
        requested: 1,
        numbers: Some(numbers),
        deny_status: DenyStatus::TooManyRequests,
        org_name: "Acme".to_owned(),
        plan_code: PlanCode::parse("starter").ok(),
        decided_at: EXAMPLE_NOW,
    }
}
