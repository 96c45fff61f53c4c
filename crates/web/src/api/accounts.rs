//! Built-in accounts: sign up, verify, sign in, reset, and what is one's own.

pub(super) mod own;
mod wire;

use std::future::Future;

use http::header::{HeaderValue, SET_COOKIE};
use secrecy::{ExposeSecret, SecretString};
use tollgate_engine::accounts::{self, Error, Mode, SignIn, SignUp};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route};
use crate::{caller, errors, failures};
use wire::{
    CodeBody, EmailBody, PasswordResetBody, RefreshBody, SentBody, SessionBody, SignInBody, SignUpBody, TokensBody,
    VerifiedBody, tokens_body,
};

pub(crate) fn routes() -> Vec<Route> {
    let limited = [errors::RATE_LIMITED, errors::OVERLOADED, errors::CROSS_SITE];
    let public = [
        Route::new::<__path_sign_up, _, _>(Access::Public, sign_up).refuses(&limited),
        Route::new::<__path_verify_email, _, _>(Access::Public, verify_email)
            .refuses(&limited)
            .refuses(&[errors::INVALID_CODE]),
        Route::new::<__path_sign_in, _, _>(Access::Public, sign_in)
            .refuses(&limited)
            .refuses(&[errors::UNAUTHORIZED, errors::SECOND_FACTOR_REQUIRED]),
        Route::new::<__path_forgot, _, _>(Access::Public, forgot).refuses(&limited),
        Route::new::<__path_reset, _, _>(Access::Public, reset).refuses(&limited).refuses(&[errors::INVALID_CODE]),
        Route::new::<__path_refresh, _, _>(Access::Public, refresh)
            .refuses(&[errors::UNAUTHORIZED, errors::RATE_LIMITED]),
    ];
    public.into_iter().chain(own::routes()).collect()
}

/// Asks for an account
///
/// The answer is the same whether the address has an account or not: what is so is told by letter.
#[utoipa::path(post, path = "/api/auth/sign-up", tag = "accounts", request_body = SignUpBody,
    responses((status = 200, description = "A letter is on its way", body = SentBody)))]
async fn sign_up(call: Call) -> Result<Answer, ApiError> {
    caller::same_site(&call.app, &call.parts)?;
    let body: SignUpBody = call.json()?;
    let sign_up = SignUp {
        email: body.email,
        password: SecretString::from(body.password),
        name: body.name,
        corr_id: call.caller.corr_id().to_owned(),
    };
    accounts::sign_up(call.app.engine(), sign_up).await.map_err(refused)?;
    Ok(Answer::data(&SentBody { status: "verification_sent" }))
}

/// Confirms an address with the code of the letter: the account begins
#[utoipa::path(post, path = "/api/auth/verify-email", tag = "accounts", request_body = CodeBody,
    responses((status = 200, description = "The account", body = VerifiedBody)))]
async fn verify_email(call: Call) -> Result<Answer, ApiError> {
    let body: CodeBody = call.json()?;
    let made = accounts::verify_email(call.app.engine(), body.code.trim(), call.caller.corr_id());
    let user = tried(&call, made).await?;
    Ok(Answer::data(&VerifiedBody { user_id: user.user_id.to_string(), email: user.email, verified: true }))
}

/// Signs in: a cookie, or with `mode: "token"` an access and a refresh token
///
/// Every sign-in begins a new session; the one whose cookie came along ends. Wrong address, wrong password and an address not
/// verified yet are answered alike.
#[utoipa::path(post, path = "/api/auth/sign-in", tag = "accounts", request_body = SignInBody,
    responses((status = 200, description = "The session", body = SessionBody)))]
async fn sign_in(call: Call) -> Result<Answer, ApiError> {
    caller::same_site(&call.app, &call.parts)?;
    let body: SignInBody = call.json()?;
    let mode = match body.mode.as_deref() {
        None | Some("cookie") => Mode::Cookie,
        Some("token" | "jwt") => Mode::Token,
        Some(_) => return Err(ApiError::field("/mode", "must be cookie or token")),
    };
    let sign_in = SignIn {
        email: body.email,
        password: SecretString::from(body.password),
        code: body.code,
        mode,
        device: call.header("user-agent").unwrap_or_default().to_owned(),
        from: call.address(),
        corr_id: call.caller.corr_id().to_owned(),
    };
    let engine = call.app.engine();
    let begun = accounts::sign_in(engine, sign_in).await.map_err(refused)?;
    end_former(&call).await;
    let answer = Answer::data(&SessionBody {
        user_id: begun.user.user_id.to_string(),
        email: begun.user.email.clone(),
        name: begun.user.name.clone(),
        session_id: begun.session_id.clone(),
        expires_at: begun.expires_at.to_string(),
        tokens: begun.tokens.as_ref().map(tokens_body),
    });
    Ok(match &begun.cookie {
        None => answer,
        Some(secret) => {
            let seconds = begun.expires_at.since(engine.clock().wall.now()).as_secs();
            answer.with_header(SET_COOKIE, cookie(&call, secret.expose_secret(), seconds))
        }
    })
}

/// The session that the browser had until now ends with the new one.
pub(crate) async fn end_former(call: &Call) {
    let Some(secret) = caller::session_cookie(&call.app, &call.parts.headers) else { return };
    if let Ok(former) = tollgate_engine::access::authenticate_session(call.app.engine(), secret).await
        && let Err(error) = accounts::sign_out(call.app.engine(), &former).await
    {
        tracing::warn!(%error, "the former session of a browser could not be ended");
    }
}

/// Asks for a letter with which the password can be set anew
///
/// The answer is the same whether the address has an account or not.
#[utoipa::path(post, path = "/api/auth/password.forgot", tag = "accounts", request_body = EmailBody,
    responses((status = 200, description = "A letter is on its way", body = SentBody)))]
async fn forgot(call: Call) -> Result<Answer, ApiError> {
    caller::same_site(&call.app, &call.parts)?;
    let body: EmailBody = call.json()?;
    accounts::forgot(call.app.engine(), &body.email, call.caller.corr_id()).await.map_err(refused)?;
    Ok(Answer::data(&SentBody { status: "reset_sent" }))
}

/// Sets the password anew with the code of the letter, and signs out everywhere
#[utoipa::path(post, path = "/api/auth/password.reset", tag = "accounts", request_body = PasswordResetBody,
    responses((status = 200, description = "The password is set", body = SentBody)))]
async fn reset(call: Call) -> Result<Answer, ApiError> {
    caller::same_site(&call.app, &call.parts)?;
    let body: PasswordResetBody = call.json()?;
    let password = SecretString::from(body.password);
    tried(&call, accounts::reset(call.app.engine(), body.code.trim(), &password, call.caller.corr_id())).await?;
    Ok(Answer::data(&SentBody { status: "password_set" }))
}

/// Follows a refresh token by the next pair
///
/// Each is good once; within a minute the last one gets the same successor again (a lost answer). An older one ends the session.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "accounts", request_body = RefreshBody,
    responses((status = 200, description = "The next pair", body = TokensBody)))]
async fn refresh(call: Call) -> Result<Answer, ApiError> {
    let body: RefreshBody = call.json()?;
    let (engine, from) = (call.app.engine(), call.address());
    accounts::may_try(engine, from).map_err(refused)?;
    match accounts::refresh(engine, &body.refresh_token, call.caller.corr_id()).await {
        Ok(tokens) => Ok(Answer::data(&tokens_body(&tokens))),
        Err(Error::Credentials) => {
            accounts::failed_try(engine, from);
            Err(ApiError::new(&errors::UNAUTHORIZED, "This refresh token is not valid."))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Tries a code: refused without a look where too many failed from the same address, and counted where it is not good.
pub(super) async fn tried<T>(call: &Call, attempt: impl Future<Output = Result<T, Error>>) -> Result<T, ApiError> {
    let (engine, from) = (call.app.engine(), call.address());
    accounts::may_try(engine, from).map_err(refused)?;
    let outcome = attempt.await;
    if matches!(outcome, Err(Error::InvalidCode | Error::WrongCode | Error::Credentials)) {
        accounts::failed_try(engine, from);
    }
    outcome.map_err(refused)
}

/// The session's cookie: for this host only, unreadable by scripts, never sent along by other sites' forms.
pub(crate) fn cookie(call: &Call, value: &str, seconds: u64) -> HeaderValue {
    caller::set_cookie(&call.app, caller::cookie_name(&call.app), value, seconds)
}

pub(crate) fn refused(error: Error) -> ApiError {
    match error {
        Error::Credentials => {
            ApiError::new(&errors::UNAUTHORIZED, "E-mail or password is wrong, or the address is not verified yet.")
        }
        Error::SecondFactorNeeded => {
            ApiError::new(&errors::SECOND_FACTOR_REQUIRED, "Send `code`: a code of the second factor.")
        }
        Error::WrongCode => ApiError::new(&errors::SECOND_FACTOR_REQUIRED, "This code is wrong or was used already."),
        Error::Slow(wait) => ApiError::new(&errors::RATE_LIMITED, "Too many attempts; wait for Retry-After.")
            .retry_after(wait.as_secs().saturating_add(1)),
        Error::InvalidCode => ApiError::new(&errors::INVALID_CODE, "This code is not valid (any more)."),
        Error::Invalid { field, rule } => ApiError::field(&format!("/{field}"), rule),
        Error::Conflict(what) => ApiError::new(&errors::CONFLICT, format!("Not now: {what}.")),
        Error::NotFound => ApiError::not_found(),
        Error::Overloaded => ApiError::new(&errors::OVERLOADED, "Too many passwords are being checked.").retry_after(1),
        Error::Refused(refused) => caller::refusal(refused),
        Error::Tokens(error) => {
            tracing::error!(%error, "a session token could not be signed");
            ApiError::internal()
        }
        Error::Database(error) => failures::database(&error),
    }
}
