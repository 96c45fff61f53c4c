//! `/device`: where a signed-in member lets a plugin in that nobody can type into (RFC 8628).
//!
//! Forms without scripts. A form counts only when it comes from our own page (where the browser says it comes from, and a token of
//! the session in it); codes that nobody was given are counted by address.

use askama::Template;
use http::header::{HeaderValue, LOCATION, SET_COOKIE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tollgate_engine::access::{self, AuthError, Caller, CallerKind, OrgScope, Refused, Session};
use tollgate_engine::accounts::{self, Error as SignInError, Mode, SignIn};
use tollgate_engine::activation::Error;
use tollgate_engine::activation::device::{self, Decision, Device};
use tollgate_engine::{identity, orgs};
use tollgate_rules::access::{Permission, role_grants};
use utoipa::IntoParams;

use super::docs::render;
use crate::answer::Answer;
use crate::api::accounts::{cookie, end_former};
use crate::api::oauth::form::Form;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route};
use crate::{caller, errors, failures};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_show, _, _>(Access::Public, show),
        Route::new::<__path_submit, _, _>(Access::Public, submit).refuses(&[
            errors::CROSS_SITE,
            errors::RATE_LIMITED,
            errors::FORBIDDEN,
        ]),
    ]
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    step: Step,
    /// What went wrong with the form before.
    problem: Option<&'static str>,
    user_code: String,
    csrf: String,
}

enum Step {
    /// Nobody is signed in.
    SignIn,
    /// People sign in elsewhere: the product's own pages ask our API.
    Elsewhere,
    /// Which code?
    Code,
    /// Is this the plugin you know?
    Confirm { device: Shown, orgs: Vec<(String, String)> },
    /// It is decided.
    Done { approved: bool, domain: String },
}

/// A waiting plugin in words.
struct Shown {
    domain: String,
    asked_from: String,
    asked_at: String,
    scopes: String,
}

impl From<&Device> for Shown {
    fn from(device: &Device) -> Self {
        let scopes: Vec<&str> = device.scopes.iter().map(|scope| scope.as_str()).collect();
        Self {
            domain: device.domain.clone(),
            asked_from: device.asked_from.clone().unwrap_or_else(|| "an unknown address".to_owned()),
            asked_at: device.created_at.to_string(),
            scopes: scopes.join(", "),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeviceQuery {
    /// The code, as links and QR codes carry it.
    user_code: Option<String>,
}

/// Where a member approves a plugin
#[utoipa::path(get, path = "/device", tag = "activation", params(DeviceQuery),
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
async fn show(call: Call) -> Result<Answer, ApiError> {
    let query: DeviceQuery = call.query()?;
    let user_code = shortened(query.user_code.as_deref().unwrap_or_default());
    match signed_in(&call).await? {
        None => nobody(&call, user_code, None),
        Some(member) => ask(&call, &member, user_code).await,
    }
}

/// Signs in for the page, or decides about the plugin
#[utoipa::path(post, path = "/device", tag = "activation",
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "The page's own form"),
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
async fn submit(call: Call) -> Result<Answer, ApiError> {
    caller::same_site(&call.app, &call.parts)?;
    let form = Form::read(&call).map_err(crate::api::oauth::Refusal::into_api_error)?;
    let user_code = shortened(form.get("user_code").unwrap_or_default());
    if form.get("step") == Some("sign-in") {
        return sign_in(&call, &form, user_code).await;
    }
    let Some(member) = signed_in(&call).await? else { return nobody(&call, user_code, None) };
    let sent = form.get("csrf").unwrap_or_default();
    if !access::form_token_fits(call.app.engine(), &member.session, sent) {
        return Err(ApiError::new(&errors::CROSS_SITE, "This form is not from our page, or from an earlier session."));
    }
    decide(&call, &member, &form, user_code).await
}

/// Whoever is signed in with a cookie.
struct Member {
    caller: Caller,
    session: Session,
    /// The orgs they may approve for.
    scopes: Vec<OrgScope>,
}

async fn signed_in(call: &Call) -> Result<Option<Member>, ApiError> {
    let Some(secret) = caller::session_cookie(&call.app, &call.parts.headers) else { return Ok(None) };
    let found = match access::authenticate_session(call.app.engine(), secret).await {
        Ok(found) => found.with_corr_id(call.caller.corr_id()),
        Err(AuthError::Invalid | AuthError::NonceNeeded) => return Ok(None),
        Err(AuthError::Unavailable(error)) => return Err(failures::database(&error)),
    };
    let CallerKind::User { session, memberships, .. } = found.kind() else { return Ok(None) };
    let may = memberships.iter().filter(|own| role_grants(own.role, Permission::SitesWrite));
    let mut scopes = Vec::new();
    for own in may {
        match found.require(call.app.engine(), Permission::SitesWrite, Some(&own.org.id)).await {
            Ok(scope) => scopes.push(scope),
            Err(Refused::Unavailable(_)) => return Err(ApiError::unavailable()),
            // An org that asks for more than this session proved is not offered.
            Err(_) => {}
        }
    }
    let session = session.clone();
    Ok(Some(Member { caller: found, session, scopes }))
}

fn nobody(call: &Call, user_code: String, problem: Option<&'static str>) -> Result<Answer, ApiError> {
    let step = if identity::is_elsewhere(call.app.engine()) { Step::Elsewhere } else { Step::SignIn };
    render(&DevicePage { step, problem, user_code, csrf: String::new() })
}

/// Asks for the code, or whether this is the plugin.
async fn ask(call: &Call, member: &Member, user_code: String) -> Result<Answer, ApiError> {
    let engine = call.app.engine();
    let csrf = access::form_token(engine, &member.session);
    let page = |step, problem, user_code| DevicePage { step, problem, user_code, csrf: csrf.clone() };
    let Some(first) = member.scopes.first() else {
        return render(&page(Step::Code, Some("You may approve plugins for none of your orgs."), user_code));
    };
    if user_code.is_empty() {
        return render(&page(Step::Code, None, user_code));
    }
    let address = call.address().map(|address| address.to_string());
    let device = match device::find(engine, first, &user_code, address.as_deref()).await {
        Ok(device) => device,
        Err(error) => return refused(error, |problem| page(Step::Code, Some(problem), String::new())),
    };
    let mut named = Vec::new();
    for scope in &member.scopes {
        let org = orgs::get(engine, scope).await.map_err(|_| ApiError::unavailable())?;
        named.push((scope.org_id().to_string(), org.name));
    }
    render(&page(Step::Confirm { device: Shown::from(&device), orgs: named }, None, user_code))
}

async fn decide(call: &Call, member: &Member, form: &Form, user_code: String) -> Result<Answer, ApiError> {
    let decision = match form.get("decision") {
        Some("approve") => Decision::Approve,
        Some("deny") => Decision::Deny,
        Some(_) | None => return ask(call, member, user_code).await,
    };
    let engine = call.app.engine();
    let named = form.get("org_id").unwrap_or_default();
    let scope = member.scopes.iter().find(|scope| scope.org_id().as_str() == named).ok_or_else(ApiError::not_found)?;
    let address = call.address().map(|address| address.to_string());
    let said = (user_code.as_str(), decision);
    let csrf = access::form_token(engine, &member.session);
    let page = |step, problem| DevicePage { step, problem, user_code: String::new(), csrf: csrf.clone() };
    match device::decide(engine, (&member.caller, scope), said, address.as_deref()).await {
        Ok(device) => {
            let approved = decision == Decision::Approve;
            render(&page(Step::Done { approved, domain: device.domain }, None))
        }
        Err(error) => refused(error, |problem| page(Step::Code, Some(problem))),
    }
}

fn refused(error: Error, page: impl FnOnce(&'static str) -> DevicePage) -> Result<Answer, ApiError> {
    match error {
        Error::NotFound => {
            let page = page("No plugin waits with this code: it may be mistyped, over, or decided already.");
            render(&page).map(|answer| answer.with_status(404))
        }
        Error::Escalation => {
            Err(ApiError::new(&errors::FORBIDDEN, "You may not do yourself what this plugin asks for."))
        }
        other => Err(crate::api::refused_activation(other)),
    }
}

async fn sign_in(call: &Call, form: &Form, user_code: String) -> Result<Answer, ApiError> {
    let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let sign_in = SignIn {
        email: text("email"),
        password: SecretString::from(text("password")),
        code: form.get("code").map(str::to_owned),
        mode: Mode::Cookie,
        device: call.header("user-agent").unwrap_or_default().to_owned(),
        from: call.address(),
        corr_id: call.caller.corr_id().to_owned(),
    };
    let engine = call.app.engine();
    let begun = match accounts::sign_in(engine, sign_in).await {
        Ok(begun) => begun,
        Err(SignInError::Credentials) => {
            let answer =
                nobody(call, user_code, Some("E-mail or password is wrong, or the address is not verified yet."));
            return answer.map(|answer| answer.with_status(403));
        }
        Err(SignInError::SecondFactorNeeded | SignInError::WrongCode) => {
            let answer =
                nobody(call, user_code, Some("A code of your authenticator is needed, one that was not used yet."));
            return answer.map(|answer| answer.with_status(403));
        }
        Err(other) => return Err(crate::api::accounts::refused(other)),
    };
    end_former(call).await;
    let Some(secret) = &begun.cookie else { return Err(ApiError::internal()) };
    let seconds = begun.expires_at.since(engine.clock().wall.now()).as_secs();
    let next = if user_code.is_empty() { "/device".to_owned() } else { format!("/device?user_code={user_code}") };
    let next = HeaderValue::try_from(next).map_err(|_| ApiError::internal())?;
    Ok(Answer::html(String::new())
        .with_status(303)
        .with_header(LOCATION, next)
        .with_header(SET_COOKIE, cookie(call, secret.expose_secret(), seconds)))
}

/// A code as far as it can be one: letters and dashes.
fn shortened(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphabetic() || *c == '-').take(16).collect()
}
