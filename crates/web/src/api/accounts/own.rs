//! What is one's own: the account, its second factor, its devices, the org one works in.

use http::header::SET_COOKIE;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::accounts::{self, Device};
use tollgate_rules::ids::OrgId;
use utoipa::ToSchema;

use super::wire::{CodeBody, SentBody};
use super::{cookie, refused, tried};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::routes::{Access, Route, Spec};

pub(super) fn routes() -> Vec<Route> {
    let code = [errors::CONFLICT, errors::STEP_UP_REQUIRED, errors::SECOND_FACTOR_REQUIRED, errors::RATE_LIMITED];
    vec![
        Route::with::<__path_sign_out, _, _>(no_body(), sign_out),
        Route::new::<__path_me, _, _>(Access::Account, me),
        Route::new::<__path_switch_org, _, _>(Access::Account, switch_org),
        Route::with::<__path_totp_enroll, _, _>(no_body(), totp_enroll).refuses(&code),
        Route::new::<__path_totp_confirm, _, _>(Access::Account, totp_confirm).refuses(&code),
        Route::new::<__path_totp_disable, _, _>(Access::Account, totp_disable).refuses(&code),
        Route::new::<__path_sessions, _, _>(Access::Account, sessions),
        Route::new::<__path_revoke_session, _, _>(Access::Account, revoke_session),
    ]
}

fn no_body() -> Spec {
    Spec { body_bytes_max: 0, ..Spec::new(Access::Account) }
}

/// Ends the session that asks
#[utoipa::path(post, path = "/api/auth/sign-out", tag = "accounts",
    responses((status = 200, description = "Signed out", body = SentBody)))]
async fn sign_out(call: Call) -> Result<Answer, ApiError> {
    accounts::sign_out(call.app.engine(), &call.caller).await.map_err(refused)?;
    Ok(Answer::data(&SentBody { status: "signed_out" }).with_header(SET_COOKIE, cookie(&call, "", 0)))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MeBody {
    /// Who.
    user_id: String,
    /// The verified address; null where another issuer vouches and told us nothing.
    email: Option<String>,
    /// What the person is called.
    name: Option<String>,
    /// Whether signing in takes a second factor.
    mfa: bool,
    /// The session.
    session_id: String,
    /// The org that is meant where none is named.
    active_org_id: Option<String>,
    /// What they are in which org.
    orgs: Vec<OwnOrgBody>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnOrgBody {
    /// Which org.
    org_id: String,
    /// `owner`, `admin`, `billing` or `member`.
    role: &'static str,
    /// Whether the org lets in only who gave a second factor.
    mfa_required: bool,
}

/// Who is signed in, and in which orgs
#[utoipa::path(get, path = "/api/auth/me", tag = "accounts",
    responses((status = 200, description = "The signed-in user", body = MeBody)))]
async fn me(call: Call) -> Result<Answer, ApiError> {
    let me = accounts::me(call.app.engine(), &call.caller).await.map_err(refused)?;
    let active = me.memberships.iter().find(|own| Some(own.org.key) == me.session.active_org);
    let only = if me.memberships.len() == 1 { me.memberships.first() } else { None };
    Ok(Answer::data(&MeBody {
        user_id: me.user_id.to_string(),
        email: me.user.as_ref().map(|user| user.email.clone()),
        name: me.user.as_ref().map(|user| user.name.clone()),
        mfa: me.user.as_ref().is_some_and(|user| user.mfa),
        session_id: me.session.session_id.clone(),
        active_org_id: active.or(only).map(|own| own.org.id.to_string()),
        orgs: me
            .memberships
            .iter()
            .map(|own| OwnOrgBody {
                org_id: own.org.id.to_string(),
                role: own.role.as_str(),
                mfa_required: own.mfa_required,
            })
            .collect(),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SwitchOrgBody {
    /// One of the user's orgs.
    org_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SwitchedBody {
    /// The org that is meant from now on where none is named.
    org_id: String,
    /// What one is in it.
    role: &'static str,
}

/// Switches the session to another org
#[utoipa::path(post, path = "/api/auth/orgs.switch", tag = "accounts", request_body = SwitchOrgBody,
    responses((status = 200, description = "The org", body = SwitchedBody)))]
async fn switch_org(call: Call) -> Result<Answer, ApiError> {
    let body: SwitchOrgBody = call.json()?;
    let org_id = OrgId::parse(&body.org_id).map_err(|_| ApiError::not_found())?;
    let own = accounts::switch_org(call.app.engine(), &call.caller, &org_id).await.map_err(refused)?;
    Ok(Answer::data(&SwitchedBody { org_id: own.org.id.to_string(), role: own.role.as_str() }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnrolledBody {
    /// The secret in base32, for typing.
    secret: String,
    /// The same for a QR code.
    otpauth_url: String,
}

/// Begins a second factor: a secret for an authenticator, shown this once
#[utoipa::path(post, path = "/api/auth/totp.enroll", tag = "accounts",
    responses((status = 200, description = "The secret", body = EnrolledBody)))]
async fn totp_enroll(call: Call) -> Result<Answer, ApiError> {
    let enrolled = accounts::enroll(call.app.engine(), &call.caller).await.map_err(refused)?;
    Ok(Answer::data(&EnrolledBody {
        secret: enrolled.secret.expose_secret().to_owned(),
        otpauth_url: enrolled.url.expose_secret().to_owned(),
    }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RecoveryBody {
    /// Ten codes for a lost authenticator, each good once, shown this once.
    recovery_codes: Vec<String>,
}

/// Switches the second factor on with a code of the authenticator
#[utoipa::path(post, path = "/api/auth/totp.confirm", tag = "accounts", request_body = CodeBody,
    responses((status = 200, description = "The recovery codes", body = RecoveryBody)))]
async fn totp_confirm(call: Call) -> Result<Answer, ApiError> {
    let body: CodeBody = call.json()?;
    let codes = Box::pin(tried(&call, accounts::confirm(call.app.engine(), &call.caller, &body.code))).await?;
    let recovery_codes = codes.iter().map(|code| code.expose_secret().to_owned()).collect();
    Ok(Answer::data(&RecoveryBody { recovery_codes }))
}

/// Switches the second factor off, with a code of it or a recovery code
#[utoipa::path(post, path = "/api/auth/totp.disable", tag = "accounts", request_body = CodeBody,
    responses((status = 200, description = "It is off", body = SentBody)))]
async fn totp_disable(call: Call) -> Result<Answer, ApiError> {
    let body: CodeBody = call.json()?;
    Box::pin(tried(&call, accounts::disable(call.app.engine(), &call.caller, &body.code))).await?;
    Ok(Answer::data(&SentBody { status: "second_factor_off" }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct DeviceBody {
    /// Names the session.
    session_id: String,
    /// What the device says it is.
    device: String,
    /// When it was signed in.
    created_at: String,
    /// When it called last, to about a minute.
    last_seen_at: String,
    /// When it is over whatever is done.
    expires_at: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl From<&Device> for DeviceBody {
    fn from(device: &Device) -> Self {
        Self {
            session_id: device.session_id.clone(),
            device: device.device.clone(),
            created_at: device.created_at.to_string(),
            last_seen_at: device.last_seen_at.to_string(),
            expires_at: device.expires_at.to_string(),
            current: device.current,
        }
    }
}

/// One's devices, newest first
#[utoipa::path(get, path = "/api/auth/sessions", tag = "accounts",
    responses((status = 200, description = "The devices", body = Vec<DeviceBody>)))]
async fn sessions(call: Call) -> Result<Answer, ApiError> {
    let devices = accounts::list(call.app.engine(), &call.caller).await.map_err(refused)?;
    Ok(Answer::data(&devices.iter().map(DeviceBody::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SessionIdBody {
    /// The session.
    session_id: String,
}

/// Signs one of one's devices out, at once
#[utoipa::path(post, path = "/api/auth/sessions.revoke", tag = "accounts", request_body = SessionIdBody,
    responses((status = 200, description = "It is signed out", body = SentBody)))]
async fn revoke_session(call: Call) -> Result<Answer, ApiError> {
    let body: SessionIdBody = call.json()?;
    accounts::end(call.app.engine(), &call.caller, &body.session_id).await.map_err(refused)?;
    Ok(Answer::data(&SentBody { status: "signed_out" }))
}
