//! One HTTP call from first byte to last: its id, its credential, its body, the handler, and the response with its headers.
//!
//! This is the only layer there is. Every route, also "not found", runs through [`run`], so no response lacks its id, its
//! timing or its security headers, and a panic becomes an enveloped 500.

use std::fmt::Write as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tollgate_engine::access::{Caller, OperatorScope, OrgScope};
use tollgate_engine::tokens::dpop;
use tollgate_rules::access::Permission;
use tollgate_rules::ids::OrgId;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::request_id::RequestId;
use crate::routes::{Access, Repeats, Spec};
use crate::state::App;
use crate::{body, caller, decode, errors, repeats};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// Two years, for this host: once reached over https, browsers stay there.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What a handler is given.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) caller: Caller,
    pub(crate) access: Access,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) request_id: RequestId,
}

impl Call {
    /// The JSON body as `T`.
    ///
    /// # Errors
    /// 415, 400 or 422.
    pub(crate) fn json<'a, T: Deserialize<'a> + ToSchema>(&'a self) -> Result<T, ApiError> {
        decode::require_json(&self.parts.headers)?;
        decode::json(&self.body)
    }

    /// The JSON body as `T`, where it holds free-form values.
    ///
    /// # Errors
    /// 415, 400 or 422.
    pub(crate) fn free_json<T: DeserializeOwned + ToSchema>(&self) -> Result<T, ApiError> {
        decode::require_json(&self.parts.headers)?;
        decode::free_json(&self.body)
    }

    /// The query string as `T`.
    ///
    /// # Errors
    /// 422 with the parameter.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match axum::extract::Query::<T>::try_from_uri(&self.parts.uri) {
            Ok(query) => Ok(query.0),
            Err(rejection) => Err(query_refusal(&reason(&rejection))),
        }
    }

    /// The right this route declares, for the org named (or the credential's own).
    ///
    /// # Errors
    /// 403, or 404 where the org is missing or foreign.
    pub(crate) async fn org(&self, named: Option<&str>) -> Result<OrgScope, ApiError> {
        match self.access {
            Access::Org(permission) | Access::Operator(permission) => self.org_for(permission, named).await,
            _ => Err(ApiError::internal()),
        }
    }

    /// Another right than the one declared, for the org named (or the credential's own).
    ///
    /// # Errors
    /// As [`Call::org`].
    pub(crate) async fn org_for(&self, permission: Permission, named: Option<&str>) -> Result<OrgScope, ApiError> {
        let org = match named.map(OrgId::parse) {
            None => None,
            // What cannot be an org's id names no org.
            Some(Err(_)) => return Err(ApiError::not_found()),
            Some(Ok(org)) => Some(org),
        };
        let scope = caller::require(&self.app, &self.caller, permission, org.as_ref()).await?;
        Span::current().record("orgId", scope.org_id().as_str());
        Ok(scope)
    }

    /// The operator's right this route declares.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn operator(&self) -> Result<OperatorScope, ApiError> {
        match self.access {
            Access::Operator(permission) | Access::OperatorOrLocal(permission) => {
                caller::require_operator(&self.caller, permission)
            }
            _ => Err(ApiError::internal()),
        }
    }

    /// A request header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The network address the call came from: the connection's, or what a believed proxy says.
    pub(crate) fn address(&self) -> Option<std::net::IpAddr> {
        let peer = self.parts.extensions.get::<caller::ClientAddress>()?.0;
        Some(self.app.state().proxies.client(peer, &self.parts.headers))
    }

    /// What follows `prefix` in the path, decoded.
    ///
    /// # Errors
    /// 404 when it is not UTF-8.
    pub(crate) fn path_after(&self, prefix: &str) -> Result<String, ApiError> {
        let rest = self.parts.uri.path().strip_prefix(prefix).unwrap_or_default();
        percent_decoded(rest).ok_or_else(ApiError::not_found)
    }

    /// How long the engine took, from `since` to now, in microseconds.
    pub(crate) fn micros_since(&self, since: Duration) -> u64 {
        micros(self.app.tick().saturating_sub(since))
    }
}

/// What a handler gives: boxed, so that all that stands around handlers is compiled once, not once for each route.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;
/// A route's handler.
pub(crate) type Handler = Arc<dyn Fn(Call) -> Answering + Send + Sync>;

/// Answers one request.
pub(crate) async fn run(app: App, spec: Spec, request: Request, handler: Handler) -> Response {
    let started = app.tick();
    let request_id = app.request_ids().of(request.headers());
    let wants_problem = accepts_problem(request.headers());
    let proves = request.headers().contains_key("dpop");
    let mut timing = Timing::default();
    let span = span_of(spec.access, &request, &request_id);
    let answering = answered(&app, spec, request, &request_id, &mut timing, &handler).instrument(span.clone());
    let outcome = AssertUnwindSafe(answering).catch_unwind().await;
    let answer = match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let shaped = if spec.shape == crate::api_error::Shape::Problem { error.into_problem() } else { error };
            shaped.into_answer(request_id.as_str(), wants_problem)
        }
        Err(_panic) => {
            tracing::error!(request_id = request_id.as_str(), "a handler panicked; this is a bug");
            ApiError::internal().into_answer(request_id.as_str(), wants_problem)
        }
    };
    let answer = if proves { with_nonce(&app, answer) } else { answer };
    timing.total_micros = micros(app.tick().saturating_sub(started));
    timing.commit_micros = answer.commit_micros;
    if !span.is_disabled() {
        let duration_ms = timing.total_micros / 1000;
        span.in_scope(|| tracing::info!(status = u64::from(answer.status), duration_ms, "a request was answered"));
    }
    respond(answer, &request_id, &timing, app.state().is_https())
}

/// Whoever proves possession is told the nonce for the next proof.
fn with_nonce(app: &App, answer: Answer) -> Answer {
    match HeaderValue::try_from(dpop::nonce(app.engine())) {
        Ok(nonce) => answer.with_header(DPOP_NONCE, nonce),
        Err(_) => answer,
    }
}

/// What every log line of a call carries; nothing for the calls that are metrics.
fn span_of(access: Access, request: &Request, request_id: &RequestId) -> Span {
    if !access.is_logged() {
        return Span::none();
    }
    tracing::info_span!(
        "request",
        method = request.method().as_str(),
        path = request.uri().path(),
        request_id = request_id.as_str(),
        corr_id = Empty,
        orgId = Empty,
    )
}

async fn answered(
    app: &App,
    spec: Spec,
    request: Request,
    request_id: &RequestId,
    timing: &mut Timing,
    handler: &Handler,
) -> Result<Answer, ApiError> {
    let started = app.tick();
    let (parts, stream) = request.into_parts();
    let caller = caller::identify(app, spec.access, &parts, request_id).await?;
    Span::current().record("corr_id", caller.corr_id());
    timing.auth_micros = micros(app.tick().saturating_sub(started));
    let body = match parts.method {
        Method::GET | Method::HEAD => Bytes::new(),
        _ if spec.body_bytes_max == 0 => Bytes::new(),
        _ => body::read(stream, spec.body_bytes_max).await?,
    };
    let call = Call { app: app.clone(), caller, access: spec.access, parts, body, request_id: request_id.clone() };
    if spec.repeats != Repeats::Harmless && call.parts.headers.contains_key(repeats::IDEMPOTENCY_KEY) {
        return Box::pin(repeats::once(call, spec.repeats, handler)).await;
    }
    handler(call).await
}

/// A path that no route has.
pub(crate) async fn no_route(_: Call) -> Result<Answer, ApiError> {
    Err(ApiError::new(&errors::NOT_FOUND, "There is no such route."))
}

/// A route without this method; axum adds the `Allow` header.
pub(crate) async fn no_method(_: Call) -> Result<Answer, ApiError> {
    Err(ApiError::new(&errors::METHOD_NOT_ALLOWED, "This route does not answer that method; see the Allow header."))
}

#[derive(Debug, Default)]
struct Timing {
    auth_micros: u64,
    commit_micros: u64,
    total_micros: u64,
}

impl Timing {
    fn header(&self) -> HeaderValue {
        let decide = self.total_micros.saturating_sub(self.auth_micros).saturating_sub(self.commit_micros);
        let mut text = String::with_capacity(64);
        for (name, spent) in
            [("auth;dur=", self.auth_micros), (", decide;dur=", decide), (", commit;dur=", self.commit_micros)]
        {
            text.push_str(name);
            let written = write!(text, "{}.{:03}", spent / 1000, spent % 1000);
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        HeaderValue::try_from(text).expect("digits and letters fit a header")
    }
}

fn respond(answer: Answer, request_id: &RequestId, timing: &Timing, https: bool) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::with_capacity(16);
    // Pages and errors; a JSON answer that no browser may take for anything else needs no rules for showing it.
    let may_be_shown = answer.status >= 400 || answer.content_type != crate::answer::JSON;
    if !response_is_bodyless(answer.status) {
        headers.insert(header::CONTENT_TYPE, answer.content_type);
    }
    headers.insert(REQUEST_ID, request_id.header());
    headers.insert(SERVER_TIMING, timing.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    if may_be_shown {
        headers.insert(header::CONTENT_SECURITY_POLICY, CSP);
        headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    }
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    for (name, value) in answer.headers {
        // One answer may set several cookies; of everything else there is one.
        if name == header::SET_COOKIE {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
    if answer.status == 401 && !headers.contains_key(header::WWW_AUTHENTICATE) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollgate\""));
    }
    *response.headers_mut() = headers;
    response
}

fn response_is_bodyless(status: u16) -> bool {
    matches!(status, 204 | 303 | 304)
}

pub(crate) fn accepts_problem(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| {
        accept.split(',').any(|part| {
            let kind = part.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("application/problem+json")
        })
    })
}

/// Names the parameter that serde's words speak of: `orgId: unknown field …` or "missing field `from`".
fn query_refusal(reason: &str) -> ApiError {
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(parameter) = missing {
        return ApiError::field(&format!("/{parameter}"), "this query parameter is needed");
    }
    match reason.split_once(": ") {
        Some((parameter, fault)) if !parameter.contains(' ') => ApiError::field(&format!("/{parameter}"), fault),
        _ => ApiError::field("", format!("query string: {reason}")),
    }
}

fn reason(rejection: &axum::extract::rejection::QueryRejection) -> String {
    use std::error::Error;
    rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string)
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Timing, percent_decoded, query_refusal};

    #[test]
    fn a_wrong_query_string_names_its_parameter() {
        let said = |reason| String::from_utf8(query_refusal(reason).into_answer("r", false).body.to_vec()).unwrap();
        assert!(said("missing field `receipt`").contains(r#""pointer":"/receipt""#));
        let unknown = said("orgID: unknown field `orgID`, expected `orgId`");
        assert!(unknown.contains(r#""pointer":"/orgID""#) && unknown.contains("expected `orgId`"), "{unknown}");
    }

    #[test]
    fn the_timing_names_its_three_parts_in_milliseconds() {
        let timing = Timing { auth_micros: 12, commit_micros: 1500, total_micros: 2000 };
        assert_eq!(timing.header(), "auth;dur=0.012, decide;dur=0.488, commit;dur=1.500");
    }

    #[test]
    fn a_path_is_decoded_or_not_found() {
        assert_eq!(percent_decoded("org_%41b").as_deref(), Some("org_Ab"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
