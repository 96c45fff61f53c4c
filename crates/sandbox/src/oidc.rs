//! An OpenID Connect provider stand-in: discovery, an authorization endpoint that signs in whom a test names without asking, the exchange
//! of codes with PKCE, and keys (ES256). It checks what a real provider checks: the client, its secret, the redirect address, the
//! verifier, and that a code is used once.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::randomness;

/// Who we are at the stand-in.
pub const CLIENT_ID: &str = "tollgate";
/// Our secret there.
pub const CLIENT_SECRET: &str = "a secret of the stand-in";

/// A running provider; it ends with the value.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    room: Arc<Room>,
    running: JoinHandle<()>,
}

#[derive(Debug)]
struct Room {
    issuer: String,
    key: EcdsaKeyPair,
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The claims of whoever signs in next.
    person: Value,
    /// Claims that take the place of the right ones.
    forged: Value,
    codes: HashMap<String, HashMap<String, String>>,
    /// When that person was asked for a proof last; never yet, where it is none.
    asked_at: Option<i64>,
    now_seconds: i64,
}

impl Provider {
    /// Starts on loopback. `now_seconds` is what its clock shows until [`Provider::set_now`].
    ///
    /// # Errors
    /// No port can be bound, or no key can be made.
    pub async fn start(now_seconds: i64) -> std::io::Result<Provider> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(std::io::Error::other)?;
        let state = Mutex::new(Known { now_seconds, ..Known::default() });
        let room = Arc::new(Room { issuer: issuer.clone(), key, state });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/keys", get(keys))
            .with_state(Arc::clone(&room));
        let running = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the provider stand-in ended");
            }
        });
        Ok(Provider { issuer, room, running })
    }

    /// The issuer of its identity tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who signs in next: `{sub, email, email_verified, …}`. Nobody was asked for a proof yet.
    pub fn sign_in(&self, person: Value) {
        let mut known = self.room.lock();
        (known.person, known.asked_at) = (person, None);
    }

    /// When whoever signs in next was asked for a proof last: a session of theirs here goes on.
    pub fn set_asked(&self, at_seconds: i64) {
        self.room.lock().asked_at = Some(at_seconds);
    }

    /// Claims that the next identity tokens carry instead of the right ones.
    pub fn forge(&self, claims: Value) {
        self.room.lock().forged = claims;
    }

    /// Moves its clock.
    pub fn set_now(&self, now_seconds: i64) {
        self.room.lock().now_seconds = now_seconds;
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signed(&self, claims: &Value) -> Option<String> {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "stand-in" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(&randomness(), text.as_bytes()).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

async fn discovery(State(room): State<Arc<Room>>) -> Json<Value> {
    let issuer = &room.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }))
}

async fn keys(State(room): State<Arc<Room>>) -> Json<Value> {
    let point = room.key.public_key().as_ref().to_vec();
    let part = |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
    let key = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": "stand-in", "x": part(1), "y": part(33) });
    Json(json!({ "keys": [key] }))
}

async fn authorize(State(room): State<Arc<Room>>, RawQuery(query): RawQuery) -> Response {
    let asked = pairs(query.unwrap_or_default().as_bytes());
    let is = |name: &str, value: &str| asked.get(name).map(String::as_str) == Some(value);
    let fits = is("response_type", "code") && is("client_id", CLIENT_ID) && is("code_challenge_method", "S256");
    let needed = ["redirect_uri", "state", "nonce", "code_challenge"].iter().all(|name| asked.contains_key(*name));
    let (Some(back), Some(state), true) = (asked.get("redirect_uri"), asked.get("state"), fits && needed) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut known = room.lock();
    let code = format!("code-{}", known.codes.len() + 1);
    let location = format!("{back}?code={code}&state={state}");
    let mut asked = asked.clone();
    // It asks again where it must: for a session older than `max_age`, or on `prompt=login`; and then tells when (Core 3.1.2.1).
    let age_max = asked.get("max_age").and_then(|seconds| seconds.parse::<i64>().ok());
    let now = known.now_seconds;
    let goes_on = |at: &i64| !is("prompt", "login") && age_max.is_none_or(|most| now - at <= most);
    let asked_at = known.asked_at.filter(goes_on).unwrap_or(now);
    known.asked_at = Some(asked_at);
    if age_max.is_some() {
        asked.insert("auth_time".to_owned(), asked_at.to_string());
    }
    known.codes.insert(code, asked);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

async fn token(State(room): State<Arc<Room>>, headers: HeaderMap, body: String) -> Response {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let secret = CLIENT_SECRET.replace(' ', "+");
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
    if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(basic.as_str()) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    let sent = pairs(body.as_bytes());
    let mut known = room.lock();
    let Some(asked) = sent.get("code").and_then(|code| known.codes.get_mut(code)) else {
        return refused("invalid_grant");
    };
    // A used code keeps its place, so that the next one gets another name.
    let asked = std::mem::take(asked);
    let challenge = sent.get("code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
    let same = asked.contains_key("redirect_uri") && asked.get("redirect_uri") == sent.get("redirect_uri");
    if !same || challenge.as_ref() != asked.get("code_challenge") {
        return refused("invalid_grant");
    }
    let now = known.now_seconds;
    let mut claims =
        json!({ "iss": room.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked.get("nonce") });
    if let Some(at) = asked.get("auth_time").and_then(|at| at.parse::<i64>().ok()) {
        claims["auth_time"] = json!(at);
    }
    for source in [&known.person, &known.forged] {
        for (name, value) in source.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
    }
    match room.signed(&claims) {
        Some(token) => {
            Json(json!({ "id_token": token, "access_token": "unused", "token_type": "Bearer" })).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A form's or a query's pairs.
fn pairs(text: &[u8]) -> HashMap<String, String> {
    let decoded = |text: &[u8]| {
        let mut bytes = Vec::new();
        let mut rest = text.iter().copied();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                    let digits =
                        std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    bytes.extend(digits);
                }
                other => bytes.push(other),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let split = |pair: &[u8]| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (decoded(pair.get(..at).unwrap_or_default()), decoded(pair.get(at + 1..).unwrap_or_default()))
    };
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(split).collect()
}
