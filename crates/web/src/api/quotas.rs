//! Opening or emptying quota periods by hand.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tollgate_engine::ledger::{self, Counters, Reset};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::OrgId;
use tollgate_rules::period::PeriodKey;
use utoipa::ToSchema;

use super::ledger as shared;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};

const REASON: &str = "reset by the operator";

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::QuotasReset);
    vec![Route::with::<__path_reset, _, _>(Spec::change(operate), reset).refuses(&[errors::OVERLOADED])]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResetBody {
    /// The period; a plain month means the newest period of it.
    period_key: String,
    /// Which orgs; all when left out.
    org_ids: Option<Vec<String>>,
    /// Whether corrections bring `used` to 0.
    zero: Option<bool>,
    /// Why; kept in the audit journal.
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ResetAnswer {
    /// Orgs whose period was opened or emptied.
    updated: u64,
    /// Orgs that had it open, with nothing to empty.
    already_open: u64,
    /// The period.
    period_key: String,
}

/// Opens a period for every org whose current one it is
///
/// Periods open by themselves; this is for looking. With `zero`, audited corrections bring `used` to 0. Twice changes nothing.
#[utoipa::path(post, path = "/api/admin/quotas.reset", tag = "admin", request_body = ResetBody,
    responses((status = 200, description = "What was done", body = ResetAnswer)))]
async fn reset(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: ResetBody = call.json()?;
    let mut fields = Fields::default();
    let period_key = fields.read("/periodKey", PeriodKey::parse(&body.period_key));
    let org_ids = body.org_ids.map(|ids| orgs(&ids, &mut fields));
    if let Some(reason) = &body.reason {
        fields.text("/reason", reason);
    }
    let Some(period_key) = period_key else { return Err(fields.refusal()) };
    fields.done()?;
    let zero = body.zero.unwrap_or(false);
    let counters = if zero { Counters::Zero } else { Counters::Keep };
    let asked = Reset { period_key, org_ids, counters, reason: body.reason.unwrap_or_else(|| REASON.to_owned()) };
    let done = ledger::reset(call.app.engine(), &scope, &asked).await.map_err(shared::refused)?;
    let answer =
        ResetAnswer { updated: done.updated, already_open: done.already_open, period_key: done.period_key.to_string() };
    if done.updated == 0 && !zero {
        let hint = "Nothing was opened. Send `zero`: true to bring the counters of open periods to 0.";
        return Ok(Answer::data_meta(&answer, &json!({ "hint": hint })));
    }
    Ok(Answer::data(&answer))
}

fn orgs(ids: &[String], fields: &mut Fields) -> Vec<OrgId> {
    let mut read = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        read.extend(fields.read(&format!("/orgIds/{place}"), OrgId::parse(id)));
    }
    read
}
