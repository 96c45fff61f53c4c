//! One HTTP call: credentials, parameters, idempotency, dispatch, answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::Inner;
use crate::api_error::ApiError;
use crate::calendar::DAY;
use crate::clock::SECOND;
use crate::desk::{Desk, Done, Origin, alphanumeric};
use crate::faults::Failure;
use crate::store::{Fate, StoredAnswer, Tx};
use crate::stripe::{self, Call, Route};
use crate::{clerk, control, form, pages, render, shape, stigg};

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Stripe's limit on an idempotency key.
const KEY_CHARS_MAX: usize = 255;

/// Keys whose first call has not been answered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    keys: Arc<Mutex<HashSet<String>>>,
}

/// Holds a key until the answer is on its way.
pub(crate) struct Holding {
    keys: Arc<Mutex<HashSet<String>>>,
    key: String,
}

impl InFlight {
    /// Takes the key, unless a call with it still runs.
    pub(crate) fn hold(&self, key: &str) -> Option<Holding> {
        let fresh = self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        fresh.then(|| Holding { keys: Arc::clone(&self.keys), key: key.to_owned() })
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// A finished answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) replayed: bool,
}

impl Answer {
    fn of(error: &ApiError) -> Self {
        Self { status: error.status, body: error.json().to_string(), replayed: false }
    }
}

/// Answers every call to the sandbox's address.
pub(crate) async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/').to_owned();
    let failure = inner.faults.take(&path);
    let delay = inner.faults.settings().answer_delay;
    let delay = if let Some(Failure::Slow(longer)) = failure { delay + longer } else { delay };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let request_id = inner.request_id();
    if let Some(refusal) = failure.and_then(|failure| refusal(failure, &path, &request_id)) {
        return refusal;
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let answer = match body {
        Err(_) => Answer::of(&ApiError::invalid("Request body too large")),
        Ok(body) if path.starts_with("/stigg/") => {
            stigg::answer(&inner, &head.method, &path, &head.headers, &body).await
        }
        Ok(body) if path.starts_with("/clerk/") => inner.clerk.answer(&clerk::Call {
            method: &head.method,
            path: &path,
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body: &body,
            now_millis: inner.clock.now_micros() / 1_000,
        }),
        Ok(body) if path.starts_with("/sandbox/") => {
            controlled(&inner, (&head.method, &path), &head.headers, &body).await
        }
        Ok(body) if !path.starts_with("/v1/") => {
            let query = head.uri.query().unwrap_or_default();
            return pages::answer(&inner, pages::Visit::new(&head.method, &path, query, &body)).await;
        }
        Ok(body) => {
            let incoming = Incoming {
                method: &head.method,
                path: &path,
                query: head.uri.query().unwrap_or_default(),
                headers: &head.headers,
                body: &body,
                request_id: &request_id,
                pinned: failure == Some(Failure::PinnedError),
            };
            stripe_answer(&inner, incoming).await.unwrap_or_else(|error| Answer::of(&error))
        }
    };
    match failure {
        Some(Failure::LostAnswer) => cut_off(),
        Some(Failure::ErrorAfterCommit) => respond(Answer::of(&ApiError::injected(500)), &request_id),
        _ => respond(answer, &request_id),
    }
}

/// What an injected failure answers before anything is done, in the words of the service the path belongs to.
fn refusal(failure: Failure, path: &str, request_id: &str) -> Option<Response> {
    let answer = match failure {
        Failure::Status(status) if path.starts_with("/stigg/") => stigg::problem(status, "Injected failure"),
        Failure::Status(status) if path.starts_with("/clerk/") => clerk::problem(status, "injected_failure"),
        Failure::Status(status) => Answer::of(&ApiError::injected(status)),
        Failure::BadGateway => {
            return Some(html(StatusCode::BAD_GATEWAY, "<html><body><h1>502 Bad Gateway</h1></body></html>"));
        }
        Failure::LostAnswer | Failure::ErrorAfterCommit | Failure::PinnedError | Failure::Slow(_) => return None,
    };
    Some(respond(answer, request_id))
}

/// A call to the sandbox's own controls: any key that Stripe would take.
async fn controlled(inner: &Arc<Inner>, (method, path): (&Method, &str), headers: &HeaderMap, body: &Bytes) -> Answer {
    let answered = match authenticate(headers) {
        Ok(_) => control::answer(inner, method, path, body).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| Answer::of(&error))
}

struct Incoming<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a Bytes,
    request_id: &'a str,
    /// Fails, and keeps the failure under its key.
    pinned: bool,
}

async fn stripe_answer(inner: &Arc<Inner>, incoming: Incoming<'_>) -> Result<Answer, ApiError> {
    let secret = authenticate(incoming.headers)?;
    if !inner.faults.allows(&secret, incoming.path) {
        return Err(ApiError::forbidden(&secret, incoming.method == Method::GET, incoming.path));
    }
    let method = incoming.method.as_str();
    let (route, ids) = stripe::route(method, incoming.path).ok_or_else(|| ApiError::no_route(method, incoming.path))?;
    let mut tree = form::decode(incoming.query.as_bytes())?;
    tree.extend(form::decode(incoming.body)?);
    let key = idempotency_key(incoming.headers, method)?;
    // Held until the answer is made; the guard lives to the end of this function.
    let _holding = match &key {
        Some(key) => Some(inner.in_flight.hold(key).ok_or_else(ApiError::key_in_use)?),
        None => None,
    };
    let fingerprint = fingerprint(method, incoming.path, &tree);
    let pinned = incoming.pinned;
    let run = Run { route, ids, tree, key, fingerprint, request: incoming.request_id.to_owned(), pinned };
    let (premises, now) = (inner.premises.clone(), inner.clock.now_micros());
    let answered = inner.store.run(move |tx| {
        let mut desk = Desk::new(tx, &premises, now);
        match run.answer(&mut desk) {
            Ok((fate, answer)) => (fate, answer),
            Err(error) => (Fate::RollBack, Answer::of(&error)),
        }
    });
    let answer = answered.await?;
    inner.wake.notify_one();
    Ok(answer)
}

/// The key of a call.
fn authenticate(headers: &HeaderMap) -> Result<String, ApiError> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = match header.split_once(' ') {
        Some(("Bearer", key)) => key.trim().to_owned(),
        Some(("Basic", encoded)) => basic_user(encoded.trim()),
        _ => {
            return Err(ApiError::unauthenticated(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            ));
        }
    };
    let secret = ["sk_test_", "rk_test_"].iter().any(|prefix| key.len() > prefix.len() && key.starts_with(prefix));
    if secret {
        Ok(key)
    } else {
        Err(ApiError::unauthenticated("Invalid API Key provided: the sandbox takes any sk_test_… key."))
    }
}

/// The user name of Basic credentials; Stripe's key stands there, with no password.
fn basic_user(encoded: &str) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits: u32 = 0;
    let mut held = 0;
    let mut bytes = Vec::new();
    for sign in encoded.bytes() {
        let Some(value) = SIGNS.iter().position(|known| *known == sign).and_then(|value| u32::try_from(value).ok())
        else {
            break;
        };
        bits = (bits << 6 | value) & 0xF_FFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.extend(u8::try_from(bits >> held & 0xFF));
        }
    }
    String::from_utf8_lossy(&bytes).split(':').next().unwrap_or_default().to_owned()
}

fn idempotency_key(headers: &HeaderMap, method: &str) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get("idempotency-key").filter(|_| method == "POST") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.chars().count() <= KEY_CHARS_MAX => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid("Idempotency keys must be 1 to 255 characters long.")),
    }
}

fn fingerprint(method: &str, path: &str, tree: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{method} {path} {}", Value::Object(tree.clone())));
    alphanumeric(&hash.finalize(), 32)
}

/// A call ready to be run inside a transaction.
struct Run {
    route: &'static Route,
    ids: Vec<String>,
    tree: Map<String, Value>,
    key: Option<String>,
    fingerprint: String,
    request: String,
    pinned: bool,
}

impl Run {
    fn answer(self, desk: &mut Desk<'_>) -> Done<(Fate, Answer)> {
        let since = desk.main_micros - DAY * SECOND;
        if let Some(key) = &self.key
            && let Some(stored) = desk.tx.stored_answer(key, since)?
        {
            if stored.fingerprint != self.fingerprint {
                return Err(ApiError::key_reused());
            }
            let status = u16::try_from(stored.status).unwrap_or(500);
            return Ok((Fate::RollBack, Answer { status, body: stored.body, replayed: true }));
        }
        if self.pinned {
            let answer = Answer::of(&ApiError::injected(500));
            if let Some(key) = &self.key {
                keep(desk.tx, key, &self.fingerprint, &answer, desk.main_micros)?;
            }
            return Ok((Fate::Commit, answer));
        }
        let params = shape::check(&self.route.shape(), &self.tree)?;
        desk.origin = Origin { request: Some(self.request), idempotency_key: self.key.clone() };
        let expand = params["expand"].clone();
        let mut call = Call { desk, params, ids: self.ids };
        let outcome = (self.route.run)(&mut call).and_then(|object| {
            let mut shown = if object["object"] == "list" { object } else { render::finished(call.desk, &object)? };
            render::expand(call.desk, &mut shown, &expand)?;
            Ok(shown)
        });
        let (fate, answer) = match outcome {
            Ok(shown) => (Fate::Commit, Answer { status: 200, body: shown.to_string(), replayed: false }),
            Err(error) => (error.fate, Answer::of(&error)),
        };
        let fate = if desk.rehearsal { Fate::RollBack } else { fate };
        if let (Some(key), Fate::Commit) = (&self.key, fate) {
            keep(desk.tx, key, &self.fingerprint, &answer, desk.main_micros)?;
        }
        Ok((fate, answer))
    }
}

fn keep(tx: &mut Tx, key: &str, fingerprint: &str, answer: &Answer, now: i64) -> Done<()> {
    let stored =
        StoredAnswer { fingerprint: fingerprint.to_owned(), status: answer.status.into(), body: answer.body.clone() };
    Ok(tx.keep_answer(key, &stored, now)?)
}

fn respond(answer: Answer, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    headers.insert("stripe-version", axum::http::HeaderValue::from_static(crate::desk::API_VERSION));
    if let Ok(value) = request_id.parse() {
        headers.insert("request-id", value);
    }
    if answer.replayed {
        headers.insert("idempotent-replayed", axum::http::HeaderValue::from_static("true"));
    }
    response
}

/// A page for people.
pub(crate) fn html(status: StatusCode, page: &str) -> Response {
    let mut response = Response::new(Body::from(page.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// An answer that breaks off before its body: to the caller, no answer at all.
fn cut_off() -> Response {
    let broken = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer is lost")) });
    Response::new(Body::from_stream(broken))
}

#[cfg(test)]
mod tests {
    use super::basic_user;

    #[test]
    fn the_key_of_basic_credentials_is_the_user_name() {
        assert_eq!(basic_user("c2tfdGVzdF8xMjM6"), "sk_test_123");
        assert_eq!(basic_user("!"), "");
    }
}
