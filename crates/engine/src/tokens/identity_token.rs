//! Identity tokens of an OpenID Connect provider, which are read once, at a sign-in, and never taken as a credential.
//!
//! Held to OpenID Connect Core 1.0, 3.1.3.7: the exact issuer, our name in the audience (and as the party where there are several), one
//! of two algorithms by the kind of key, the times, and the nonce of the flow.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use tollgate_connectors::oidc::{Key, KeyKind};
use tollgate_rules::time::Timestamp;

use super::parse::{Parts, parse};
use super::verify::{checked_signature, subject, typ};
use super::{Refusal, claims};

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: i64 = 30;
/// The oldest token that is taken at a sign-in, in seconds.
const AGE_SECONDS_MAX: i64 = 600;

/// What a token must be about.
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) client_id: &'e str,
    pub(crate) nonce: &'e str,
    pub(crate) now: Timestamp,
}

/// What a believed token says.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// In lower case; only where the provider verified it.
    pub(crate) verified_email: Option<String>,
    /// When the person proved who they are, where the provider says so.
    pub(crate) authenticated_at: Option<Timestamp>,
    all: Map<String, Value>,
}

impl Claims {
    /// Whether the claim at a path (`groups.admin`) is `true`.
    pub(crate) fn is_true(&self, path: &str) -> bool {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|step| self.all.get(step));
        steps.fold(first, |value, step| value.and_then(|value| value.get(step))) == Some(&Value::Bool(true))
    }
}

/// Believes a token, or says why not.
pub(crate) fn verify(token: &str, keys: &[Key], expected: &Expected<'_>) -> Result<Claims, Refusal> {
    let parts = parse(token)?;
    if parts.header.contains_key("crit") || !matches!(typ(&parts)?, None | Some("JWT")) {
        return Err(Refusal::TokenType);
    }
    if parts.claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(Refusal::Issuer);
    }
    signed(&parts, keys)?;
    audience(&parts.claims, expected.client_id)?;
    times(&parts.claims, expected.now)?;
    let nonce = claims::text(&parts.claims, "nonce")?.ok_or(Refusal::Claim("nonce"))?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Refusal::Claim("nonce"));
    }
    let subject = subject(&parts.claims)?.to_owned();
    let verified = parts.claims.get("email_verified") == Some(&Value::Bool(true));
    let email = claims::text(&parts.claims, "email")?.filter(|_| verified).map(|email| email.trim().to_lowercase());
    let authenticated_at = match parts.claims.get("auth_time") {
        None => None,
        Some(told) => Some(Timestamp::from_seconds(told.as_i64().ok_or(Refusal::Claim("auth_time"))?)),
    };
    Ok(Claims { subject, verified_email: email, authenticated_at, all: parts.claims })
}

/// The key that the header names, or the only one there is; its kind decides the algorithm.
fn signed(parts: &Parts<'_>, keys: &[Key]) -> Result<(), Refusal> {
    let key = match (parts.header.get("kid").and_then(Value::as_str), keys) {
        (Some(kid), _) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let key = key.ok_or(Refusal::UnknownKey)?;
    let (word, algorithm, read) = match &key.kind {
        KeyKind::Rsa { n, e } => ("RS256", Algorithm::RS256, DecodingKey::from_rsa_components(n, e)),
        KeyKind::P256 { x, y } => ("ES256", Algorithm::ES256, DecodingKey::from_ec_components(x, y)),
    };
    if parts.header.get("alg").and_then(Value::as_str) != Some(word) {
        return Err(Refusal::Algorithm);
    }
    checked_signature(parts, &read.map_err(|_| Refusal::UnknownKey)?, algorithm)
}

fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), Refusal> {
    let party = claims.get("azp").and_then(Value::as_str);
    let ours = match claims.get("aud") {
        Some(Value::String(one)) => one == client_id && party.is_none_or(|party| party == client_id),
        Some(Value::Array(several)) => {
            let named = several.iter().any(|one| one == client_id);
            let ours = match several.len() {
                1 => party.is_none_or(|party| party == client_id),
                _ => party == Some(client_id),
            };
            named && ours
        }
        _ => false,
    };
    if ours { Ok(()) } else { Err(Refusal::Audience) }
}

fn times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refusal> {
    let seconds = |name: &'static str| claims.get(name).and_then(Value::as_i64).ok_or(Refusal::Claim(name));
    let now = now.as_micros().div_euclid(1_000_000);
    let (expires, issued) = (seconds("exp")?, seconds("iat")?);
    if expires <= now.saturating_sub(LEEWAY_SECONDS) || issued < now.saturating_sub(AGE_SECONDS_MAX) {
        return Err(Refusal::Expired);
    }
    if issued > now.saturating_add(LEEWAY_SECONDS) {
        return Err(Refusal::IssuedInFuture);
    }
    Ok(())
}
