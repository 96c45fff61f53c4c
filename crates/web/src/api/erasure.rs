//! Taking what is stored, and having it erased: of a person, of an org.

use serde::{Deserialize, Serialize};
use tollgate_engine::accounts::{self, Export};
use tollgate_engine::orgs;
use tollgate_rules::access::Permission;
use tollgate_rules::ids::UserId;
use utoipa::{IntoParams, ToSchema};

use super::accounts::own::DeviceBody;
use super::activation::SiteBody;
use super::alerts::SummaryBody;
use super::invitations::InvitationBody;
use super::keys::KeyBody;
use super::members::MemberBody;
use super::orgs::{OrgBody, OrgQuery};
use super::plans::InvoiceBody;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{caller, errors};

pub(crate) fn routes() -> Vec<Route> {
    let people = Access::Operator(Permission::UsersOperate);
    let own = [errors::CONFLICT, errors::STEP_UP_REQUIRED];
    vec![
        Route::new::<__path_export, _, _>(Access::Account, export),
        Route::with::<__path_delete, _, _>(Spec { body_bytes_max: 0, ..Spec::new(Access::Account) }, delete)
            .refuses(&own),
        Route::new::<__path_export_of, _, _>(people, export_of),
        Route::with::<__path_delete_of, _, _>(Spec::change(people), delete_of).refuses(&own),
        Route::with::<__path_restore, _, _>(Spec::change(people), restore).refuses(&own),
        Route::new::<__path_export_org, _, _>(Access::Org(Permission::OrgExport), export_org)
            .refuses(&[errors::MFA_REQUIRED, errors::STEP_UP_REQUIRED]),
        Route::with::<__path_restore_org, _, _>(Spec::change(Access::Operator(Permission::OrgOperate)), restore_org)
            .refuses(&own),
    ]
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PersonBody {
    /// Who.
    user_id: String,
    /// The verified address; null where another issuer vouches and told us nothing.
    email: Option<String>,
    /// What the person is called.
    name: Option<String>,
    /// Whether signing in takes a second factor.
    mfa: bool,
    /// Since when there is an account.
    created_at: Option<String>,
    /// In which orgs, as what.
    memberships: Vec<StayBody>,
    /// Signed-in devices.
    sessions: Vec<DeviceBody>,
    /// Invitations that wait for the address.
    invitations: Vec<InvitationBody>,
    /// What the person did here, newest first, at most 1,000.
    activity: Vec<DeedBody>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StayBody {
    /// In which org.
    org_id: String,
    /// `owner`, `admin`, `billing` or `member`.
    role: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeedBody {
    /// When.
    ts: String,
    /// What.
    action: String,
    /// About what; null when erased.
    entity: Option<String>,
}

impl From<&Export> for PersonBody {
    fn from(export: &Export) -> Self {
        let user = export.user.as_ref();
        let stay = |own: &accounts::Stay| StayBody { org_id: own.org_id.to_string(), role: own.role.as_str() };
        let deed = |deed: &tollgate_engine::audit::Deed| DeedBody {
            ts: deed.occurred_at.to_string(),
            action: deed.action.clone(),
            entity: deed.entity.clone(),
        };
        Self {
            user_id: export.user_id.to_string(),
            email: user.map(|user| user.email.clone()),
            name: user.map(|user| user.name.clone()),
            mfa: user.is_some_and(|user| user.mfa),
            created_at: user.map(|user| user.created_at.to_string()),
            memberships: export.memberships.iter().map(stay).collect(),
            sessions: export.devices.iter().map(DeviceBody::from).collect(),
            invitations: export.invitations.iter().map(InvitationBody::from).collect(),
            activity: export.deeds.iter().map(deed).collect(),
        }
    }
}

/// Everything that is stored about oneself
#[utoipa::path(get, path = "/api/auth/export", tag = "accounts",
    responses((status = 200, description = "What is stored", body = PersonBody)))]
async fn export(call: Call) -> Result<Answer, ApiError> {
    let export = accounts::export(call.app.engine(), &call.caller).await.map_err(super::accounts::refused)?;
    Ok(Answer::data(&PersonBody::from(&export)))
}

#[derive(Serialize, ToSchema)]
struct DoneBody {
    /// What happened.
    status: &'static str,
}

/// Closes one's own account: every device is signed out, every org left
///
/// After thirty days what is stored about the person is erased; until then the operator can undo it. It needs a fresh sign-in. The
/// last owner of an org transfers or deletes it first.
#[utoipa::path(post, path = "/api/auth/delete", tag = "accounts",
    responses((status = 200, description = "It is closed", body = DoneBody)))]
async fn delete(call: Call) -> Result<Answer, ApiError> {
    accounts::close(call.app.engine(), &call.caller).await.map_err(super::accounts::refused)?;
    Ok(Answer::data(&DoneBody { status: "closed" }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserQuery {
    /// Who.
    user_id: String,
}

/// Everything that is stored about a person, to be handed to them
#[utoipa::path(get, path = "/api/admin/users.export", tag = "admin", params(UserQuery),
    responses((status = 200, description = "What is stored", body = PersonBody)))]
async fn export_of(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let query: UserQuery = call.query()?;
    let user_id = user_id(&query.user_id)?;
    let export = accounts::export_of(call.app.engine(), &scope, &user_id).await.map_err(super::accounts::refused)?;
    Ok(Answer::data(&PersonBody::from(&export)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserIdBody {
    /// Who.
    user_id: String,
}

/// Closes somebody's account for them; after thirty days what is stored about them is erased
#[utoipa::path(post, path = "/api/admin/users.delete", tag = "admin", request_body = UserIdBody,
    responses((status = 200, description = "It is closed", body = DoneBody)))]
async fn delete_of(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: UserIdBody = call.json()?;
    let user_id = user_id(&body.user_id)?;
    accounts::close_for(call.app.engine(), &scope, &user_id).await.map_err(super::accounts::refused)?;
    Ok(Answer::data(&DoneBody { status: "closed" }))
}

/// Opens an account again that was closed less than thirty days ago, with its memberships
#[utoipa::path(post, path = "/api/admin/users.restore", tag = "admin", request_body = UserIdBody,
    responses((status = 200, description = "It is open", body = DoneBody)))]
async fn restore(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let body: UserIdBody = call.json()?;
    let user_id = user_id(&body.user_id)?;
    accounts::restore(call.app.engine(), &scope, &user_id).await.map_err(super::accounts::refused)?;
    Ok(Answer::data(&DoneBody { status: "active" }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrgExportBody {
    /// The org.
    org: OrgBody,
    /// Its members.
    members: Vec<MemberBody>,
    /// Invitations that wait.
    invitations: Vec<InvitationBody>,
    /// Its keys, without secrets.
    keys: Vec<KeyBody>,
    /// Its activated sites.
    sites: Vec<SiteBody>,
    /// Its invoices.
    invoices: Vec<InvoiceBody>,
    /// What it used of each metric on each day; the single events are read with `usage/events.list`.
    days: Vec<SummaryBody>,
    /// Lists of which only the newest 10,000 are told.
    cut: Vec<&'static str>,
}

/// Everything that is stored about an org, but for the single events of its ledger
///
/// A signed-in owner needs a fresh sign-in for it.
#[utoipa::path(get, path = "/api/orgs.export", tag = "orgs", params(OrgQuery),
    responses((status = 200, description = "What is stored", body = OrgExportBody)))]
async fn export_org(call: Call) -> Result<Answer, ApiError> {
    let query: OrgQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    call.caller.fresh(call.app.engine()).map_err(caller::refusal)?;
    let export = orgs::export(call.app.engine(), &scope).await.map_err(super::orgs::refused)?;
    Ok(Answer::data(&OrgExportBody {
        org: OrgBody::from(&export.org),
        members: export.members.iter().map(MemberBody::from).collect(),
        invitations: export.invitations.iter().map(InvitationBody::from).collect(),
        keys: export.keys.iter().map(KeyBody::from).collect(),
        sites: export.sites.iter().map(SiteBody::from).collect(),
        invoices: export.invoices.iter().map(InvoiceBody::from).collect(),
        days: export.days.iter().map(SummaryBody::from).collect(),
        cut: export.cut,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrgIdBody {
    /// The org.
    org_id: String,
}

/// Opens an org again that was closed less than thirty days ago, with the keys that ended with it
#[utoipa::path(post, path = "/api/orgs.restore", tag = "orgs", request_body = OrgIdBody,
    responses((status = 200, description = "The org after it", body = OrgBody)))]
async fn restore_org(call: Call) -> Result<Answer, ApiError> {
    let body: OrgIdBody = call.json()?;
    let scope = call.org(Some(&body.org_id)).await?;
    let org = orgs::restore(call.app.engine(), &scope).await.map_err(super::orgs::refused)?;
    Ok(Answer::data(&OrgBody::from(&org)))
}

fn user_id(text: &str) -> Result<UserId, ApiError> {
    let mut fields = Fields::default();
    fields.read("/userId", UserId::parse(text)).ok_or_else(|| fields.refusal())
}
