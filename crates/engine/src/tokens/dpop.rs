//! Proofs of possession (RFC 9449): whoever uses a bound token shows, call by call, that they hold the key it is bound to.
//!
//! A proof is a small token signed with the caller's own key, for one method, one address, one moment and, with an access token,
//! for that token. Each is good once: their ids are remembered in memory for as long as a proof can be valid. Another node has its own
//! memory, so that a proof stolen within a minute could be shown there once more; it would still need the token.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use super::Refusal;
use super::parse::{Parts, parse};
use super::verify::{checked_signature, typ};
use crate::engine::Engine;

/// The algorithms of proofs, as metadata lists them.
pub const ALGORITHMS: [&str; 2] = ["ES256", "EdDSA"];

/// How far a proof's time may be from ours, in seconds.
const AGE_SECONDS_MAX: i64 = 60;
/// How long ids of proofs are remembered at least: a proof from a minute ahead is good for two.
const REMEMBERED: Duration = Duration::from_secs(130);
/// Ids remembered at most in that time; beyond it proofs are refused rather than believed twice.
const REMEMBERED_MAX: usize = 500_000;
/// Bytes of a proof's id.
const ID_BYTES_MAX: usize = 256;

/// What came with a call.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The `DPoP` header.
    pub text: String,
    /// The call's method.
    pub method: String,
    /// The call's path.
    pub path: String,
}

/// The ids of proofs that were shown lately.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    began: Duration,
    now: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
}

/// Believes a proof: the thumbprint (RFC 7638) of the key that signed it. `token` is the access token it came with.
///
/// # Errors
/// [`Refusal::Proof`] with what is wrong, for logs; the other variants as for tokens.
pub fn check(engine: &Engine, proof: &Proof, token: Option<&str>) -> Result<String, Refusal> {
    let parts = parse(&proof.text)?;
    if typ(&parts)? != Some("dpop+jwt") || parts.header.contains_key("crit") {
        return Err(Refusal::TokenType);
    }
    let (key, algorithm, thumbprint) = key_of(&parts)?;
    checked_signature(&parts, &key, algorithm)?;
    let claims = &parts.claims;
    if text(claims, "htm")? != proof.method {
        return Err(Refusal::Proof("htm"));
    }
    if !is_address(engine.public_base_url(), &proof.path, text(claims, "htu")?) {
        return Err(Refusal::Proof("htu"));
    }
    let issued = claims.get("iat").and_then(Value::as_i64).ok_or(Refusal::Claim("iat"))?;
    let now = engine.clock().wall.now().as_micros().div_euclid(1_000_000);
    if now.saturating_sub(issued).checked_abs().is_none_or(|age| age > AGE_SECONDS_MAX) {
        return Err(Refusal::Proof("iat"));
    }
    if let Some(token) = token {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()));
        if !bool::from(hash.as_bytes().ct_eq(text(claims, "ath")?.as_bytes())) {
            return Err(Refusal::Proof("ath"));
        }
    }
    let id = text(claims, "jti")?;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(Refusal::Claim("jti"));
    }
    let first = engine.tokens().proofs.first(engine.clock().monotonic.now(), &thumbprint, id);
    if first { Ok(thumbprint) } else { Err(Refusal::Proof("jti")) }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<&'c str, Refusal> {
    claims.get(name).and_then(Value::as_str).ok_or(Refusal::Claim(name))
}

/// The public key that the header carries, with the one algorithm for it and its thumbprint.
fn key_of(parts: &Parts<'_>) -> Result<(DecodingKey, Algorithm, String), Refusal> {
    let unreadable = || Refusal::Proof("jwk");
    let jwk = parts.header.get("jwk").and_then(Value::as_object).ok_or_else(unreadable)?;
    if jwk.contains_key("d") || jwk.contains_key("k") {
        return Err(unreadable());
    }
    let word = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    // Read and written again, so that one key has one thumbprint however its text was padded.
    let coordinate = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(word(name)).ok().filter(|bytes| bytes.len() == 32).ok_or_else(unreadable)?;
        Ok::<String, Refusal>(URL_SAFE_NO_PAD.encode(bytes))
    };
    let algorithm = parts.header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let (key, algorithm, canonical) = match (algorithm, word("kty"), word("crv")) {
        ("EdDSA", "OKP", "Ed25519") => {
            let x = coordinate("x")?;
            let key = DecodingKey::from_ed_components(&x).map_err(|_| unreadable())?;
            (key, Algorithm::EdDSA, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
        }
        ("ES256", "EC", "P-256") => {
            let (x, y) = (coordinate("x")?, coordinate("y")?);
            let key = DecodingKey::from_ec_components(&x, &y).map_err(|_| unreadable())?;
            (key, Algorithm::ES256, format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
        }
        _ => return Err(Refusal::Algorithm),
    };
    Ok((key, algorithm, URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))))
}

/// Whether an address is that of a path of ours; its query does not matter (RFC 9449, 4.3).
fn is_address(base: &str, path: &str, stated: &str) -> bool {
    let (Ok(base), Ok(stated)) = (Url::parse(base), Url::parse(stated)) else { return false };
    let own = format!("{}{path}", base.path().trim_end_matches('/'));
    base.origin() == stated.origin() && stated.path() == own && stated.username().is_empty()
}

impl Seen {
    /// Remembers an id of a key; false when it was shown before, or too many were.
    fn first(&self, now: Duration, thumbprint: &str, id: &str) -> bool {
        let digest = Sha256::new().chain_update(thumbprint).chain_update([0]).chain_update(id).finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_sub(seen.began);
        if age >= REMEMBERED {
            let last = std::mem::take(&mut seen.now);
            seen.before = if age >= REMEMBERED * 2 { HashSet::new() } else { last };
            seen.began = now;
        }
        if seen.now.len() >= REMEMBERED_MAX {
            tracing::warn!("too many proofs of possession at once; the next are refused");
            return false;
        }
        !seen.before.contains(&short) && seen.now.insert(short)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{REMEMBERED, Seen, is_address};

    #[test]
    fn an_id_is_good_once_for_as_long_as_a_proof_can_be_valid() {
        let seen = Seen::default();
        let mut now = Duration::from_secs(1_000);
        assert!(seen.first(now, "key", "a") && !seen.first(now, "key", "a"));
        assert!(seen.first(now, "other", "a") && seen.first(now, "key", "b"));
        now += REMEMBERED - Duration::from_secs(1);
        assert!(!seen.first(now, "key", "a"));
        now += Duration::from_secs(2);
        assert!(!seen.first(now, "key", "a"), "one generation back is remembered too");
        now += REMEMBERED * 2;
        assert!(seen.first(now, "key", "a"));
    }

    #[test]
    fn an_address_is_ours_by_origin_and_path() {
        let is = |stated| is_address("https://gate.example", "/oauth/token", stated);
        assert!(is("https://gate.example/oauth/token") && is("https://GATE.example:443/oauth/token?x=1#y"));
        for other in [
            "http://gate.example/oauth/token",
            "https://evil.example/oauth/token",
            "https://gate.example/oauth/revoke",
            "https://gate.example:444/oauth/token",
            "https://u@gate.example/oauth/token",
            "/oauth/token",
            "",
        ] {
            assert!(!is(other), "{other}");
        }
        assert!(is_address("https://gate.example/t/", "/x", "https://gate.example/t/x"));
    }
}
