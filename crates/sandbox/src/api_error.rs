//! Stripe's error answers.

use serde_json::{Map, Value, json};

use crate::store::{Fate, StoreError};

/// An error as Stripe would answer it, and whether what the call did so far is kept.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) fate: Fate,
    body: Map<String, Value>,
}

impl ApiError {
    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("type".into(), kind.into());
        body.insert("message".into(), message.into().into());
        Self { status, fate: Fate::RollBack, body }
    }

    /// 400: the call is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 401: no usable key.
    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", message)
    }

    /// 403: the restricted key lacks the permission, which is named after the resource. Its real names are Stripe's own business:
    /// what reads them takes whatever stands between the quotes.
    pub(crate) fn forbidden(key: &str, reads: bool, path: &str) -> Self {
        let hidden = format!("{}{}", key.chars().take(8).collect::<String>(), "*".repeat(8));
        let mut parts = path.trim_start_matches("/v1/").split('/');
        let resource = match (parts.next().unwrap_or_default(), parts.next()) {
            (group @ ("checkout" | "billing" | "billing_portal"), Some(resource)) => format!("{group}_{resource}"),
            (resource, _) => resource.to_owned(),
        };
        let permission = format!("rak_{}_{}", resource.trim_end_matches('s'), if reads { "read" } else { "write" });
        let message = format!(
            "The provided key '{hidden}' does not have the required permissions for this endpoint on account 'acct_sandbox'. \
             Having the '{permission}' permission would allow this request to continue."
        );
        Self::new(403, "invalid_request_error", message)
    }

    /// 404 `resource_missing`: `noun` is how Stripe calls the kind.
    pub(crate) fn missing(noun: &str, id: &str) -> Self {
        let mut error = Self::new(404, "invalid_request_error", format!("No such {noun}: '{id}'"));
        error.body.insert("code".into(), "resource_missing".into());
        error.body.insert("param".into(), "id".into());
        error
    }

    /// 404: no such route.
    pub(crate) fn no_route(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("Unrecognized request URL ({method}: {path})."))
    }

    /// 402 `card_error`; what led to it is kept, as it is at Stripe.
    pub(crate) fn card(code: &str, decline_code: Option<&str>, message: &str) -> Self {
        let mut error = Self::new(402, "card_error", message).code(code);
        error.fate = Fate::Commit;
        if let Some(decline_code) = decline_code {
            error.body.insert("decline_code".into(), decline_code.into());
        }
        error
    }

    /// 400 `idempotency_error`: the key was used with other parameters.
    pub(crate) fn key_reused() -> Self {
        let message =
            "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Self::new(400, "idempotency_error", message)
    }

    /// 409 `idempotency_key_in_use`: the first call with this key still runs.
    pub(crate) fn key_in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotent Key.";
        Self::new(409, "idempotency_error", message).code("idempotency_key_in_use")
    }

    /// An injected failure.
    pub(crate) fn injected(status: u16) -> Self {
        match status {
            429 => {
                Self::new(429, "invalid_request_error", "Too many requests hit the API too quickly.").code("rate_limit")
            }
            status => Self::new(status, "api_error", "An unknown error occurred (injected)."),
        }
    }

    pub(crate) fn code(mut self, code: &str) -> Self {
        self.body.insert("code".into(), code.into());
        self
    }

    pub(crate) fn param(mut self, param: &str) -> Self {
        if !param.is_empty() {
            self.body.insert("param".into(), param.into());
        }
        self
    }

    /// Adds an object to the body, such as the payment intent that failed.
    pub(crate) fn with(mut self, name: &str, object: Value) -> Self {
        self.body.insert(name.into(), object);
        self
    }

    /// Nothing of the call is kept, although the error alone would keep it.
    pub(crate) fn rolled_back(mut self) -> Self {
        self.fate = Fate::RollBack;
        self
    }

    pub(crate) fn message(&self) -> &str {
        self.body.get("message").and_then(Value::as_str).unwrap_or_default()
    }

    /// The answer's body.
    pub(crate) fn json(&self) -> Value {
        json!({ "error": self.body })
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(500, "api_error", error.to_string())
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(500, "api_error", format!("stored object: {error}"))
    }
}
