//! Invitations to an org.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::accounts;
use tollgate_engine::members::{self, Invitation, Invite, Issued};
use tollgate_rules::access::Permission;
use utoipa::ToSchema;

use super::members::{MembersQuery, refused, role};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::fields::Fields;
use crate::routes::{Access, Route, Spec};
use crate::{errors, paging};

pub(crate) fn routes() -> Vec<Route> {
    let invite = Access::Org(Permission::MembersInvite);
    vec![
        Route::with::<__path_create, _, _>(Spec::secret(invite), create)
            .refuses(&[errors::CONFLICT, errors::MFA_REQUIRED]),
        Route::new::<__path_accept, _, _>(Access::Account, accept)
            .refuses(&[errors::INVALID_CODE, errors::RATE_LIMITED]),
        Route::new::<__path_pending, _, _>(invite, pending),
        Route::new::<__path_mine, _, _>(Access::Account, mine),
        Route::with::<__path_revoke, _, _>(Spec::change(invite), revoke).refuses(&[errors::CONFLICT]),
        Route::with::<__path_resend, _, _>(Spec::secret(invite), resend).refuses(&[errors::CONFLICT]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InviteBody {
    /// The org; may be left out by who belongs to one org.
    org_id: Option<String>,
    /// Whom; only an account with this verified address can accept.
    email: String,
    /// `owner`, `admin`, `billing` or `member`; never above one's own.
    role: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InvitationBody {
    /// The invitation.
    invitation_id: String,
    /// To which org.
    org_id: String,
    /// What the org is called.
    org_name: String,
    /// Whom.
    email: String,
    /// What they will be.
    role: &'static str,
    /// When they were invited.
    created_at: String,
    /// From when on it cannot be accepted.
    expires_at: String,
}

impl From<&Invitation> for InvitationBody {
    fn from(invitation: &Invitation) -> Self {
        Self {
            invitation_id: invitation.invitation_id.clone(),
            org_id: invitation.org_id.to_string(),
            org_name: invitation.org_name.clone(),
            email: invitation.email.clone(),
            role: invitation.role.as_str(),
            created_at: invitation.created_at.to_string(),
            expires_at: invitation.expires_at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IssuedBody {
    /// The invitation.
    invitation_id: String,
    /// To which org.
    org_id: String,
    /// Whom.
    email: String,
    /// What they will be.
    role: &'static str,
    /// What is presented to accept it; shown to whoever invites, so that it can be handed on without a mail server. Not there where
    /// Clerk keeps the members and sends the letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// From when on it cannot be accepted.
    expires_at: String,
}

fn issued(issued: &Issued) -> IssuedBody {
    let invitation = &issued.invitation;
    IssuedBody {
        invitation_id: invitation.invitation_id.clone(),
        org_id: invitation.org_id.to_string(),
        email: invitation.email.clone(),
        role: invitation.role.as_str(),
        code: issued.code.as_ref().map(|code| code.expose_secret().to_owned()),
        expires_at: invitation.expires_at.to_string(),
    }
}

/// Invites somebody by letter, with a code
///
/// An invitation that waits for the same address is withdrawn. The code is also in the answer, so that it can be handed on
/// without a mail server; only an account with the verified address can use it. Where Clerk keeps the members, it invites, and there is
/// no code.
#[utoipa::path(post, path = "/api/invitations", tag = "members", request_body = InviteBody,
    responses((status = 200, description = "The invitation with its code", body = IssuedBody)))]
async fn create(call: Call) -> Result<Answer, ApiError> {
    let body: InviteBody = call.json()?;
    let mut fields = Fields::default();
    let Some(role) = fields.read("/role", role(&body.role)) else { return Err(fields.refusal()) };
    let scope = call.org(body.org_id.as_deref()).await?;
    let made = members::invite(call.app.engine(), &scope, Invite { email: body.email, role }).await.map_err(refused)?;
    Ok(Answer::data(&issued(&made)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AcceptBody {
    /// The code of the letter.
    code: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AcceptedBody {
    /// The org one is a member of now.
    org_id: String,
    /// What it is called.
    org_name: String,
    /// As what.
    role: &'static str,
}

/// Accepts an invitation, once, with the account whose verified address it names
#[utoipa::path(post, path = "/api/invitations/accept", tag = "members", request_body = AcceptBody,
    responses((status = 200, description = "The membership", body = AcceptedBody)))]
async fn accept(call: Call) -> Result<Answer, ApiError> {
    let body: AcceptBody = call.json()?;
    let (engine, from) = (call.app.engine(), call.address());
    accounts::may_try(engine, from).map_err(super::accounts::refused)?;
    let accepted = members::accept(engine, &call.caller, body.code.trim()).await;
    if matches!(accepted, Err(members::Error::InvalidCode)) {
        accounts::failed_try(engine, from);
    }
    let accepted = accepted.map_err(refused)?;
    Ok(Answer::data(&AcceptedBody {
        org_id: accepted.org_id.to_string(),
        org_name: accepted.org_name,
        role: accepted.role.as_str(),
    }))
}

/// An org's invitations that can still be accepted, newest first
#[utoipa::path(get, path = "/api/invitations/pending", tag = "members", params(MembersQuery),
    responses((status = 200, description = "A page of invitations", body = Vec<InvitationBody>)))]
async fn pending(call: Call) -> Result<Answer, ApiError> {
    let query: MembersQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = members::pending(call.app.engine(), &scope, &paging).await.map_err(paging::refused)?;
    Ok(paging::told::<_, InvitationBody>(&page))
}

/// The invitations that wait for one's own address
#[utoipa::path(get, path = "/api/invitations/mine", tag = "members",
    responses((status = 200, description = "The invitations", body = Vec<InvitationBody>)))]
async fn mine(call: Call) -> Result<Answer, ApiError> {
    let waiting = members::mine(call.app.engine(), &call.caller).await.map_err(refused)?;
    Ok(Answer::data(&waiting.iter().map(InvitationBody::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InvitationIdBody {
    /// The org; may be left out by who belongs to one org.
    org_id: Option<String>,
    /// The invitation.
    invitation_id: String,
}

/// Withdraws an invitation that was not accepted yet
#[utoipa::path(post, path = "/api/invitations/revoke", tag = "members", request_body = InvitationIdBody,
    responses((status = 200, description = "The invitation as it was", body = InvitationBody)))]
async fn revoke(call: Call) -> Result<Answer, ApiError> {
    let body: InvitationIdBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let invitation = members::revoke(call.app.engine(), &scope, &body.invitation_id).await.map_err(refused)?;
    Ok(Answer::data(&InvitationBody::from(&invitation)))
}

/// Sends an invitation again with another code; the code before is void
#[utoipa::path(post, path = "/api/invitations/resend", tag = "members", request_body = InvitationIdBody,
    responses((status = 200, description = "The invitation with its new code", body = IssuedBody)))]
async fn resend(call: Call) -> Result<Answer, ApiError> {
    let body: InvitationIdBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let made = members::resend(call.app.engine(), &scope, &body.invitation_id).await.map_err(refused)?;
    Ok(Answer::data(&issued(&made)))
}
