//! Sends one request to Stripe and reads the answer: authentication, version, idempotency key, retries, limits.
//!
//! Every POST demands an [`IdempotencyKey`] in its signature; it is the caller's durable operation that made it, so
//! that a restart sends the same key again. Answers keep the raw JSON beside the fields we read.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Error, Verdict};
use super::form::Form;
use crate::Pacing;
use crate::billing::IdempotencyKey;

/// The version of Stripe's API that requests and our webhook endpoint are pinned to.
pub const API_VERSION: &str = "2026-10-28.endive";

/// Where Stripe's API lives unless `STRIPE_API_BASE` says otherwise.
pub const API_BASE: &str = "https://api.stripe.com";

/// What a client needs to be made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address before `/v1/…`, for example [`API_BASE`] or the sandbox's.
    pub base_url: String,
    /// The secret or restricted key (`sk_…`, `rk_…`).
    pub secret_key: SecretString,
    /// How often and how long a call is tried.
    pub pacing: Pacing,
}

/// A cheap clone: all clones share one pool of connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    settings: Settings,
}

/// An answer: the fields we read, and everything Stripe sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// The fields we read.
    pub value: T,
    /// The whole answer as it came.
    pub raw: Value,
}

/// A client could not be made (no usable TLS roots, or a key with control characters).
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client refused its settings.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// The secret key holds bytes that no header can carry.
    #[error("the Stripe secret key is not printable text")]
    Key,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// The settings cannot be used at all; a retry gives the same.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", settings.secret_key.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| SetupError::Key)?;
        bearer.set_sensitive(true);
        headers.insert("authorization", bearer);
        headers.insert("stripe-version", HeaderValue::from_static(API_VERSION));
        let http = reqwest::Client::builder()
            .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(settings.pacing.attempt_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { shared: Arc::new(Shared { http, settings }) })
    }

    /// The address requests go to.
    pub fn base_url(&self) -> &str {
        &self.shared.settings.base_url
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: Form) -> Result<Answer<T>, Error> {
        self.call(Call { method: Method::GET, path, fields: query, key: None }).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        key: &IdempotencyKey,
        path: &str,
        body: Form,
    ) -> Result<Answer<T>, Error> {
        self.call(Call { method: Method::POST, path, fields: body, key: Some(key) }).await
    }

    /// A `POST` that changes nothing and therefore needs no key.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str, body: Form) -> Result<Answer<T>, Error> {
        self.call(Call { method: Method::POST, path, fields: body, key: None }).await
    }

    /// Deleting is idempotent by nature; Stripe takes no key for it.
    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str, query: Form) -> Result<Answer<T>, Error> {
        self.call(Call { method: Method::DELETE, path, fields: query, key: None }).await
    }

    async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Answer<T>, Error> {
        let deadline = self.shared.settings.pacing.deadline;
        match tokio::time::timeout(deadline, self.attempts(&call)).await {
            Ok(answer) => decoded(answer?),
            Err(_) => Err(Error::Unknown(format!("no answer within {} seconds", deadline.as_secs()))),
        }
    }

    /// The official libraries' rule: Stripe's own word first, else connection errors, 409, 429 and 5xx are sent again.
    async fn attempts(&self, call: &Call<'_>) -> Result<Vec<u8>, Error> {
        let pacing = &self.shared.settings.pacing;
        let mut failures = 0;
        loop {
            let (error, should_retry) = match self.attempt(call).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            failures += 1;
            if failures >= pacing.attempts_max || !error.may_pass(should_retry) {
                return Err(error);
            }
            tracing::debug!(path = call.path, failures, %error, "a call to Stripe is sent again");
            tokio::time::sleep(pacing.pause(failures)).await;
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Vec<u8>, (Error, Option<bool>)> {
        let unknown = |error: reqwest::Error| (Error::Unknown(transport_words(&error)), None);
        let mut answer = self.request(call).send().await.map_err(unknown)?;
        let verdict = verdict(answer.headers());
        let should_retry = verdict.should_retry;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unknown)? {
            body.extend_from_slice(&chunk);
            if body.len() > self.shared.settings.pacing.body_bytes_max {
                return Err((Error::Garbled("the answer is larger than we read".to_owned()), Some(false)));
            }
        }
        if status.is_success() { Ok(body) } else { Err((refused(status, &body, verdict), should_retry)) }
    }

    fn request(&self, call: &Call<'_>) -> reqwest::RequestBuilder {
        let base = self.shared.settings.base_url.trim_end_matches('/');
        let mut address = format!("{base}{}", call.path);
        let in_query = call.method != Method::POST;
        if in_query && !call.fields.is_empty() {
            address.push('?');
            address.push_str(call.fields.encoded());
        }
        let mut request = self.shared.http.request(call.method.clone(), address);
        if !in_query {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(call.fields.encoded().to_owned());
        }
        match call.key {
            Some(key) => request.header("idempotency-key", key.as_str()),
            None => request,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("stripe::Client").field("base_url", &self.shared.settings.base_url).finish()
    }
}

struct Call<'a> {
    method: Method,
    path: &'a str,
    fields: Form,
    key: Option<&'a IdempotencyKey>,
}

fn decoded<T: DeserializeOwned>(body: Vec<u8>) -> Result<Answer<T>, Error> {
    let garbled = |error: serde_json::Error| Error::Garbled(error.to_string());
    let raw: Value = serde_json::from_slice(&body).map_err(garbled)?;
    let value = T::deserialize(&raw).map_err(garbled)?;
    Ok(Answer { value, raw })
}

fn refused(status: StatusCode, body: &[u8], verdict: Verdict) -> Error {
    let error = Error::from_answer(status, body, verdict);
    tracing::debug!(status = status.as_u16(), %error, "Stripe refused a call");
    error
}

fn verdict(headers: &HeaderMap) -> Verdict {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Verdict {
        request_id: text("request-id").map(str::to_owned),
        should_retry: text("stripe-should-retry").and_then(|word| word.parse().ok()),
        replayed: text("idempotent-replayed") == Some("true"),
    }
}

/// Says what broke without the address, which may carry an e-mail address in its query.
fn transport_words(error: &reqwest::Error) -> String {
    let kind = match error {
        error if error.is_timeout() => "it took too long",
        error if error.is_connect() => "no connection",
        error if error.is_body() || error.is_decode() => "the answer broke off",
        _ => "the connection failed",
    };
    kind.to_owned()
}
