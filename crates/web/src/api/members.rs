//! Members of an org.

use serde::{Deserialize, Serialize};
use tollgate_engine::members::{self, Error, Member};
use tollgate_rules::access::{Permission, Role};
use tollgate_rules::ids::UserId;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{caller, errors, failures, paging};

pub(crate) fn routes() -> Vec<Route> {
    let write = Access::Org(Permission::MembersWrite);
    let refusals = [errors::CONFLICT, errors::STEP_UP_REQUIRED, errors::MFA_REQUIRED];
    vec![
        Route::new::<__path_list, _, _>(Access::Org(Permission::MembersRead), list),
        Route::with::<__path_change_role, _, _>(Spec::change(write), change_role).refuses(&refusals),
        Route::with::<__path_remove, _, _>(Spec::change(write), remove).refuses(&refusals),
        Route::with::<__path_leave, _, _>(Spec::change(Access::Org(Permission::MembersLeave)), leave)
            .refuses(&refusals),
        Route::with::<__path_transfer, _, _>(Spec::change(Access::Org(Permission::OrgTransfer)), transfer)
            .refuses(&refusals),
    ]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MembersQuery {
    /// The org; may be left out by who belongs to one org.
    pub(super) org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    pub(super) limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberBody {
    /// Who.
    user_id: String,
    /// `owner`, `admin`, `billing` or `member`.
    role: &'static str,
    /// Their address, where they have an account here.
    email: Option<String>,
    /// Their name, where they have an account here.
    name: Option<String>,
    /// Since when.
    joined_at: String,
}

impl From<&Member> for MemberBody {
    fn from(member: &Member) -> Self {
        Self {
            user_id: member.user_id.to_string(),
            role: member.role.as_str(),
            email: member.email.clone(),
            name: member.name.clone(),
            joined_at: member.joined_at.to_string(),
        }
    }
}

/// An org's members, who joined last first
#[utoipa::path(get, path = "/api/members", tag = "members", params(MembersQuery),
    responses((status = 200, description = "A page of members", body = Vec<MemberBody>)))]
async fn list(call: Call) -> Result<Answer, ApiError> {
    let query: MembersQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = members::list(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, MemberBody>(&page))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeRoleBody {
    /// The org; may be left out by who belongs to one org.
    org_id: Option<String>,
    /// Who.
    user_id: String,
    /// `owner`, `admin`, `billing` or `member`.
    role: String,
}

/// Gives a member another role; an org keeps at least one owner
#[utoipa::path(post, path = "/api/members.change-role", tag = "members", request_body = ChangeRoleBody,
    responses((status = 200, description = "The member after it", body = MemberBody)))]
async fn change_role(call: Call) -> Result<Answer, ApiError> {
    let body: ChangeRoleBody = call.json()?;
    let mut fields = Fields::default();
    let role = fields.read("/role", role(&body.role));
    let Some(role) = role else { return Err(fields.refusal()) };
    let scope = call.org(body.org_id.as_deref()).await?;
    let user_id = user_id(&body.user_id)?;
    let member = members::change_role(call.app.engine(), &scope, &user_id, role).await.map_err(refused)?;
    Ok(Answer::data(&MemberBody::from(&member)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MemberIdBody {
    /// The org; may be left out by who belongs to one org.
    org_id: Option<String>,
    /// Who.
    user_id: String,
}

/// Takes a member out of the org, at once
///
/// A signed-in user needs a fresh sign-in for it.
#[utoipa::path(post, path = "/api/members.remove", tag = "members", request_body = MemberIdBody,
    responses((status = 200, description = "The member as they were", body = MemberBody)))]
async fn remove(call: Call) -> Result<Answer, ApiError> {
    let body: MemberIdBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let user_id = user_id(&body.user_id)?;
    let member = members::remove(call.app.engine(), &scope, &user_id).await.map_err(refused)?;
    Ok(Answer::data(&MemberBody::from(&member)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LeaveBody {
    /// The org; may be left out by who belongs to one org.
    org_id: Option<String>,
}

/// Leaves an org; its last owner cannot
#[utoipa::path(post, path = "/api/members.leave", tag = "members", request_body = LeaveBody,
    responses((status = 200, description = "The membership that ended", body = MemberBody)))]
async fn leave(call: Call) -> Result<Answer, ApiError> {
    let body: LeaveBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let member = members::leave(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&MemberBody::from(&member)))
}

/// Hands the org to another member, who becomes the owner; the owner who asks becomes an admin
///
/// A signed-in user needs a fresh sign-in for it.
#[utoipa::path(post, path = "/api/members.transfer", tag = "members", request_body = MemberIdBody,
    responses((status = 200, description = "The new owner", body = MemberBody)))]
async fn transfer(call: Call) -> Result<Answer, ApiError> {
    let body: MemberIdBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let user_id = user_id(&body.user_id)?;
    let member = members::transfer(call.app.engine(), &scope, &user_id).await.map_err(refused)?;
    Ok(Answer::data(&MemberBody::from(&member)))
}

pub(super) fn role(word: &str) -> Result<Role, &'static str> {
    Role::parse(word).ok_or("must be owner, admin, billing or member")
}

fn user_id(text: &str) -> Result<UserId, ApiError> {
    UserId::parse(text).map_err(|_| ApiError::not_found())
}

pub(super) fn refused(error: Error) -> ApiError {
    match error {
        Error::NotFound => ApiError::not_found(),
        Error::InvalidCode => {
            let message = "This code is not valid (any more), or is for another e-mail address.";
            ApiError::new(&errors::INVALID_CODE, message)
        }
        Error::Invalid { field, rule } => ApiError::field(&format!("/{field}"), rule),
        Error::Escalation(_) | Error::PeopleOnly => ApiError::new(&errors::FORBIDDEN, format!("{error}.")),
        Error::LastOwner | Error::AlreadyMember | Error::TooMany(_) | Error::Closed => {
            ApiError::new(&errors::CONFLICT, format!("{error}."))
        }
        Error::Busy | Error::OwnerElsewhere => ApiError::new(&errors::CONFLICT, format!("{error}.")),
        Error::Pending(operation_id) => {
            let message =
                "Whoever keeps users and organizations (Clerk) does not answer right now; it is done by itself.";
            let details = serde_json::json!({ "operationId": operation_id.as_str() });
            ApiError::unavailable_with(message).with_details(&details)
        }
        Error::Elsewhere(error) => failures::elsewhere(&error),
        Error::Refused(refused) => caller::refusal(refused),
        Error::Database(error) => failures::database(&error),
    }
}
