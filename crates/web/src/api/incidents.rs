//! What a person should look at.

use serde::{Deserialize, Serialize};
use tollgate_engine::incidents::{self, CloseError, Filter, Incident, Kind};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{failures, paging};

const OPERATE: Access = Access::Operator(Permission::IncidentsOperate);

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_list, _, _>(OPERATE, list),
        Route::with::<__path_close, _, _>(Spec::change(OPERATE), close),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IncidentQuery {
    /// `open` or `closed`.
    state: Option<String>,
    /// Of this kind.
    kind: Option<String>,
    /// Of this org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IncidentBody {
    /// The incident (`inc_…`).
    id: String,
    /// Whose; null for the server itself.
    org_id: Option<String>,
    /// What kind, for example `dead_inbox_event`.
    kind: String,
    /// What it is about.
    subject: String,
    /// In words.
    detail: String,
    /// `open` or `closed`.
    state: String,
    /// How often its cause was seen while it was open.
    seen: i64,
    /// When it was opened.
    opened_at: String,
    /// When its cause was seen last.
    last_seen_at: String,
    /// When it was closed; null while it is open.
    closed_at: Option<String>,
}

impl From<&Incident> for IncidentBody {
    fn from(incident: &Incident) -> Self {
        Self {
            id: incident.incident_id.clone(),
            org_id: incident.org_id.clone(),
            kind: incident.kind.clone(),
            subject: incident.subject.clone(),
            detail: incident.detail.clone(),
            state: incident.state.clone(),
            seen: incident.seen,
            opened_at: incident.opened_at.to_string(),
            last_seen_at: incident.last_seen_at.to_string(),
            closed_at: incident.closed_at.map(|at| at.to_string()),
        }
    }
}

/// Incidents, newest first
#[utoipa::path(get, path = "/api/admin/incidents.list", tag = "admin", params(IncidentQuery),
    responses((status = 200, description = "A page of incidents", body = Vec<IncidentBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: IncidentQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let mut fields = Fields::default();
    if query.state.as_deref().is_some_and(|state| !matches!(state, "open" | "closed")) {
        fields.wrong("/state", "must be open or closed");
    }
    let kind = query.kind.as_deref().map(|word| Kind::parse(word).ok_or("there is no such kind"));
    let filter = Filter { state: query.state, kind: fields.read_if("/kind", kind), org_id: query.org_id };
    fields.done()?;
    let page = incidents::list(call.app.engine(), &scope, &filter, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, IncidentBody>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CloseIncidentBody {
    /// The incident.
    incident_id: String,
    /// Why it is over.
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct ClosedIncidentBody {
    /// Always true.
    closed: bool,
}

/// Closes an incident that was looked at; should its cause come again, a new one opens
#[utoipa::path(post, path = "/api/admin/incidents.close", tag = "admin", request_body = CloseIncidentBody,
    responses((status = 200, description = "Closed", body = ClosedIncidentBody)))]
async fn close(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: CloseIncidentBody = call.json()?;
    let mut fields = Fields::default();
    fields.text("/reason", &body.reason);
    fields.done()?;
    let closed = incidents::close_by_operator(call.app.engine(), &scope, &body.incident_id, &body.reason).await;
    match closed {
        Ok(()) => Ok(Answer::data(&ClosedIncidentBody { closed: true })),
        Err(CloseError::NotFound) => Err(ApiError::not_found()),
        Err(CloseError::Database(error)) => Err(failures::database(&error)),
    }
}
