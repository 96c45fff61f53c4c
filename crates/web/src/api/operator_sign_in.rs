//! Operators who sign in as people, at the provider of the settings: the way there, the way back, and out.

use http::header::{HeaderValue, LOCATION, SET_COOKIE};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tollgate_engine::access::AuthError;
use tollgate_engine::operators::{self, Error, Proof};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route, Spec};
use crate::state::App;
use crate::{caller, errors, failures};

pub(crate) fn routes() -> Vec<Route> {
    let operator = Access::Operator(Permission::DiagnosticsRead);
    vec![
        Route::new::<__path_begin, _, _>(Access::Public, begin),
        Route::new::<__path_callback, _, _>(Access::Public, callback).refuses(&[errors::FORBIDDEN]),
        Route::new::<__path_me, _, _>(operator, me),
        Route::with::<__path_sign_out, _, _>(Spec { body_bytes_max: 0, ..Spec::new(operator) }, sign_out)
            .refuses(&[errors::CROSS_SITE]),
    ]
}

/// Seconds a sign-in may take.
const FLOW_SECONDS: u64 = 600;

fn flow_cookie_name(app: &App) -> &'static str {
    if caller::is_https(app) { "__Host-tollgate_flow" } else { "tollgate_flow" }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BeginQuery {
    /// A path of this server where the browser goes afterwards.
    next: Option<String>,
    /// `true`: the provider asks for a proof again, whatever session it has; what moves money needs one of the last ten minutes.
    fresh: Option<bool>,
}

/// Sends an operator's browser to the provider that signs operators in
///
/// Only where `TOLLGATE_OIDC_ISSUER` is set.
#[utoipa::path(get, path = "/auth/operator/sign-in", tag = "accounts", params(BeginQuery),
    responses((status = 303, description = "To the provider")))]
async fn begin(call: Call) -> Result<Answer, ApiError> {
    let query: BeginQuery = call.query()?;
    let proof = if query.fresh == Some(true) { Proof::Anew } else { Proof::AsItLikes };
    let next = query.next.as_deref().unwrap_or_default();
    let begun = operators::begin(call.app.engine(), next, proof).await.map_err(refused)?;
    let cookie = caller::set_cookie(&call.app, flow_cookie_name(&call.app), begun.flow.expose_secret(), FLOW_SECONDS);
    Ok(to(&begun.url)?.with_header(SET_COOKIE, cookie))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CallbackQuery {
    /// What the provider gives.
    code: Option<String>,
    /// What we gave the browser.
    state: Option<String>,
    /// Why the provider gives nothing.
    error: Option<String>,
}

/// Where the provider sends the browser back to
#[utoipa::path(get, path = "/auth/operator/callback", tag = "accounts", params(CallbackQuery),
    responses((status = 303, description = "Signed in; on to where it began")))]
async fn callback(call: Call) -> Result<Answer, ApiError> {
    let query: CallbackQuery = call.query()?;
    if query.error.is_some() {
        return Err(refused(Error::TurnedAway));
    }
    let name = flow_cookie_name(&call.app);
    let flow = caller::cookie_value(&call.parts.headers, name).ok_or_else(|| refused(Error::OtherFlow))?;
    let (Some(code), Some(state)) = (query.code.as_deref(), query.state.as_deref()) else {
        return Err(refused(Error::OtherFlow));
    };
    let engine = call.app.engine();
    let signed_in = operators::finish(engine, flow, state, code).await.map_err(refused)?;
    let seconds = signed_in.expires_at.since(engine.clock().wall.now()).as_secs();
    let session = caller::operator_cookie_name(&call.app);
    Ok(to(&signed_in.next)?
        .with_header(SET_COOKIE, caller::set_cookie(&call.app, session, signed_in.secret.expose_secret(), seconds))
        .with_header(SET_COOKIE, caller::set_cookie(&call.app, name, "", 0)))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OperatorBody {
    /// The name in the audit journal.
    actor: String,
    /// The verified address; null for keys.
    email: Option<String>,
    /// When they proved who they are, where the provider says so; null for keys.
    authenticated_at: Option<String>,
    /// When the session is over whatever is done; null for keys.
    expires_at: Option<String>,
    /// What forms of pages carry; null for keys.
    form_token: Option<String>,
}

/// Who operates
#[utoipa::path(get, path = "/api/auth/operator", tag = "accounts",
    responses((status = 200, description = "The operator", body = OperatorBody)))]
async fn me(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    let engine = call.app.engine();
    let session = match caller::operator_cookie(&call.app, &call.parts.headers) {
        Some(secret) if !call.parts.headers.contains_key(http::header::AUTHORIZATION) => {
            match operators::session(engine, secret).await {
                Ok(session) => Some(session),
                Err(AuthError::Invalid | AuthError::NonceNeeded) => None,
                Err(AuthError::Unavailable(error)) => return Err(failures::database(&error)),
            }
        }
        _ => None,
    };
    Ok(Answer::data(&OperatorBody {
        actor: scope.actor().to_owned(),
        email: session.as_ref().and_then(|session| session.email.clone()),
        authenticated_at: session
            .as_ref()
            .filter(|session| session.authenticated_at.as_micros() > 0)
            .map(|session| session.authenticated_at.to_string()),
        expires_at: session.as_ref().map(|session| session.expires_at.to_string()),
        form_token: session.as_ref().map(|session| operators::form_token(engine, session)),
    }))
}

#[derive(Serialize, ToSchema)]
struct SignedOutBody {
    /// Always `signed_out`.
    status: &'static str,
}

/// Ends the operator's session
#[utoipa::path(post, path = "/api/auth/operator/sign-out", tag = "accounts",
    responses((status = 200, description = "Signed out", body = SignedOutBody)))]
async fn sign_out(call: Call) -> Result<Answer, ApiError> {
    let scope = call.operator()?;
    if let Some(secret) = caller::operator_cookie(&call.app, &call.parts.headers) {
        operators::sign_out(call.app.engine(), &scope, secret).await.map_err(refused)?;
    }
    let gone = caller::set_cookie(&call.app, caller::operator_cookie_name(&call.app), "", 0);
    Ok(Answer::data(&SignedOutBody { status: "signed_out" }).with_header(SET_COOKIE, gone))
}

fn to(address: &str) -> Result<Answer, ApiError> {
    let location = HeaderValue::try_from(address).map_err(|_| ApiError::internal())?;
    Ok(Answer::html(String::new()).with_status(303).with_header(LOCATION, location))
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::Off => ApiError::new(&errors::NOT_FOUND, "Operators do not sign in here; see TOLLGATE_OIDC_ISSUER."),
        Error::OtherFlow | Error::TurnedAway | Error::NotAllowed => {
            ApiError::new(&errors::FORBIDDEN, format!("Not signed in: {error}."))
        }
        Error::NotBelieved(reason) => {
            tracing::warn!(%reason, "an identity token was not believed");
            ApiError::new(&errors::FORBIDDEN, "Not signed in: what the provider says is not believed.")
        }
        Error::Provider(error) => {
            tracing::warn!(%error, "the provider of operator sign-in did not do its part");
            ApiError::new(
                &errors::STORE_UNAVAILABLE,
                "The provider that signs operators in does not answer as it should.",
            )
        }
        Error::Database(error) => failures::database(&error),
    }
}
