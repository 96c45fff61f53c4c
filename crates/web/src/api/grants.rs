//! Grants: extra units for one org.

use serde::{Deserialize, Serialize};
use tollgate_engine::grants::{self, Create, Error, Grant, Lasts};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{Metric, OrgId};
use tollgate_rules::quantity::Units;
use utoipa::ToSchema;

use super::overrides::OfOrgQuery;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, failures, paging};

/// The priority of a grant that names none: after what is meant to be used first, before what is kept for last.
const PRIORITY: i64 = 50;

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::GrantsOperate);
    vec![
        Route::with::<__path_create, _, _>(Spec::change(operate), create).refuses(&[errors::CONFLICT]),
        Route::with::<__path_revoke, _, _>(Spec::change(operate), revoke),
        Route::new::<__path_list, _, _>(operate, list),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GrantCreateBody {
    /// The org.
    org_id: String,
    /// Of what.
    metric: String,
    /// How many units.
    units: i64,
    /// 0 to 1000, lower is used first; 50 when left out.
    priority: Option<i64>,
    /// From when on; now when left out.
    starts_at: Option<String>,
    /// Until when; left out, it lasts until it is used up.
    expires_at: Option<String>,
    /// True: it ends with the period that is open now.
    this_period_only: Option<bool>,
    /// Why; kept in the audit journal.
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GrantBody {
    /// Its id.
    grant_id: String,
    /// Whose.
    org_id: String,
    /// Of what.
    metric: String,
    /// How many units were given.
    units: i64,
    /// How many of them are used.
    used: i64,
    /// How many are left; they count while the grant lasts.
    remaining: i64,
    /// Lower is used first.
    priority: i64,
    /// From when on.
    starts_at: String,
    /// Until when; null: until it is used up.
    expires_at: Option<String>,
    /// The start of the only period it counts in; null: any.
    only_in_period: Option<String>,
    /// `operator`, `rollover` or `topup`.
    source: &'static str,
    /// Why.
    reason: String,
    /// Who gave it.
    actor: String,
    /// When.
    created_at: String,
}

impl From<&Grant> for GrantBody {
    fn from(grant: &Grant) -> Self {
        Self {
            grant_id: grant.grant_id.clone(),
            org_id: grant.org_id.to_string(),
            metric: grant.metric.to_string(),
            units: grant.units,
            used: grant.used,
            remaining: grant.units.saturating_sub(grant.used),
            priority: grant.priority,
            starts_at: grant.starts_at.to_string(),
            expires_at: grant.ends_at.map(|at| at.to_string()),
            only_in_period: grant.only_in.map(|at| at.to_string()),
            source: grant.source.as_str(),
            reason: grant.reason.clone(),
            actor: grant.actor.clone(),
            created_at: grant.created_at.to_string(),
        }
    }
}

/// Gives an org extra units
///
/// They are used after the included units, by `priority`, then earliest expiry.
#[utoipa::path(post, path = "/api/admin/grants.create", tag = "admin", request_body = GrantCreateBody,
    responses((status = 200, description = "The grant", body = GrantBody)))]
async fn create(call: Call) -> Result<Answer, ApiError> {
    let body: GrantCreateBody = call.json()?;
    let mut fields = Fields::default();
    let metric = fields.read("/metric", Metric::parse(&body.metric));
    let units = fields.read("/units", Units::new(body.units));
    let priority = body.priority.unwrap_or(PRIORITY);
    if !(0..=1_000).contains(&priority) {
        fields.wrong("/priority", "must be a whole number from 0 to 1000");
    }
    let starts_at = fields.time_if("/startsAt", body.starts_at.as_deref());
    let until = fields.time_if("/expiresAt", body.expires_at.as_deref());
    let lasts = match (until, body.this_period_only.unwrap_or(false)) {
        (Some(_), true) => {
            fields.wrong("/thisPeriodOnly", "say `expiresAt` or `thisPeriodOnly`, not both");
            Lasts::ThisPeriod
        }
        (None, true) => Lasts::ThisPeriod,
        (Some(until), false) => Lasts::Until(until),
        (None, false) => Lasts::ForGood,
    };
    fields.text("/reason", &body.reason);
    let (Some(metric), Some(units)) = (metric, units) else { return Err(fields.refusal()) };
    fields.done()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let wanted = Create { metric, units, priority, starts_at, lasts, reason: body.reason };
    let made = grants::create(call.app.engine(), &scope, wanted).await.map_err(refused)?;
    Ok(Answer::data(&GrantBody::from(&made)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GrantRevokeBody {
    /// The org.
    org_id: String,
    /// The grant.
    grant_id: String,
    /// Why; kept in the audit journal.
    reason: String,
}

/// Ends a grant now: what was used of it stays used, the rest is gone
#[utoipa::path(post, path = "/api/admin/grants.revoke", tag = "admin", request_body = GrantRevokeBody,
    responses((status = 200, description = "The grant as it ended", body = GrantBody)))]
async fn revoke(call: Call) -> Result<Answer, ApiError> {
    let body: GrantRevokeBody = call.json()?;
    let mut fields = Fields::default();
    fields.text("/reason", &body.reason);
    fields.done()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let ended = grants::revoke(call.app.engine(), &scope, &body.grant_id, &body.reason).await.map_err(refused)?;
    Ok(Answer::data(&GrantBody::from(&ended)))
}

/// Grants, newest first; ended ones too
#[utoipa::path(get, path = "/api/admin/grants.list", tag = "admin", params(OfOrgQuery),
    responses((status = 200, description = "A page of grants", body = Vec<GrantBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: OfOrgQuery = call.query()?;
    let mut fields = Fields::default();
    let org = fields.read_if("/orgId", query.org_id.as_deref().map(OrgId::parse));
    fields.done()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let page = grants::list(call.app.engine(), &scope, org.as_ref(), &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, GrantBody>(&page))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::UnknownMetric => ApiError::field("/metric", "the catalog has no such metric"),
        Error::Invalid { field, rule } => ApiError::field(&format!("/{field}"), rule),
        Error::NoPeriod => ApiError::new(&errors::CONFLICT, "The org has no open period, so no grant can end with it."),
        Error::NotFound => ApiError::not_found(),
        Error::Database(error) => failures::database(&error),
    }
}
