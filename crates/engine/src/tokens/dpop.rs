//! Proofs of possession (RFC 9449): whoever uses a bound token shows, call by call, that they hold the key it is bound to.
//!
//! A proof is a small token signed with the caller's own key, for one method, one address, one moment and, with an access token,
//! for that token. Each is good once. A node remembers those it has seen in memory; what a proof is good for is done once on all nodes,
//! because its id is a row too (`dpop_proofs`), written before or with the effect. Only a check, which changes nothing and does no I/O,
//! goes by the memory of its node: there another node would answer the same proof once more, within its minute and to whoever has
//! the token as well. A nonce in a proof says that it was made lately by this server's time, not ahead. See ADR 0015.

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

use tollgate_rules::time::Timestamp;

use super::parse::{Parts, parse};
use super::verify::{checked_signature, typ};
use super::{Refusal, sql};
use crate::clock::hex;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;
use crate::secrets;

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

/// How long ids are kept in the table: longer than a proof can be valid on the slowest clock of ours.
pub(crate) const KEPT: Duration = Duration::from_secs(600);
/// For how long a nonce is the newest, and how many before it are good too.
const NONCE_SECONDS: i64 = 60;
const NONCES_BEFORE: i64 = 2;

/// Whether proofs need a nonce of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nonces {
    /// One that comes must be good; none has to.
    #[default]
    Offered,
    /// Every proof needs one.
    Required,
}

/// Who remembers a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// This node: for a call that changes nothing and does no I/O.
    Node,
    /// All nodes.
    Shared,
}

/// What came with a call.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The `DPoP` header.
    pub text: String,
    /// The call's method.
    pub method: String,
    /// The call's path.
    pub path: String,
    /// Who remembers it.
    pub memory: Memory,
}

/// A proof that is believed and was not seen by this node before.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The thumbprint (RFC 7638) of the key that signed it.
    pub jkt: String,
    /// Names key and id.
    hash: [u8; 32],
}

impl Shown {
    /// A proof of this key with this id, as if it had been checked.
    #[cfg(test)]
    pub(crate) fn of(jkt: &str, id: &str) -> Shown {
        Shown { jkt: jkt.to_owned(), hash: hash_of(jkt, id) }
    }

    /// Uses it up in the caller's transaction; false when another node did before.
    pub(crate) async fn use_up(&self, tx: &mut Tx, at: Timestamp) -> Result<bool, db::Error> {
        sql::use_proof(tx, &hex(&self.hash), at).await
    }
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

/// Believes a proof. `token` is the access token it came with. It is up to the caller to use it up on all nodes.
///
/// # Errors
/// [`Refusal::Proof`] with what is wrong, for logs; [`Refusal::Nonce`] where it lacks a nonce that is good now; the other variants as
/// for tokens.
pub fn check(engine: &Engine, proof: &Proof, token: Option<&str>) -> Result<Shown, Refusal> {
    let parts = parse(&proof.text)?;
    if typ(&parts)? != Some("dpop+jwt") || parts.header.contains_key("crit") {
        return Err(Refusal::TokenType);
    }
    let (key, algorithm, jkt) = key_of(&parts)?;
    checked_signature(&parts, &key, algorithm)?;
    check_claims(engine, proof, &parts.claims, token)?;
    let id = text(&parts.claims, "jti")?;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(Refusal::Claim("jti"));
    }
    let hash = hash_of(&jkt, id);
    let first = engine.tokens().proofs.first(engine.clock().monotonic.now(), &hash);
    if first { Ok(Shown { jkt, hash }) } else { Err(Refusal::Proof("jti")) }
}

fn hash_of(jkt: &str, id: &str) -> [u8; 32] {
    Sha256::new().chain_update(jkt).chain_update([0]).chain_update(id).finalize().into()
}

fn check_claims(
    engine: &Engine,
    proof: &Proof,
    claims: &Map<String, Value>,
    token: Option<&str>,
) -> Result<(), Refusal> {
    if text(claims, "htm")? != proof.method {
        return Err(Refusal::Proof("htm"));
    }
    if !is_address(engine.public_base_url(), &proof.path, text(claims, "htu")?) {
        return Err(Refusal::Proof("htu"));
    }
    let issued = claims.get("iat").and_then(Value::as_i64).ok_or(Refusal::Claim("iat"))?;
    if seconds(engine).saturating_sub(issued).checked_abs().is_none_or(|age| age > AGE_SECONDS_MAX) {
        return Err(Refusal::Proof("iat"));
    }
    if let Some(token) = token {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()));
        if !bool::from(hash.as_bytes().ct_eq(text(claims, "ath")?.as_bytes())) {
            return Err(Refusal::Proof("ath"));
        }
    }
    match claims.get("nonce") {
        None if engine.dpop_nonces() == Nonces::Offered => Ok(()),
        Some(Value::String(nonce)) if is_ours(engine, nonce) => Ok(()),
        Some(_) | None => Err(Refusal::Nonce),
    }
}

/// Uses a proof up on all nodes, in a transaction of its own.
///
/// # Errors
/// [`Refusal::Proof`] where another node saw it first; [`Refusal::Unavailable`].
pub(crate) async fn use_up(engine: &Engine, shown: &Shown) -> Result<(), Refusal> {
    let (task, shown) = (engine.clone(), shown.clone());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let first = shown.use_up(&mut tx, task.clock().wall.now()).await?;
        tx.commit().await?;
        Ok::<_, db::Error>(first)
    };
    match engine.db().detached(write).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::Proof("jti")),
        Err(error) => Err(Refusal::Unavailable(error.to_string())),
    }
}

/// The newest nonce, the same on every node; whoever sends a proof finds it in the answer (`DPoP-Nonce`).
#[must_use]
pub fn nonce(engine: &Engine) -> String {
    nonce_of(engine, seconds(engine).div_euclid(NONCE_SECONDS))
}

fn nonce_of(engine: &Engine, period: i64) -> String {
    let mac = engine.sealer().mac("dpop nonce", &period.to_string());
    format!("{period:x}.{}", mac.get(..32).unwrap_or_default())
}

fn is_ours(engine: &Engine, nonce: &str) -> bool {
    let newest = seconds(engine).div_euclid(NONCE_SECONDS);
    // A node whose clock is ahead may have given the next one.
    let good =
        |period: i64| secrets::same(&secrets::fingerprint(nonce), &secrets::fingerprint(&nonce_of(engine, period)));
    (newest - NONCES_BEFORE..=newest + 1).rev().any(good)
}

fn seconds(engine: &Engine) -> i64 {
    engine.clock().wall.now().as_micros().div_euclid(1_000_000)
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
    /// Remembers a proof; false when it was shown before, or too many were.
    fn first(&self, now: Duration, hash: &[u8; 32]) -> bool {
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
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
        let (a, b) = ([1; 32], [2; 32]);
        let mut now = Duration::from_secs(1_000);
        assert!(seen.first(now, &a) && !seen.first(now, &a));
        assert!(seen.first(now, &b));
        now += REMEMBERED - Duration::from_secs(1);
        assert!(!seen.first(now, &a));
        now += Duration::from_secs(2);
        assert!(!seen.first(now, &a), "one generation back is remembered too");
        now += REMEMBERED * 2;
        assert!(seen.first(now, &a));
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
