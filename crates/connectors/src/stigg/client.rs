//! Tells Stigg about orgs and their plans over its REST API v1.
//!
//! Provisioning is made safe to repeat: a customer that exists already is changed instead, and a subscription that
//! exists already is left as it is: the caller hears which plan it has, and changes it under a key of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_rules::ids::SubscriptionId;
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::Interval;

use super::{money, wire};
use crate::Pacing;
use crate::billing::IdempotencyKey;
use crate::plan_mirror::{Error, Mirrored, MirroredOrg, MirroredSubscription};

/// Where Stigg's API lives unless `STIGG_API_BASE` says otherwise.
pub const API_BASE: &str = "https://api.stigg.io";

/// What a client needs to be made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address before `/api/v1/…`.
    pub base_url: String,
    /// The server key (`server-…`).
    pub api_key: SecretString,
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

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client refused its settings.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// The key holds bytes that no header can carry.
    #[error("the Stigg API key is not printable text")]
    Key,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// The settings cannot be used at all; a retry gives the same.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let mut key = HeaderValue::from_str(settings.api_key.expose_secret()).map_err(|_| SetupError::Key)?;
        key.set_sensitive(true);
        let http = reqwest::Client::builder()
            .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(reqwest::header::HeaderName::from_static("x-api-key"), key)]))
            .timeout(settings.pacing.attempt_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { shared: Arc::new(Shared { http, settings }) })
    }

    pub(crate) async fn provision_customer(&self, key: &IdempotencyKey, org: &MirroredOrg) -> Result<(), Error> {
        let mut body = wire::Customer {
            id: Some(org.org_id.as_str()),
            name: &org.name,
            email: org.email.as_deref(),
            billing_id: org.customer_id.as_str(),
            metadata: BTreeMap::from([("tollgate_org_id", org.org_id.as_str())]),
        };
        let path = "/api/v1/customers";
        let told: wire::Wrapped<wire::CustomerAnswer> =
            match self.send(Call::new(Method::POST, path, Some(key)).with(&body)?).await {
                Err(Failure::Conflict(_)) => {
                    body.id = None;
                    let path = format!("{path}/{}", crate::stripe::form::path_segment(org.org_id.as_str()));
                    self.send(Call::new(Method::PATCH, &path, None).with(&body)?).await?
                }
                answer => answer?,
            };
        match told.data.id == org.org_id.as_str() {
            true => Ok(()),
            false => Err(Error::Refused("Stigg answered for another customer".to_owned())),
        }
    }

    pub(crate) async fn provision_subscription(
        &self,
        key: &IdempotencyKey,
        subscription: &MirroredSubscription,
    ) -> Result<Mirrored, Error> {
        let body = subscription_body(subscription);
        let call = Call::new(Method::POST, "/api/v1/subscriptions", Some(key)).with(&body)?;
        let told = match self.send::<wire::Wrapped<wire::Provisioned>>(call).await {
            Ok(answer) => {
                let data = answer.data;
                data.subscription.ok_or_else(|| Error::Refused(format!("nothing was provisioned: {}", data.status)))?
            }
            Err(Failure::Conflict(_)) => self.subscription(subscription).await?,
            Err(failure) => return Err(failure.into()),
        };
        Ok(mirrored(&told, subscription))
    }

    /// Changes the plan of what a customer has (`POST /api/v1/subscriptions` is "provision or change plan").
    pub(crate) async fn change_subscription(
        &self,
        key: &IdempotencyKey,
        subscription: &MirroredSubscription,
    ) -> Result<Mirrored, Error> {
        let body = wire::Subscription { id: None, start_date: None, ..subscription_body(subscription) };
        let call = Call::new(Method::POST, "/api/v1/subscriptions", Some(key)).with(&body)?;
        let answer: wire::Wrapped<wire::Provisioned> = self.send(call).await?;
        let status = answer.data.status;
        let told = answer.data.subscription.ok_or_else(|| Error::Refused(format!("nothing was changed: {status}")))?;
        let mirrored = mirrored(&told, subscription);
        match mirrored.keeps_plan {
            Some(plan) => Err(Error::Refused(format!("Stigg keeps plan {plan}"))),
            None => Ok(mirrored),
        }
    }

    /// Ends a subscription; one that has ended already stays so.
    pub(crate) async fn end_subscription(&self, key: &IdempotencyKey, id: &SubscriptionId) -> Result<(), Error> {
        let path = format!("/api/v1/subscriptions/{}/cancel", crate::stripe::form::path_segment(id.as_str()));
        let body = wire::Cancel { cancellation_time: "IMMEDIATE", cancellation_action: "DEFAULT", prorate: false };
        let call = Call::new(Method::POST, &path, Some(key)).with(&body)?;
        match self.send::<serde_json::Value>(call).await {
            Ok(_) | Err(Failure::Conflict(_)) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn subscription(&self, subscription: &MirroredSubscription) -> Result<wire::SubscriptionAnswer, Error> {
        let id = crate::stripe::form::path_segment(subscription.subscription_id.as_str());
        let path = format!("/api/v1/subscriptions/{id}");
        let answer: wire::Wrapped<wire::SubscriptionAnswer> = self.send(Call::new(Method::GET, &path, None)).await?;
        Ok(answer.data)
    }

    async fn send<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        let deadline = self.shared.settings.pacing.deadline;
        let answer = tokio::time::timeout(deadline, self.attempts(&call)).await;
        let body = answer.map_err(|_| Failure::Passing("no answer in time".to_owned()))??;
        serde_json::from_slice(&body).map_err(|error| Failure::Final(format!("unreadable answer: {error}")))
    }

    /// One attempt, however it ends.
    pub(super) async fn send_once<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        let body = self.attempt(call).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Refused(format!("unreadable answer: {error}")))
    }

    /// The official library's rule: 408, 429, 5xx and broken connections are sent again. A conflict is an answer here.
    async fn attempts(&self, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
        let pacing = &self.shared.settings.pacing;
        let mut failures = 0;
        loop {
            let failure = match self.attempt(call).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            failures += 1;
            if failures >= pacing.attempts_max || !matches!(failure, Failure::Passing(_)) {
                return Err(failure);
            }
            tracing::debug!(path = call.path, failures, "a call to Stigg is sent again");
            tokio::time::sleep(pacing.pause(failures)).await;
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
        let address = format!("{}{}", self.shared.settings.base_url.trim_end_matches('/'), call.path);
        let mut request = self.shared.http.request(call.method.clone(), address);
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key.as_str());
        }
        let broken = |_| Failure::Passing("the connection failed".to_owned());
        let mut answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > self.shared.settings.pacing.body_bytes_max {
                return Err(Failure::Final("the answer is larger than we read".to_owned()));
            }
        }
        if status.is_success() { Ok(body) } else { Err(Failure::sorted(status, &body)) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("stigg::Client").field("base_url", &self.shared.settings.base_url).finish()
    }
}

pub(super) struct Call<'a> {
    method: Method,
    path: &'a str,
    key: Option<&'a IdempotencyKey>,
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, path: &'a str, key: Option<&'a IdempotencyKey>) -> Self {
        Self { method, path, key, body: None }
    }

    pub(super) fn with(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.body = Some(serde_json::to_vec(body).map_err(|error| Error::Refused(error.to_string()))?);
        Ok(self)
    }
}

enum Failure {
    /// May pass by itself.
    Passing(String),
    /// Exists already.
    Conflict(String),
    /// 401, 403.
    Credentials(String),
    /// Anything else.
    Final(String),
}

impl Failure {
    fn sorted(status: StatusCode, body: &[u8]) -> Self {
        let refusal: wire::Refusal = serde_json::from_slice(body).unwrap_or_default();
        let words = format!("{} {}", status.as_u16(), refusal.message.unwrap_or_default());
        match status.as_u16() {
            408 | 429 | 500.. => Self::Passing(words),
            409 => Self::Conflict(words),
            401 | 403 => Self::Credentials(words),
            _ => Self::Final(words),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Passing(words) => Self::Unavailable(words),
            Failure::Conflict(words) | Failure::Final(words) => Self::Refused(words),
            Failure::Credentials(words) => Self::Credentials(words),
        }
    }
}

fn subscription_body(subscription: &MirroredSubscription) -> wire::Subscription<'_> {
    wire::Subscription {
        id: Some(subscription.subscription_id.as_str()),
        customer_id: subscription.org_id.as_str(),
        plan_id: subscription.plan_code.as_str(),
        billing_period: period_word(subscription.interval),
        billing_id: subscription.subscription_id.as_str(),
        payment_collection_method: "NONE",
        schedule_strategy: "IMMEDIATE",
        start_date: Some(subscription.started.to_string()),
        trial_override_configuration: subscription.trial_ends.map(|ends| wire::Trial {
            is_trial: true,
            trial_end_behavior: "CANCEL_SUBSCRIPTION",
            trial_end_date: ends.to_string(),
        }),
        metadata: BTreeMap::from([("tollgate_org_id", subscription.org_id.as_str())]),
    }
}

fn mirrored(told: &wire::SubscriptionAnswer, subscription: &MirroredSubscription) -> Mirrored {
    let keeps_plan = (told.plan_id != subscription.plan_code.as_str()).then(|| told.plan_id.clone());
    Mirrored { base_price: told.prices.iter().find_map(base_price), keeps_plan }
}

pub(super) fn period_word(interval: Interval) -> &'static str {
    match interval {
        Interval::Month => "MONTHLY",
        Interval::Year => "ANNUALLY",
    }
}

fn base_price(price: &wire::Price) -> Option<Money> {
    let currency = Currency::parse(price.currency.as_deref()?).ok()?;
    let amount = price.amount.as_ref()?.get();
    price.base_charge.unwrap_or(false).then(|| money::from_major(amount, currency)).flatten()
}
