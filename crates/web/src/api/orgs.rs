//! Orgs: the operator's customers.

use serde::{Deserialize, Serialize};
use tollgate_engine::orgs::{self, Create, Error, Filter, Org, Update};
use tollgate_rules::access::Permission;
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{OrgId, UserId};
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{caller, errors, failures, paging, repeats};

pub(crate) fn routes() -> Vec<Route> {
    let change = |access| Spec::change(access);
    vec![
        Route::with::<__path_create, _, _>(change(Access::Operator(Permission::OrgsCreate)), create)
            .refuses(&[errors::CONFLICT]),
        Route::new::<__path_get, _, _>(Access::Org(Permission::OrgRead), get),
        Route::with::<__path_update, _, _>(change(Access::Org(Permission::OrgWrite)), update).refuses(&[
            errors::CONFLICT,
            errors::MFA_REQUIRED,
            errors::STEP_UP_REQUIRED,
        ]),
        Route::with::<__path_relink, _, _>(change(Access::Operator(Permission::OrgOperate)), relink)
            .refuses(&[errors::CONFLICT]),
        Route::with::<__path_delete, _, _>(change(Access::Org(Permission::OrgDelete)), delete).refuses(&[
            errors::CONFLICT,
            errors::MFA_REQUIRED,
            errors::STEP_UP_REQUIRED,
        ]),
        Route::new::<__path_list, _, _>(Access::Operator(Permission::OrgsList), list),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrgCreateBody {
    /// What people call it, 1 to 200 bytes.
    name: String,
    /// Who owns it; stored as given.
    owner_user_id: String,
    /// Its public id (`org_…`); left out, one is made.
    org_id: Option<String>,
    /// Where invoices and notices go.
    email: Option<String>,
    /// IANA time zone of its pages, mails and invoices; `UTC` when left out.
    timezone: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Created {
    /// Its public id.
    org_id: String,
    /// What people call it.
    name: String,
    /// Who owns it.
    owner_user_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrgBody {
    /// Its public id.
    org_id: String,
    /// What people call it.
    name: String,
    /// Who owns it.
    owner_user_id: String,
    /// Where invoices and notices go.
    email: Option<String>,
    /// IANA time zone.
    timezone: String,
    /// `active`, `suspended` or `closed`.
    status: &'static str,
    /// Whether it lets in only people who gave a second factor.
    mfa_required: bool,
    /// When it was made.
    created_at: String,
}

impl From<&Org> for OrgBody {
    fn from(org: &Org) -> Self {
        Self {
            org_id: org.org_id.to_string(),
            name: org.name.clone(),
            owner_user_id: org.owner_user_id.to_string(),
            email: org.email.clone(),
            timezone: org.timezone.clone(),
            status: org.status.as_str(),
            mfa_required: org.mfa_required,
            created_at: org.created_at.to_string(),
        }
    }
}

/// Makes an org
///
/// The same `orgId` and name again answers the same; another name is a conflict. Where Clerk keeps the organizations, a given `orgId`
/// must exist there with this name, else the org is made there. Without `orgId` and `Idempotency-Key` each call
/// makes one.
#[utoipa::path(post, path = "/api/orgs.create", tag = "orgs", request_body = OrgCreateBody,
    responses((status = 200, description = "The org", body = Created)))]
async fn create(call: Call) -> Result<Answer, ApiError> {
    let body: OrgCreateBody = call.json()?;
    let mut fields = Fields::default();
    let owner_user_id = fields.read("/ownerUserId", UserId::parse(&body.owner_user_id));
    let org_id = fields.read_if("/orgId", body.org_id.as_deref().map(OrgId::parse));
    fields.text("/name", &body.name);
    let Some(owner_user_id) = owner_user_id else { return Err(fields.refusal()) };
    fields.done()?;
    let idempotency_key = call.header(repeats::IDEMPOTENCY_KEY).map(str::to_owned);
    let create =
        Create { name: body.name, owner_user_id, org_id, email: body.email, timezone: body.timezone, idempotency_key };
    let org = orgs::create(call.app.engine(), &call.caller, create).await.map_err(refused)?;
    Ok(Answer::data(&Created {
        org_id: org.org_id.to_string(),
        name: org.name,
        owner_user_id: org.owner_user_id.to_string(),
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrgQuery {
    /// The org; may be left out with a key of one org.
    pub(crate) org_id: Option<String>,
}

/// One org
#[utoipa::path(get, path = "/api/orgs.get", tag = "orgs", params(OrgQuery),
    responses((status = 200, description = "The org", body = OrgBody)))]
async fn get(call: Call) -> Result<Answer, ApiError> {
    let query: OrgQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let org = orgs::get(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&OrgBody::from(&org)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// What people call it, 1 to 200 bytes.
    name: Option<String>,
    /// IANA time zone.
    timezone: Option<String>,
    /// Where invoices and notices go.
    email: Option<String>,
    /// `active` or `suspended`; only the operator may set it.
    status: Option<String>,
    /// Whether the org lets in only people who gave a second factor; for people who gave one themselves, and the operator.
    mfa_required: Option<bool>,
}

/// Changes an org; what is left out stays
#[utoipa::path(post, path = "/api/orgs.update", tag = "orgs", request_body = UpdateBody,
    responses((status = 200, description = "The org after it", body = OrgBody)))]
async fn update(call: Call) -> Result<Answer, ApiError> {
    let body: UpdateBody = call.json()?;
    let status = body.status.as_deref().map(|word| OrgStatus::parse(word).ok_or("must be active or suspended"));
    let mut fields = Fields::default();
    let status = fields.read_if("/status", status);
    fields.done()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    if body.mfa_required.is_some() {
        call.caller.fresh(call.app.engine()).map_err(caller::refusal)?;
    }
    let update =
        Update { name: body.name, timezone: body.timezone, email: body.email, status, mfa_required: body.mfa_required };
    let org = orgs::update(call.app.engine(), &scope, update).await.map_err(refused)?;
    Ok(Answer::data(&OrgBody::from(&org)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RelinkBody {
    /// The org's present id.
    org_id: String,
    /// The id it gets.
    new_org_id: String,
}

/// Gives an org another public id; ledger, keys and history stay
#[utoipa::path(post, path = "/api/orgs.relink", tag = "orgs", request_body = RelinkBody,
    responses((status = 200, description = "The org after it", body = OrgBody)))]
async fn relink(call: Call) -> Result<Answer, ApiError> {
    let body: RelinkBody = call.json()?;
    let mut fields = Fields::default();
    let Some(new_id) = fields.read("/newOrgId", OrgId::parse(&body.new_org_id)) else { return Err(fields.refusal()) };
    let scope = call.org(Some(&body.org_id)).await?;
    let org = orgs::relink(call.app.engine(), &scope, new_id).await.map_err(refused)?;
    Ok(Answer::data(&OrgBody::from(&org)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteBody {
    /// The org; may be left out by who belongs to one org.
    org_id: Option<String>,
}

/// Closes an org: its keys end at once, its ledger and journal stay
///
/// After thirty days its name, addresses, members and what was written about it are erased, and the ledger stays without them; until
/// then the operator can undo it (`orgs.restore`). An owner needs a fresh sign-in, and ends a running subscription first.
#[utoipa::path(post, path = "/api/orgs.delete", tag = "orgs", request_body = DeleteBody,
    responses((status = 200, description = "The org after it", body = OrgBody)))]
async fn delete(call: Call) -> Result<Answer, ApiError> {
    let body: DeleteBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let org = orgs::delete(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&OrgBody::from(&org)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    /// Only orgs in this status.
    status: Option<String>,
    /// Only orgs whose name or id contains this text.
    search: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

/// All orgs, newest first
#[utoipa::path(get, path = "/api/admin/orgs.list", tag = "admin", params(ListQuery),
    responses((status = 200, description = "A page of orgs", body = Vec<OrgBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: ListQuery = call.query()?;
    let status =
        query.status.as_deref().map(|word| OrgStatus::parse(word).ok_or("must be active, suspended or closed"));
    let mut fields = Fields::default();
    let status = fields.read_if("/status", status);
    fields.done()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let filter = Filter { status, search: query.search };
    let page = orgs::list(call.app.engine(), &scope, &filter, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, OrgBody>(&page))
}

pub(super) fn refused(error: Error) -> ApiError {
    match error {
        Error::Taken => ApiError::new(&errors::CONFLICT, "This org id belongs to an org with another name or owner."),
        Error::Invalid { field, rule } => ApiError::field(&format!("/{field}"), rule),
        Error::OperatorOnly(field) => {
            ApiError::new(&errors::FORBIDDEN, format!("Only the operator may change {field}."))
        }
        Error::PeopleOnly(field) => {
            ApiError::new(&errors::FORBIDDEN, format!("An API key may not change {field}: sign in."))
        }
        Error::Closed => ApiError::new(&errors::CONFLICT, "The org is closed."),
        Error::Erased => {
            ApiError::new(&errors::CONFLICT, "The org was closed more than thirty days ago and is erased.")
        }
        Error::Subscribed => {
            ApiError::new(&errors::CONFLICT, "A subscription still runs: cancel it first, so that nobody is charged.")
        }
        Error::NotFound => ApiError::not_found(),
        Error::Elsewhere(error) => failures::elsewhere(&error),
        Error::Refused(refused) => caller::refusal(refused),
        Error::Database(error) => failures::database(&error),
    }
}
