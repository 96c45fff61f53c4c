//! What can go wrong at Stripe, sorted by what the caller has to do about it.
//!
//! Source of the table: `docs.stripe.com/api/errors` and the retry rule of the official libraries (2026-10-28.endive).

use reqwest::StatusCode;
use serde::Deserialize;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 402: the card was refused or needs the customer. Nothing to repair here; tell the customer, keep the old plan.
    #[error("the payment was refused: {0}")]
    Card(Box<Refusal>),
    /// 404, or `resource_missing`: the object does not exist (any more).
    #[error("Stripe does not know the object: {0}")]
    Missing(Box<Refusal>),
    /// 400: the request itself is wrong. A bug of ours, or an object in another state than we believe.
    #[error("Stripe refused the request: {0}")]
    Refused(Box<Refusal>),
    /// 400 `idempotency_error`: the key was used with other parameters. Always a bug of ours.
    #[error("an idempotency key was used with other parameters: {0}")]
    KeyReused(Box<Refusal>),
    /// 401, 403: the secret key is wrong or lacks a permission. Nothing further can succeed; a person must act.
    #[error("Stripe refused our credentials: {0}")]
    Credentials(Box<Refusal>),
    /// 409, 429: someone else holds the object, or we are too fast. Nothing was done; the same key may be sent again later.
    #[error("Stripe is busy: {0}")]
    Busy(Box<Refusal>),
    /// 5xx, broken or missing answer: whether the change happened is unknown. Send the same key again, then read back.
    #[error("Stripe gave no usable answer: {0}")]
    Unknown(String),
    /// 5xx that Stripe stored under our key: the same key gives the same failure for ever. Read back, then use a new key.
    #[error("Stripe keeps answering with a stored failure: {0}")]
    StoredFailure(Box<Refusal>),
    /// The call worked, but its answer is not of the shape we rely on.
    #[error("Stripe's answer could not be read: {0}")]
    Garbled(String),
}

/// What Stripe said when it refused, as far as it may be logged: no names, addresses or secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Stripe's error type, for example `card_error`.
    pub kind: String,
    /// Stripe's error code, for example `card_declined`.
    pub code: Option<String>,
    /// Why the bank refused, for example `insufficient_funds`.
    pub decline_code: Option<String>,
    /// Which parameter was wrong.
    pub param: Option<String>,
    /// Stripe's sentence for people.
    pub message: String,
    /// The payment intent that needs the customer, with its client secret, when there is one.
    pub client_secret: Option<String>,
    /// Stripe's name of the request, to be told to their support.
    pub request_id: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.status, self.kind)?;
        for (name, value) in [("code", &self.code), ("param", &self.param), ("request", &self.request_id)] {
            if let Some(value) = value {
                write!(formatter, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// The headers of an answer that decide what is done next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) request_id: Option<String>,
    /// `Stripe-Should-Retry`, when Stripe said so.
    pub(crate) should_retry: Option<bool>,
    /// `Idempotent-Replayed: true`: a stored answer.
    pub(crate) replayed: bool,
}

#[derive(Deserialize)]
struct Envelope {
    error: Body,
}

#[derive(Deserialize, Default)]
struct Body {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
    message: Option<String>,
    payment_intent: Option<Intent>,
    setup_intent: Option<Intent>,
}

#[derive(Deserialize)]
struct Intent {
    client_secret: Option<String>,
}

impl Error {
    /// Sorts a refused answer. An error body that cannot be read still has its status.
    pub(crate) fn from_answer(status: StatusCode, body: &[u8], verdict: Verdict) -> Self {
        let body = serde_json::from_slice::<Envelope>(body).map(|envelope| envelope.error).unwrap_or_default();
        let intent = body.payment_intent.or(body.setup_intent);
        let refusal = Box::new(Refusal {
            status: status.as_u16(),
            kind: body.kind.unwrap_or_else(|| "unreadable".to_owned()),
            code: body.code,
            decline_code: body.decline_code,
            param: body.param,
            message: body.message.unwrap_or_default(),
            client_secret: intent.and_then(|intent| intent.client_secret),
            request_id: verdict.request_id,
        });
        Self::sorted(refusal, verdict.replayed)
    }

    fn sorted(refusal: Box<Refusal>, replayed: bool) -> Self {
        let code = refusal.code.as_deref().unwrap_or_default();
        match refusal.status {
            400 if refusal.kind == "idempotency_error" => Self::KeyReused(refusal),
            _ if code == "idempotency_key_in_use" || code == "lock_timeout" => Self::Busy(refusal),
            409 | 429 => Self::Busy(refusal),
            401 | 403 => Self::Credentials(refusal),
            402 => Self::Card(refusal),
            404 => Self::Missing(refusal),
            _ if refusal.kind == "card_error" => Self::Card(refusal),
            _ if code == "resource_missing" && refusal.param.as_deref() == Some("id") => Self::Missing(refusal),
            500.. if replayed => Self::StoredFailure(refusal),
            500.. => Self::Unknown(refusal.to_string()),
            _ => Self::Refused(refusal),
        }
    }

    /// Whether sending the same request with the same key again at once may help.
    pub(crate) fn may_pass(&self, should_retry: Option<bool>) -> bool {
        match self {
            Self::StoredFailure(_) => false,
            Self::Busy(_) | Self::Unknown(_) => should_retry.unwrap_or(true),
            Self::Card(_)
            | Self::Missing(_)
            | Self::Refused(_)
            | Self::KeyReused(_)
            | Self::Credentials(_)
            | Self::Garbled(_) => should_retry.unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(status: u16, body: &str, replayed: bool) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Error::from_answer(status, body.as_bytes(), Verdict { replayed, ..Verdict::default() })
    }

    #[test]
    fn each_refusal_is_sorted_by_what_the_caller_has_to_do() {
        let body = |kind: &str, code: &str| format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"m"}}}}"#);
        assert!(matches!(sorted(402, &body("card_error", "card_declined"), false), Error::Card(_)));
        assert!(matches!(sorted(404, &body("invalid_request_error", "resource_missing"), false), Error::Missing(_)));
        assert!(matches!(sorted(400, &body("invalid_request_error", "parameter_unknown"), false), Error::Refused(_)));
        assert!(matches!(sorted(400, &body("invalid_request_error", "resource_missing"), false), Error::Refused(_)));
        assert!(matches!(sorted(400, &body("idempotency_error", ""), false), Error::KeyReused(_)));
        assert!(matches!(sorted(401, &body("authentication_error", ""), false), Error::Credentials(_)));
        assert!(matches!(sorted(409, &body("idempotency_error", "idempotency_key_in_use"), false), Error::Busy(_)));
        assert!(matches!(sorted(400, &body("invalid_request_error", "lock_timeout"), false), Error::Busy(_)));
        assert!(matches!(sorted(429, &body("rate_limit_error", "rate_limit"), false), Error::Busy(_)));
        assert!(matches!(sorted(502, "<html>bad gateway</html>", false), Error::Unknown(_)));
        assert!(matches!(sorted(500, &body("api_error", ""), true), Error::StoredFailure(_)));
    }

    #[test]
    fn a_stored_failure_is_never_sent_again_and_stripes_word_beats_ours() {
        assert!(!sorted(500, "{}", true).may_pass(Some(true)));
        assert!(sorted(500, "{}", false).may_pass(None));
        assert!(!sorted(500, "{}", false).may_pass(Some(false)));
        assert!(!sorted(400, "{}", false).may_pass(None));
        assert!(sorted(400, "{}", false).may_pass(Some(true)));
    }

    #[test]
    fn a_card_that_needs_its_owner_brings_the_client_secret() {
        let body = r#"{"error":{"type":"card_error","code":"authentication_required",
            "payment_intent":{"id":"pi_1","client_secret":"pi_1_secret_x"}}}"#;
        let Error::Card(refusal) = sorted(402, body, false) else { panic!("a card error") };
        assert_eq!(refusal.client_secret.as_deref(), Some("pi_1_secret_x"));
        assert!(!refusal.to_string().contains("secret_x"), "a client secret never reaches a log line");
    }
}
