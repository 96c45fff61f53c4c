//! Moving existing subscriptions to the newest version of their plan.

use serde::{Deserialize, Serialize};
use tollgate_engine::subscriptions::{self, Error, Migrate, Moved};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{OrgId, PlanCode};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures};

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::PlansPublish);
    vec![Route::with::<__path_migrate, _, _>(Spec::change(operate), migrate).refuses(&[errors::BILLING_UNAVAILABLE])]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MigrateBody {
    /// The plan whose older versions are left.
    plan_code: String,
    /// Only this org.
    org_id: Option<String>,
    /// Only these orgs.
    org_ids: Option<Vec<String>>,
    /// True: only show who would be moved. Look first.
    dry_run: Option<bool>,
    /// Why; kept in the audit journal.
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MovedBody {
    /// Whose subscription.
    org_id: String,
    /// The version it was sold.
    from_version: u32,
    /// Metrics of which it has used more than the new version includes.
    over: Vec<String>,
    /// Why it did not move; null when it did, or would.
    failed: Option<String>,
}

impl From<&Moved> for MovedBody {
    fn from(moved: &Moved) -> Self {
        Self {
            org_id: moved.org_id.to_string(),
            from_version: moved.from_version,
            over: moved.over.iter().map(ToString::to_string).collect(),
            failed: moved.failed.clone(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MigrateAnswer {
    /// The plan.
    plan_code: String,
    /// Its newest version.
    to_version: u32,
    /// Orgs that were moved; 0 in a dry run.
    moved: usize,
    /// Orgs on older versions beyond this call; call again.
    remaining: i64,
    /// Org by org.
    orgs: Vec<MovedBody>,
}

/// Moves existing subscriptions to the newest version of their plan
///
/// Without it they stay on the version they were sold. The new limits count at once, the new price from the next renewal.
#[utoipa::path(post, path = "/api/admin/plans.migrate", tag = "admin", request_body = MigrateBody,
    responses((status = 200, description = "Who was, or would be, moved", body = MigrateAnswer)))]
async fn migrate(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: MigrateBody = call.json()?;
    let mut fields = Fields::default();
    let plan_code = fields.read("/planCode", PlanCode::parse(&body.plan_code));
    fields.text("/reason", &body.reason);
    let mut named = Vec::new();
    if let Some(org) = &body.org_id {
        named.extend(fields.read("/orgId", OrgId::parse(org)));
    }
    for (place, org) in body.org_ids.iter().flatten().enumerate() {
        named.extend(fields.read(&format!("/orgIds/{place}"), OrgId::parse(org)));
    }
    let Some(plan_code) = plan_code else { return Err(fields.refusal()) };
    fields.done()?;
    let orgs = (body.org_id.is_some() || body.org_ids.is_some()).then_some(named);
    let wanted = Migrate { plan_code, orgs, reason: body.reason };
    let dry_run = body.dry_run.unwrap_or(false);
    let engine = call.app.engine();
    let done = match dry_run {
        true => subscriptions::preview_migration(engine, &scope, &wanted).await,
        false => subscriptions::migrate(engine, &scope, &wanted).await,
    };
    let done = done.map_err(refused)?;
    let moved = if dry_run { 0 } else { done.orgs.iter().filter(|org| org.failed.is_none()).count() };
    Ok(Answer::data(&MigrateAnswer {
        plan_code: wanted.plan_code.to_string(),
        to_version: done.to_version,
        moved,
        remaining: done.remaining,
        orgs: done.orgs.iter().map(MovedBody::from).collect(),
    }))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::UnknownPlan => ApiError::field("/planCode", "the catalog has no such plan"),
        Error::Database(error) => failures::database(&error),
        other => {
            tracing::error!(error = %other, "plans were not migrated");
            ApiError::internal()
        }
    }
}
