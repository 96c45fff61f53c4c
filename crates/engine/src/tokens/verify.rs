//! The one verifier: from a token's text to what may be believed of it.
//!
//! In this order: take it apart strictly; choose the issuer by its exact name; hold the header to the issuer's algorithm; find
//! the key among the issuer's own; check the signature; then times, kind and claims. The header's `jwk`, `jku` and `x5u` are
//! never looked at.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, OrgId, UserId};
use tollgate_rules::time::Timestamp;

use super::parse::{Parts, parse};
use super::{Issuer, OrgToken, Provider, Refusal, Session, SiteToken, Verified, claims, ring};
use crate::engine::Engine;

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: i64 = 5;

/// Whether a bearer credential is meant as a token: the first bytes of every JSON object in base64url, and the dots.
pub(crate) fn looks_like(bearer: &str) -> bool {
    bearer.starts_with("ey") && bearer.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Believes a token, or says why not. Does no I/O when the issuer's keys are known.
///
/// # Errors
/// [`Refusal`]: for logs; callers hear one answer for all of them.
pub async fn verify(engine: &Engine, token: &str) -> Result<Verified, Refusal> {
    verify_at(engine, token, engine.clock().wall.now()).await
}

/// The same at a moment: tests bring their own.
pub(super) async fn verify_at(engine: &Engine, token: &str, now: Timestamp) -> Result<Verified, Refusal> {
    let parts = parse(token)?;
    let issuer = parts.claims.get("iss").and_then(Value::as_str).ok_or(Refusal::Claim("iss"))?;
    let verified = if issuer == engine.public_base_url() {
        own(engine, &parts, now).await?
    } else {
        let issuer = engine.tokens().foreign().filter(|foreign| foreign.name == issuer).ok_or(Refusal::Issuer)?;
        foreign(engine, issuer, &parts, now).await.map(Verified::Session)?
    };
    if engine.tokens().refusals.concern(&verified) { Err(Refusal::Revoked) } else { Ok(verified) }
}

async fn own(engine: &Engine, parts: &Parts<'_>, now: Timestamp) -> Result<Verified, Refusal> {
    let kid = checked_header(parts, "EdDSA")?;
    let key = match engine.tokens().ring.public(kid) {
        Some(key) => key,
        // Another node may have made it since: asked at most every few seconds, whatever strangers send.
        None => ring::read_again(engine, kid).await?.ok_or(Refusal::UnknownKey)?,
    };
    checked_signature(parts, &key, Algorithm::EdDSA)?;
    let times = checked_times(&parts.claims, now)?;
    match typ(parts)? {
        Some("JWT") => session(parts, Provider::BuiltIn, times).map(Verified::Session),
        Some("at+jwt") => access(engine, &parts.claims, times),
        Some(_) | None => Err(Refusal::TokenType),
    }
}

/// Clerk's session tokens (`cat`); an absent category is fine.
const SESSION_CATEGORY: &str = "cl_B7d4PD111AAA";

/// A foreign issuer's token: sessions of users, nothing else.
async fn foreign(engine: &Engine, issuer: &Issuer, parts: &Parts<'_>, now: Timestamp) -> Result<Session, Refusal> {
    let kid = checked_header(parts, "RS256")?;
    let category = parts.header.get("cat");
    if !matches!(typ(parts)?, None | Some("JWT")) || category.is_some_and(|category| category != SESSION_CATEGORY) {
        return Err(Refusal::TokenType);
    }
    let key = issuer.keys.key(engine, kid).await?;
    checked_signature(parts, &key, Algorithm::RS256)?;
    let times = checked_times(&parts.claims, now)?;
    let mut session = session(parts, Provider::Clerk, times)?;
    if !issuer.parties.admit(claims::text(&parts.claims, "azp")?.as_deref()) {
        return Err(Refusal::Party);
    }
    session.operator = issuer.operators.admit(session.user_id.as_str(), &parts.claims);
    Ok(session)
}

/// Issued at and expires at.
pub(super) type Times = (Timestamp, Timestamp);

/// Holds the header to the issuer's algorithm; gives the key's id.
pub(super) fn checked_header<'p>(parts: &'p Parts<'_>, algorithm: &str) -> Result<&'p str, Refusal> {
    if parts.header.get("alg").and_then(Value::as_str) != Some(algorithm) {
        return Err(Refusal::Algorithm);
    }
    // Extensions that must be understood: none is.
    if parts.header.contains_key("crit") {
        return Err(Refusal::TokenType);
    }
    parts.header.get("kid").and_then(Value::as_str).ok_or(Refusal::UnknownKey)
}

pub(super) fn checked_signature(parts: &Parts<'_>, key: &DecodingKey, algorithm: Algorithm) -> Result<(), Refusal> {
    match jsonwebtoken::crypto::verify(parts.signature, parts.signed.as_bytes(), key, algorithm) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Refusal::Signature),
    }
}

/// The header's `typ`; absent is fine for some.
pub(super) fn typ<'p>(parts: &'p Parts<'_>) -> Result<Option<&'p str>, Refusal> {
    match parts.header.get("typ") {
        None => Ok(None),
        Some(Value::String(typ)) => Ok(Some(typ)),
        Some(_) => Err(Refusal::TokenType),
    }
}

pub(super) fn checked_times(claims: &Map<String, Value>, now: Timestamp) -> Result<Times, Refusal> {
    let now = now.as_micros().div_euclid(1_000_000);
    let expires = seconds(claims, "exp")?;
    let issued = seconds(claims, "iat")?;
    let from = seconds(claims, "nbf")?;
    if expires <= now.saturating_sub(LEEWAY_SECONDS) {
        return Err(Refusal::Expired);
    }
    if from > now.saturating_add(LEEWAY_SECONDS) {
        return Err(Refusal::NotActiveYet);
    }
    if issued > now.saturating_add(LEEWAY_SECONDS) {
        return Err(Refusal::IssuedInFuture);
    }
    Ok((Timestamp::from_seconds(issued), Timestamp::from_seconds(expires)))
}

/// A time claim: whole seconds that a timestamp can hold.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<i64, Refusal> {
    let value = claims.get(name).and_then(Value::as_i64).ok_or(Refusal::Claim(name))?;
    if (0..=253_402_300_799).contains(&value) { Ok(value) } else { Err(Refusal::Claim(name)) }
}

pub(super) fn subject(claims: &Map<String, Value>) -> Result<&str, Refusal> {
    claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty()).ok_or(Refusal::Claim("sub"))
}

/// A user's session of either issuer.
pub(super) fn session(parts: &Parts<'_>, provider: Provider, times: Times) -> Result<Session, Refusal> {
    let subject = subject(&parts.claims)?;
    if !subject.starts_with("user_") {
        return Err(Refusal::TokenType);
    }
    let claims = claims::read(&parts.claims)?;
    match claims.status.as_deref() {
        None | Some("active") => {}
        Some("pending") => return Err(Refusal::Pending),
        Some(_) => return Err(Refusal::Claim("sts")),
    }
    Ok(Session {
        provider,
        user_id: UserId::parse(subject).map_err(|_| Refusal::Claim("sub"))?,
        session_id: claims.session_id,
        org: claims.org,
        factor_minutes: claims.factor_minutes,
        impersonator: claims.impersonator,
        operator: false,
        issued_at: times.0,
        expires_at: times.1,
    })
}

/// An access token of ours (RFC 9068): a site's or an org's, told apart by its subject.
fn access(engine: &Engine, claims: &Map<String, Value>, (issued_at, expires_at): Times) -> Result<Verified, Refusal> {
    if claims.get("aud").and_then(Value::as_str) != Some(engine.public_base_url()) {
        return Err(Refusal::Audience);
    }
    let subject = subject(claims)?;
    let text = |name: &'static str| claims::text(claims, name)?.ok_or(Refusal::Claim(name));
    let org_id = OrgId::parse(&text("org")?).map_err(|_| Refusal::Claim("org"))?;
    let scopes: Vec<Scope> = text("scope")?.split(' ').filter_map(Scope::parse).collect();
    let token_id = text("jti")?;
    if subject.starts_with("site_") {
        let (site, family_id, site_id) = (text("site")?, text("sid")?, subject.to_owned());
        let jkt = bound_to(claims)?;
        let token = SiteToken { org_id, site_id, site, family_id, scopes, jkt, issued_at, expires_at, token_id };
        return Ok(Verified::Site(token));
    }
    let key_id = KeyId::parse(subject).map_err(|_| Refusal::TokenType)?;
    let slice = claims::text(claims, "slice")?.map(|text| KeyId::parse(&text)).transpose();
    let slice = slice.map_err(|_| Refusal::Claim("slice"))?;
    Ok(Verified::Org(OrgToken { org_id, key_id, scopes, slice, issued_at, expires_at, token_id }))
}

/// The key that a token is bound to (RFC 7800); a binding of another kind than ours is not ignored.
fn bound_to(claims: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    match claims.get("cnf") {
        None => Ok(None),
        Some(bound) => {
            bound.get("jkt").and_then(Value::as_str).map(|jkt| Some(jkt.to_owned())).ok_or(Refusal::Claim("cnf"))
        }
    }
}
