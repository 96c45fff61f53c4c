//! `Idempotency-Key`: the first call under a key runs, the same call again gets the first answer, another one is refused.
//!
//! Answers that hold a secret (a new API key) are kept sealed with the caller's own credential, of which the database knows
//! only the hash: whoever reads the table cannot read the secret, the caller's repeat can.

use aws_lc_rs::{aead, hmac};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use tollgate_engine::idempotency::{self, Begun, Stored, Ticket};

use crate::answer::{Answer, JSON};
use crate::api_error::ApiError;
use crate::call::{Call, Handler, accepts_problem};
use crate::routes::Repeats;
use crate::{errors, failures};

/// The request header.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_BYTES_MAX: usize = 255;
/// Marks a sealed body in the table.
const SEALED: &str = "sealed:";

/// Runs the handler at most once per key.
pub(crate) async fn once(call: Call, repeats: Repeats, handler: &Handler) -> Result<Answer, ApiError> {
    let key = key_of(&call)?;
    let route = format!("{} {}", call.parts.method, call.parts.uri);
    let asked = idempotency::Call { key: &key, route: &route, body: &call.body };
    let begun = idempotency::begin(call.app.engine(), &call.caller, asked).await;
    let ticket = match begun.map_err(|error| failures::database(&error))? {
        Begun::Run(ticket) => ticket,
        Begun::Replay(stored) => return replay(&call, &stored),
        Begun::Reused => {
            return Err(ApiError::new(
                &errors::IDEMPOTENCY_KEY_REUSED,
                "This Idempotency-Key was used for another request.",
            ));
        }
        Begun::Running => {
            let message = "The first call with this Idempotency-Key is still running.";
            return Err(ApiError::new(&errors::IDEMPOTENCY_RUNNING, message).retry_after(1));
        }
    };
    let keeper = Keeper {
        ticket,
        app: call.app.clone(),
        request_id: call.request_id.clone(),
        problem: accepts_problem(&call.parts.headers),
        seal: sealer(&call, repeats),
    };
    let work = handler(call);
    // A task of its own: a caller that goes away must not leave the key taken without an answer.
    let run = tokio::spawn(async move { keeper.keep(work.await).await });
    match run.await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, "a handler under an Idempotency-Key panicked; this is a bug");
            Err(ApiError::internal())
        }
    }
}

struct Keeper {
    ticket: Ticket,
    app: crate::state::App,
    request_id: crate::request_id::RequestId,
    problem: bool,
    seal: Seal,
}

enum Seal {
    Plain,
    With(Sealer),
    /// A secret that nobody's credential can seal is not kept: a repeat runs again.
    Never,
}

impl Keeper {
    /// Stores what is an answer. What was refused before any effect, or could not be known, leaves the key free.
    async fn keep(self, outcome: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        let status = outcome.as_ref().map_or_else(ApiError::status, |answer| answer.status);
        let engine = self.app.engine();
        if matches!(status, 401 | 403 | 413 | 415 | 422 | 500..) {
            note(idempotency::abandon(engine, self.ticket).await);
            return outcome;
        }
        let answer = outcome.unwrap_or_else(|error| error.into_answer(self.request_id.as_str(), self.problem));
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let body = match &self.seal {
            Seal::Plain => Some(body),
            Seal::With(sealer) => sealer.seal(body, &engine.clock().entropy.bytes::<12>()),
            Seal::Never => None,
        };
        let content_type = answer.content_type.to_str().unwrap_or("application/json").to_owned();
        match body {
            Some(body) => {
                let stored = Stored { status: answer.status, content_type, body };
                note(idempotency::finish(engine, self.ticket, stored).await);
            }
            None => note(idempotency::abandon(engine, self.ticket).await),
        }
        Ok(answer)
    }
}

/// The change is made either way; when its answer could not be kept, a repeat runs again.
fn note(kept: Result<(), tollgate_engine::db::Error>) {
    if let Err(error) = kept {
        tracing::warn!(%error, "the answer under an Idempotency-Key could not be kept");
    }
}

fn replay(call: &Call, stored: &Stored) -> Result<Answer, ApiError> {
    let body = match stored.body.strip_prefix(SEALED) {
        None => Bytes::from(stored.body.clone()),
        Some(sealed) => {
            let opened = bearer(call).and_then(|secret| Sealer::new(secret).open(sealed));
            Bytes::from(opened.ok_or_else(|| {
                ApiError::new(
                    &errors::IDEMPOTENCY_KEY_REUSED,
                    "The first answer can only be read by the credential that asked.",
                )
            })?)
        }
    };
    let mut answer = Answer::json_bytes(stored.status, body);
    answer.content_type = HeaderValue::try_from(stored.content_type.as_str()).unwrap_or(JSON);
    Ok(answer.with_header(REPLAYED, HeaderValue::from_static("true")))
}

fn key_of(call: &Call) -> Result<String, ApiError> {
    let text = call.header(IDEMPOTENCY_KEY).unwrap_or_default();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        return Err(ApiError::field("/Idempotency-Key", format!("must be 1 to {KEY_BYTES_MAX} printable characters")));
    }
    Ok(text.to_owned())
}

fn sealer(call: &Call, repeats: Repeats) -> Seal {
    match (repeats, bearer(call)) {
        (Repeats::Harmless | Repeats::Kept, _) => Seal::Plain,
        (Repeats::KeptSealed, Some(secret)) => Seal::With(Sealer::new(secret)),
        (Repeats::KeptSealed, None) => Seal::Never,
    }
}

fn bearer(call: &Call) -> Option<&str> {
    call.header(header::AUTHORIZATION.as_str()).and_then(|text| text.split_once(' ')).map(|(_, secret)| secret.trim())
}

struct Sealer(aead::LessSafeKey);

impl Sealer {
    /// The key is derived from the credential, and is not the hash that the database has of it.
    fn new(secret: &str) -> Self {
        let derived =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), b"tollgate idempotent answer 1");
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, derived.as_ref())
            .expect("HMAC-SHA-256 gives the 32 bytes AES-256 takes");
        Self(aead::LessSafeKey::new(key))
    }

    fn seal(&self, text: String, nonce: &[u8; 12]) -> Option<String> {
        let mut bytes = text.into_bytes();
        let by = aead::Nonce::assume_unique_for_key(*nonce);
        self.0.seal_in_place_append_tag(by, aead::Aad::empty(), &mut bytes).ok()?;
        Some(format!("{SEALED}{}{}", hex(nonce), hex(&bytes)))
    }

    fn open(&self, sealed: &str) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(24)?;
        let nonce = aead::Nonce::assume_unique_for_key(unhex(nonce)?.try_into().ok()?);
        let mut bytes = unhex(text)?;
        let opened = self.0.open_in_place(nonce, aead::Aad::empty(), &mut bytes).ok()?;
        Some(opened.to_vec())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect()
}

#[cfg(test)]
mod tests {
    use super::{SEALED, Sealer};

    #[test]
    fn a_sealed_answer_opens_with_the_same_credential_only() {
        let sealed = Sealer::new("tgo_a").seal("{\"secret\":\"s\"}".to_owned(), &[7; 12]).unwrap();
        let stored = sealed.strip_prefix(SEALED).unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(Sealer::new("tgo_a").open(stored).as_deref(), Some("{\"secret\":\"s\"}".as_bytes()));
        assert_eq!(Sealer::new("tgo_b").open(stored), None);
        assert_eq!(Sealer::new("tgo_a").open("zz"), None);
    }
}
