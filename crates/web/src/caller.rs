//! From an HTTP request to the engine's [`Caller`], and from the engine's refusals to ours.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use tollgate_engine::access::{self, AuthError, Caller, CallerKind, OperatorScope, OrgScope, Refused};
use tollgate_engine::tokens::dpop::{self, Memory, Proof};
use tollgate_rules::access::{Permission, asks_for_fresh_proof, line, role_grants, scopes_grant};
use tollgate_rules::ids::OrgId;

use crate::api_error::ApiError;
use crate::errors;
use crate::request_id::RequestId;
use crate::routes::Access;
use crate::state::{App, Mode};

/// How the connection came in; set by the server on each request where it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Over loopback.
    Loopback,
}

/// Where a connection came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) std::net::IpAddr);

/// Who calls. Refuses at once whoever could not have the route's right for any org.
///
/// # Errors
/// 401, 403, 503, or 404 for local pages asked for from elsewhere.
pub(crate) async fn identify(app: &App, access: Access, parts: &Parts, id: &RequestId) -> Result<Caller, ApiError> {
    let peer = parts.extensions.get::<Peer>().copied();
    let permission = match access {
        Access::Public | Access::Signature => return Ok(corr(Caller::nobody(), parts, id)),
        Access::Local if is_local(app, parts, peer) => return Ok(corr(Caller::local_operator(), parts, id)),
        Access::Local => return Err(ApiError::new(&errors::NOT_FOUND, "There is no such route.")),
        Access::Account => None,
        Access::Org(permission) | Access::Operator(permission) | Access::OperatorOrLocal(permission) => {
            Some(permission)
        }
    };
    let open = matches!(access, Access::OperatorOrLocal(_)) && is_local(app, parts, peer);
    if open && !parts.headers.contains_key(AUTHORIZATION) {
        return Ok(corr(Caller::local_operator(), parts, id));
    }
    let caller = match (presented(&parts.headers), counting_cookie(app, access, &parts.headers)) {
        (Some(Presented::Bearer(secret)), _) => {
            access::authenticate(app.engine(), secret).await.map_err(refused_credential)?
        }
        (Some(Presented::Proven(token)), _) => proven(app, token, parts, access).await?,
        (None, Some(secret)) => {
            same_site(app, parts)?;
            access::authenticate_session(app.engine(), secret).await.map_err(refused_credential)?
        }
        (None, None) => return Err(ApiError::new(&errors::UNAUTHORIZED, "Send `Authorization: Bearer <key>`.")),
    };
    match permission {
        Some(permission) if !could(&caller, access, permission) => return Err(forbidden(permission)),
        None if caller.user_id().is_none() => {
            return Err(ApiError::new(&errors::FORBIDDEN, "Only a signed-in user can do that."));
        }
        Some(permission) if !parts.method.is_safe() && asks_for_fresh_proof(permission) => {
            caller.fresh(app.engine()).map_err(refusal)?;
        }
        _ => {}
    }
    Ok(corr(caller, parts, id))
}

/// What the session's cookie is called: bound to this very host where the server is reached over https.
pub(crate) fn cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-tollgate_session" } else { "tollgate_session" }
}

/// What the cookie of an operator's session is called.
pub(crate) fn operator_cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-tollgate_operator" } else { "tollgate_operator" }
}

/// Whether clients reach this server over https.
pub(crate) fn is_https(app: &App) -> bool {
    app.state().is_https()
}

/// A cookie for this host only, unreadable by scripts, never sent along by other sites' forms. The value is ASCII without spaces.
pub(crate) fn set_cookie(app: &App, name: &str, value: &str, seconds: u64) -> HeaderValue {
    let secure = if is_https(app) { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"))
        .expect("letters and digits fit a header")
}

/// The value of a cookie.
pub(crate) fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(http::header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (own, value) = pair.trim().split_once('=')?;
        (own == name).then_some(value)
    })
}

/// The secret of an operator's session cookie.
pub(crate) fn operator_cookie<'h>(app: &App, headers: &'h HeaderMap) -> Option<&'h str> {
    cookie_value(headers, operator_cookie_name(app))
}

/// The secret of the session's cookie.
pub(crate) fn session_cookie<'h>(app: &App, headers: &'h HeaderMap) -> Option<&'h str> {
    cookie_value(headers, cookie_name(app))
}

/// The cookie that counts for a route: an operator's where an operator is asked for, else a user's, else whichever is there.
fn counting_cookie<'h>(app: &App, access: Access, headers: &'h HeaderMap) -> Option<&'h str> {
    let (user, operator) = (session_cookie(app, headers), operator_cookie(app, headers));
    match access {
        Access::Operator(_) | Access::OperatorOrLocal(_) => operator.or(user),
        _ => user.or(operator),
    }
}

/// Refuses a change that a page of another site makes a browser ask for. Browsers say where a call comes from; what says
/// nothing is no browser, and carries a cookie only on purpose.
///
/// # Errors
/// 403 `cross_site`.
pub(crate) fn same_site(app: &App, parts: &Parts) -> Result<(), ApiError> {
    if parts.method.is_safe() {
        return Ok(());
    }
    let header = |name: http::header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let fetched = header(http::header::HeaderName::from_static("sec-fetch-site"));
    let ours = match (fetched, header(http::header::ORIGIN)) {
        (Some(from), _) => matches!(from, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = header(http::header::HOST).unwrap_or_default();
            origin == app.state().base_url || origin.split_once("://").is_some_and(|(_, from)| from == host)
        }
        (None, None) => true,
    };
    if ours { Ok(()) } else { Err(ApiError::new(&errors::CROSS_SITE, "This call comes from a page of another site.")) }
}

/// The right for one org.
///
/// # Errors
/// See [`refusal`].
pub(crate) async fn require(
    app: &App,
    caller: &Caller,
    permission: Permission,
    org: Option<&OrgId>,
) -> Result<OrgScope, ApiError> {
    caller.require(app.engine(), permission, org).await.map_err(refusal)
}

/// The operator's right.
///
/// # Errors
/// See [`refusal`].
pub(crate) fn require_operator(caller: &Caller, permission: Permission) -> Result<OperatorScope, ApiError> {
    caller.require_operator(permission).map_err(refusal)
}

/// The engine's refusal in our words.
pub(crate) fn refusal(refused: Refused) -> ApiError {
    match refused {
        Refused::Unauthenticated => ApiError::new(&errors::UNAUTHORIZED, "A credential is needed here."),
        Refused::Forbidden(permission) => forbidden(permission),
        Refused::NotFound => ApiError::not_found(),
        Refused::SecondFactorNeeded => {
            ApiError::new(&errors::MFA_REQUIRED, "This org asks for a second factor: sign in with one.")
        }
        Refused::StepUpNeeded => ApiError::new(&errors::STEP_UP_REQUIRED, "Sign in again to do this."),
        Refused::OrgNeeded => ApiError::field("/orgId", "which org is meant must be said"),
        Refused::Unavailable(reason) => {
            tracing::warn!(reason, "a permission could not be checked");
            ApiError::unavailable()
        }
    }
}

/// A page of `dev` opened on this machine: over loopback, and by a name of this machine, so that a foreign page whose host
/// name was pointed here cannot read it.
fn is_local(app: &App, parts: &Parts, peer: Option<Peer>) -> bool {
    app.state().mode == Mode::Dev && peer == Some(Peer::Loopback) && names_this_machine(&parts.headers)
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(http::header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

/// What the `Authorization` header holds.
#[derive(Debug, PartialEq, Eq)]
enum Presented<'h> {
    /// Whoever has it may use it.
    Bearer(&'h str),
    /// An access token that is good only with a proof of possession (RFC 9449).
    Proven(&'h str),
}

fn presented(headers: &HeaderMap) -> Option<Presented<'_>> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = text.split_once(' ')?;
    let secret = secret.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        Some(Presented::Bearer(secret))
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Some(Presented::Proven(secret))
    } else {
        None
    }
}

async fn proven(app: &App, token: &str, parts: &Parts, access: Access) -> Result<Caller, ApiError> {
    let memory = match access {
        Access::Org(Permission::QuotaCheck) => Memory::Node,
        _ => Memory::Shared,
    };
    let found = match proof(parts, memory) {
        Ok(Some(proof)) => access::authenticate_proven(app.engine(), token, &proof).await,
        Ok(None) | Err(SeveralProofs) => Err(AuthError::Invalid),
    };
    found.map_err(|error| {
        let code = if matches!(error, AuthError::NonceNeeded) { "use_dpop_nonce" } else { "invalid_token" };
        let challenge = format!("DPoP error=\"{code}\", algs=\"{}\"", dpop::ALGORITHMS.join(" "));
        match HeaderValue::try_from(challenge) {
            Ok(challenge) => refused_credential(error).with_header(http::header::WWW_AUTHENTICATE, challenge),
            Err(_) => refused_credential(error),
        }
    })
}

/// More than one `DPoP` header came.
#[derive(Debug)]
pub(crate) struct SeveralProofs;

/// The proof of possession that came with a call.
///
/// # Errors
/// [`SeveralProofs`].
pub(crate) fn proof(parts: &Parts, memory: Memory) -> Result<Option<Proof>, SeveralProofs> {
    let mut found = parts.headers.get_all("dpop").iter();
    let (first, more) = (found.next(), found.next());
    if more.is_some() {
        return Err(SeveralProofs);
    }
    let text = first.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    Ok(text.map(|text| Proof { text, method, path, memory }))
}

/// Whether the caller could have the right for some org; whose org it is about is only known once the body is read.
fn could(caller: &Caller, access: Access, permission: Permission) -> bool {
    match caller.kind() {
        CallerKind::Operator { .. } | CallerKind::System { .. } => true,
        CallerKind::Key { scopes, .. } | CallerKind::Site { scopes, .. } | CallerKind::OrgToken { scopes, .. } => {
            matches!(access, Access::Org(_)) && scopes_grant(scopes, permission)
        }
        CallerKind::User { memberships, .. } => {
            matches!(access, Access::Org(_)) && memberships.iter().any(|own| role_grants(own.role, permission))
        }
        CallerKind::Nobody => false,
    }
}

fn forbidden(permission: Permission) -> ApiError {
    let row = line(permission);
    let scopes: Vec<&str> = row.scopes.iter().map(|scope| scope.as_str()).collect();
    let roles: Vec<&str> = row.roles.iter().map(|role| role.as_str()).collect();
    let message = match (scopes.as_slice(), roles.as_slice()) {
        ([], []) => "Only the operator may do that.".to_owned(),
        (some, []) => format!("This needs a key with the scope {}.", some.join(" or ")),
        ([], some) => format!("This needs a member with the role {}.", some.join(" or ")),
        (scopes, roles) => {
            format!(
                "This needs a key with the scope {} or a member with the role {}.",
                scopes.join(" or "),
                roles.join(" or ")
            )
        }
    };
    ApiError::new(&errors::FORBIDDEN, message)
        .with_details(&serde_json::json!({ "permission": permission.as_str(), "scopes": scopes, "roles": roles }))
}

fn refused_credential(error: AuthError) -> ApiError {
    match error {
        AuthError::Invalid => ApiError::new(&errors::UNAUTHORIZED, "This credential is not valid."),
        AuthError::NonceNeeded => {
            ApiError::new(&errors::UNAUTHORIZED, "The proof of possession needs the nonce of the DPoP-Nonce header.")
        }
        AuthError::Unavailable(cause) => {
            tracing::warn!(%cause, "a credential could not be looked up");
            ApiError::unavailable()
        }
    }
}

fn corr(caller: Caller, parts: &Parts, id: &RequestId) -> Caller {
    caller.with_corr_id(id.correlation(&parts.headers))
}

#[cfg(test)]
mod tests {
    use super::{Presented, names_this_machine, presented};

    fn with(name: &'static str, value: &str) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_names_of_this_machine_open_its_pages() {
        for good in ["localhost:8787", "127.0.0.1", "[::1]:8787"] {
            assert!(names_this_machine(&with("host", good)), "{good}");
        }
        for bad in ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", ""] {
            assert!(!names_this_machine(&with("host", bad)), "{bad}");
        }
    }

    #[test]
    fn a_credential_is_what_follows_bearer() {
        let of = |text: &str| presented(&with("authorization", text)).map(|found| format!("{found:?}"));
        let said = |found: Presented<'_>| Some(format!("{found:?}"));
        assert_eq!(of("bearer tg_test_1"), said(Presented::Bearer("tg_test_1")));
        assert_eq!(of("dpop eyJ"), said(Presented::Proven("eyJ")));
        assert_eq!((of("Basic YTpi"), of("tg_test_1")), (None, None));
    }
}
