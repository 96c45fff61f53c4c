//! The three-way comparison: events, counters, what billing was told.

use serde::{Deserialize, Serialize};
use serde_json::{Number, json};
use tollgate_engine::metering::{self, Error, OrgDrift, Reconcile, Reconciled};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::OrgId;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures};

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::UsageCorrect);
    vec![
        Route::with::<__path_reconcile, _, _>(Spec::change(operate), reconcile).refuses(&[errors::BILLING_UNAVAILABLE]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReconcileBody {
    /// One org; all when left out.
    org_id: Option<String>,
    /// True: put right what differs. Look first.
    repair: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReconcileAnswer {
    /// Counters that were compared.
    checked: i64,
    /// The sum of all differences in units.
    drift: i64,
    /// How far the charged units recorded here are from those billed: abs(recorded − billed) / billed, six digits.
    #[schema(value_type = f64)]
    ratio: Number,
    /// Differences that were put right.
    repaired: i64,
}

/// Compares events, counters and what billing was told
///
/// Changes nothing without `repair`. `meta.differences` lists the first hundred differences.
#[utoipa::path(post, path = "/api/admin/usage.reconcile", tag = "admin", request_body = ReconcileBody,
    responses((status = 200, description = "What was found", body = ReconcileAnswer)))]
async fn reconcile(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: ReconcileBody = call.json()?;
    let org = match body.org_id.as_deref().map(OrgId::parse) {
        None => None,
        Some(Ok(org)) => Some(org),
        Some(Err(_)) => return Err(ApiError::not_found()),
    };
    let what = if body.repair.unwrap_or(false) { Reconcile::Repair } else { Reconcile::Preview };
    let found = metering::reconcile(call.app.engine(), &scope, org.as_ref(), what).await.map_err(refused)?;
    let found = found.ok_or_else(ApiError::not_found)?;
    let answer =
        ReconcileAnswer { checked: found.checked, drift: found.drift, ratio: ratio(&found), repaired: found.repaired };
    let differences: Vec<_> = found.orgs.iter().map(shown).collect();
    Ok(Answer::data_meta(
        &answer,
        &json!({ "recorded": found.recorded, "billed": found.billed, "differences": differences }),
    ))
}

fn shown(one: &OrgDrift) -> serde_json::Value {
    json!({ "orgId": one.org_id, "metric": one.metric, "periodNo": one.period_no, "between": one.between,
        "expected": one.expected, "found": one.found })
}

/// A quotient in whole millionths, written as a decimal; where nothing was billed, what was recorded counts whole.
fn ratio(found: &Reconciled) -> Number {
    let apart = i128::from(found.recorded.abs_diff(found.billed));
    let millionths = apart * 1_000_000 / i128::from(found.billed.max(1));
    let text = match millionths % 1_000_000 {
        0 => (millionths / 1_000_000).to_string(),
        rest => format!("{}.{rest:06}", millionths / 1_000_000),
    };
    serde_json::from_str(&text).unwrap_or_else(|_| Number::from(0))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::Database(error) => failures::database(&error),
        Error::Billing(error) => {
            tracing::warn!(%error, "billing could not be compared");
            ApiError::new(&errors::BILLING_UNAVAILABLE, "Billing does not answer; nothing was compared.").retry_after(5)
        }
    }
}
