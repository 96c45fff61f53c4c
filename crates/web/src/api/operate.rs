//! What the operator sees of the machinery: jobs, operations, the audit journal.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_engine::access::OrgScope;
use tollgate_engine::jobs::{self, OperateError};
use tollgate_engine::{audit, operations};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::{OperationId, OrgId};
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{caller, errors, failures, paging};

pub(crate) fn routes() -> Vec<Route> {
    let operate = Access::Operator(Permission::JobsOperate);
    vec![
        Route::new::<__path_job_list, _, _>(operate, job_list),
        Route::with::<__path_job_run, _, _>(Spec::change(operate), job_run).refuses(&[errors::CONFLICT]),
        Route::with::<__path_job_retry, _, _>(Spec::change(operate), job_retry).refuses(&[errors::CONFLICT]),
        Route::new::<__path_operation, _, _>(Access::Org(Permission::BillingRead), operation),
        Route::new::<__path_audit_list, _, _>(Access::Operator(Permission::AuditRead), audit_list),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobQuery {
    /// `queued`, `running`, `done` or `dead`.
    state: Option<String>,
    /// Of this kind.
    kind: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct JobBody {
    /// The job.
    job_id: String,
    /// What it does.
    kind: String,
    /// Its name within the kind.
    key: String,
    /// `queued`, `running`, `done` or `dead`.
    state: String,
    /// When it runs next, or was to run.
    run_at: String,
    /// Tries so far.
    attempts: i64,
    /// Why the last try failed.
    last_error: Option<String>,
    /// The trace it continues.
    corr_id: String,
    /// When it was queued.
    created_at: String,
    /// When it changed last.
    updated_at: String,
}

impl From<&jobs::Listed> for JobBody {
    fn from(job: &jobs::Listed) -> Self {
        Self {
            job_id: job.job_id.clone(),
            kind: job.kind.clone(),
            key: job.key.clone(),
            state: job.state.clone(),
            run_at: job.run_at.to_string(),
            attempts: job.attempts,
            last_error: job.last_error.clone(),
            corr_id: job.corr_id.clone(),
            created_at: job.created_at.to_string(),
            updated_at: job.updated_at.to_string(),
        }
    }
}

/// Jobs, newest first
#[utoipa::path(get, path = "/api/admin/jobs.list", tag = "admin", params(JobQuery),
    responses((status = 200, description = "A page of jobs", body = Vec<JobBody>)))]
async fn job_list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: JobQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let mut fields = Fields::default();
    let state = query.state.as_deref().map(|word| jobs::State::parse(word).ok_or("there is no such state"));
    let kind = query.kind.as_deref().map(|word| jobs::Kind::parse(word).ok_or("there is no such kind"));
    let filter = jobs::Filter { state: fields.read_if("/state", state), kind: fields.read_if("/kind", kind) };
    fields.done()?;
    let page = jobs::list(call.app.engine(), &scope, filter, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, JobBody>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobIdBody {
    /// The job.
    job_id: String,
}

#[derive(Serialize, ToSchema)]
struct RanBody {
    /// The job afterwards.
    job: JobBody,
    /// Why it failed; null when it worked.
    error: Option<String>,
}

/// Runs a queued job now
#[utoipa::path(post, path = "/api/admin/jobs.run", tag = "admin", request_body = JobIdBody,
    responses((status = 200, description = "How it went", body = RanBody)))]
async fn job_run(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: JobIdBody = call.json()?;
    let ran = jobs::run(call.app.engine(), &scope, &body.job_id).await.map_err(refused_job)?;
    Ok(Answer::data(&RanBody { job: JobBody::from(&ran.job), error: ran.error }))
}

/// Gives a dead letter another life
#[utoipa::path(post, path = "/api/admin/jobs.retry", tag = "admin", request_body = JobIdBody,
    responses((status = 200, description = "The job afterwards", body = JobBody)))]
async fn job_retry(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: JobIdBody = call.json()?;
    let job = jobs::retry(call.app.engine(), &scope, &body.job_id).await.map_err(refused_job)?;
    Ok(Answer::data(&JobBody::from(&job)))
}

fn refused_job(error: OperateError) -> ApiError {
    match error {
        OperateError::NotFound => ApiError::not_found(),
        OperateError::WrongState(state) => ApiError::new(&errors::CONFLICT, format!("The job is {state}.")),
        OperateError::Database(error) => failures::database(&error),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OperationQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// The operation (`op_…`).
    operation_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OperationBody {
    /// The operation.
    operation_id: String,
    /// What it changes.
    kind: &'static str,
    /// `running`, `done` or `failed`.
    state: &'static str,
    /// The steps that are over.
    steps: Vec<String>,
    /// Why it was refused, where it was.
    refusal: Option<RefusalBody>,
    /// Tries so far.
    attempts: i64,
    /// When it was begun.
    created_at: String,
}

#[derive(Serialize, ToSchema)]
struct RefusalBody {
    /// What kind of refusal.
    code: &'static str,
    /// In words.
    message: String,
}

/// An outgoing change and how far it got
#[utoipa::path(get, path = "/api/operations.get", tag = "billing", params(OperationQuery),
    responses((status = 200, description = "The operation", body = OperationBody)))]
async fn operation(call: Call) -> Result<Answer, ApiError> {
    let query: OperationQuery = call.query()?;
    let operation_id = OperationId::parse(&query.operation_id).map_err(|_| ApiError::not_found())?;
    let scope = scope_of(&call, query.org_id.as_deref(), &operation_id).await?;
    let found = operations::get(call.app.engine(), &scope, &operation_id).await;
    let shown = found.map_err(|error| failures::database(&error))?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::data(&OperationBody {
        operation_id: shown.operation_id.to_string(),
        kind: shown.kind,
        state: shown.state.as_str(),
        steps: shown.steps,
        refusal: shown.refusal.map(|(code, message)| RefusalBody { code: code.as_str(), message }),
        attempts: shown.attempts,
        created_at: shown.created_at.to_string(),
    }))
}

/// An operation's id says nothing of its org: where no org is named, the operator means the operation's own.
async fn scope_of(call: &Call, named: Option<&str>, operation_id: &OperationId) -> Result<OrgScope, ApiError> {
    if named.is_some() || !call.caller.is_operator() {
        return call.org(named).await;
    }
    let operator = caller::require_operator(&call.caller, Permission::BillingRead)?;
    let found = operations::org_of(call.app.engine(), &operator, operation_id).await;
    let org_id = found.map_err(|error| failures::database(&error))?.ok_or_else(ApiError::not_found)?;
    call.org(Some(org_id.as_str())).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuditQuery {
    /// Of this org.
    org_id: Option<String>,
    /// By this actor (`operator:configured`, `key:key_…`, `system:inbox`).
    actor: Option<String>,
    /// This action (`orgs.update`).
    action: Option<String>,
    /// About this object.
    entity: Option<String>,
    /// From this time on.
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
    /// Of this trace.
    corr_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditBody {
    /// The entry.
    id: String,
    /// When.
    ts: String,
    /// Whose; null for the server itself.
    org_id: Option<String>,
    /// Who; null when erased.
    actor: Option<String>,
    /// What.
    action: String,
    /// About what; null when erased.
    entity: Option<String>,
    /// The state before.
    before: Option<Value>,
    /// The state after.
    after: Option<Value>,
    /// The trace it belongs to.
    corr_id: String,
    /// Its hash in the chain; null until it is sealed.
    hash: Option<String>,
    /// The hash it is chained to.
    prev_hash: Option<String>,
}

impl From<&audit::Recorded> for AuditBody {
    fn from(entry: &audit::Recorded) -> Self {
        Self {
            id: entry.entry_id.clone(),
            ts: entry.occurred_at.to_string(),
            org_id: entry.org_id.clone(),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            entity: entry.entity.clone(),
            before: entry.before.clone(),
            after: entry.after.clone(),
            corr_id: entry.corr_id.clone(),
            hash: entry.hash.clone(),
            prev_hash: entry.prev_hash.clone(),
        }
    }
}

/// The audit journal, newest first
#[utoipa::path(get, path = "/api/admin/audit.list", tag = "admin", params(AuditQuery),
    responses((status = 200, description = "A page of entries", body = Vec<AuditBody>)))]
async fn audit_list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: AuditQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let mut fields = Fields::default();
    let filter = audit::Filter {
        org_id: fields.read_if("/orgId", query.org_id.as_deref().map(OrgId::parse)),
        actor: query.actor,
        action: query.action,
        entity: query.entity,
        from: fields.time_if("/from", query.from.as_deref()),
        to: fields.time_if("/to", query.to.as_deref()),
        corr_id: query.corr_id,
    };
    fields.done()?;
    let page = audit::list(call.app.engine(), &scope, &filter, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, AuditBody>(&page))
}
