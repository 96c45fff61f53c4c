//! Operator flags: a map for all orgs and one per org.

use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_engine::flags::{self, Error, Subject};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::OrgId;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::failures;
use crate::routes::{Access, Route, Spec};

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::FlagsOperate);
    vec![
        Route::new::<__path_read, _, _>(operate, read),
        Route::with::<__path_write, _, _>(Spec::change(operate), write),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FlagsQuery {
    /// One org's own flags; the global ones when left out.
    org_id: Option<String>,
}

/// The flags of all orgs, or of one
#[utoipa::path(get, path = "/api/admin/flags", tag = "admin", params(FlagsQuery),
    responses((status = 200, description = "The map", body = Object)))]
async fn read(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: FlagsQuery = call.query()?;
    let subject = subject(query.org_id.as_deref())?;
    let map = flags::read(call.app.engine(), &scope, &subject).await.map_err(refused)?;
    Ok(Answer::data(&map))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FlagsBody {
    /// One org's own flags; the global ones when left out.
    org_id: Option<String>,
    /// What is to be set; null removes.
    #[schema(value_type = Object)]
    flags: Map<String, Value>,
}

/// Merges flags key by key
///
/// `strict_quota` false is shadow mode: decide, count, mark what would be denied, let pass. `usage_digest` true sends owners and billing
/// members a letter about each day.
#[utoipa::path(put, path = "/api/admin/flags", tag = "admin", request_body = FlagsBody,
    responses((status = 200, description = "The map after it", body = Object)))]
async fn write(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: FlagsBody = call.free_json()?;
    let subject = subject(body.org_id.as_deref())?;
    let map = flags::write(call.app.engine(), &scope, &subject, body.flags).await.map_err(refused)?;
    Ok(Answer::data(&map))
}

fn subject(org_id: Option<&str>) -> Result<Subject, ApiError> {
    match org_id {
        None => Ok(Subject::Global),
        Some(text) => OrgId::parse(text).map(Subject::Org).map_err(|_| ApiError::not_found()),
    }
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::NotFound => ApiError::not_found(),
        Error::Invalid { name, rule } => ApiError::field(&format!("/flags/{name}"), rule),
        Error::Database(error) => failures::database(&error),
    }
}
