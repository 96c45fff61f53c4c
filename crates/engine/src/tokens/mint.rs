//! Mints tokens of the built-in issuer. All of them are signed with the ring's current key; none of it does I/O.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use tollgate_rules::access::Scope;
use tollgate_rules::ids::{KeyId, OrgId, UserId};
use tollgate_rules::time::Timestamp;

use super::Error;
use crate::engine::Engine;

/// A new token.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The token, for its bearer only.
    pub token: SecretString,
    /// Its own id.
    pub token_id: String,
    /// How long it is valid.
    pub lifetime: Duration,
    /// When it ends (wall time).
    pub expires_at: Timestamp,
}

/// A session of a built-in account.
#[derive(Debug, Clone)]
pub struct MintSession {
    /// The user.
    pub user_id: UserId,
    /// The session, by which it can be ended early ([`super::refuse`]).
    pub session_id: String,
    /// The org the user works in, with a role word without prefix (`admin`) and a readable name.
    pub org: Option<(OrgId, Option<String>, String)>,
    /// Minutes since the first factor was checked.
    pub first_factor_minutes: i64,
    /// Minutes since the second factor was checked; nothing when it never was.
    pub second_factor_minutes: Option<i64>,
    /// The page it was asked from.
    pub party: Option<String>,
    /// Steps of signing in are left: such a token is believed nowhere but by its own provider.
    pub pending: bool,
    /// How long it is valid.
    pub lifetime: Duration,
}

/// An access token for a plugin on a site.
#[derive(Debug, Clone)]
pub struct MintSite {
    /// Whose customer the site is.
    pub org_id: OrgId,
    /// The site.
    pub site_id: String,
    /// Its host name.
    pub site: String,
    /// The line of refresh tokens it comes from, by which it can be ended early.
    pub family_id: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The thumbprint of the key it is bound to.
    pub jkt: Option<String>,
}

/// A short-lived stand-in for an org's key.
#[derive(Debug, Clone)]
pub struct MintOrg {
    /// Whose it is.
    pub org_id: OrgId,
    /// The key it is made with.
    pub key_id: KeyId,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Under which key the key's slice of the org's allowance is counted.
    pub slice: Option<KeyId>,
    /// How long it is valid: no longer than the key.
    pub lifetime: Duration,
}

/// Mints a session token (version 2 of the claims).
///
/// # Errors
/// [`Error::NoKey`].
pub fn mint_session(engine: &Engine, session: &MintSession) -> Result<Minted, Error> {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(session.user_id.as_str()));
    claims.insert("sid".to_owned(), json!(session.session_id));
    claims.insert("v".to_owned(), json!(2));
    claims.insert("sts".to_owned(), json!(if session.pending { "pending" } else { "active" }));
    claims.insert("fva".to_owned(), json!([session.first_factor_minutes, session.second_factor_minutes.unwrap_or(-1)]));
    if let Some(party) = &session.party {
        claims.insert("azp".to_owned(), json!(party));
    }
    if let Some((id, slug, role)) = &session.org {
        let mut org = json!({ "id": id.as_str(), "rol": role });
        if let Some(slug) = slug {
            org["slg"] = json!(slug);
        }
        claims.insert("o".to_owned(), org);
    }
    mint(engine, "JWT", claims, session.lifetime)
}

/// Mints a site's access token: ten minutes, for this server.
///
/// # Errors
/// [`Error::NoKey`].
pub fn mint_site(engine: &Engine, site: &MintSite) -> Result<Minted, Error> {
    let mut claims = access_claims(engine, &site.site_id, &site.org_id, &site.scopes);
    claims.insert("site".to_owned(), json!(site.site));
    claims.insert("sid".to_owned(), json!(site.family_id));
    if let Some(jkt) = &site.jkt {
        claims.insert("cnf".to_owned(), json!({ "jkt": jkt }));
    }
    mint(engine, "at+jwt", claims, engine.limits().access_token_lifetime)
}

/// Mints an org's access token, for this server.
///
/// # Errors
/// [`Error::NoKey`].
pub fn mint_org(engine: &Engine, org: &MintOrg) -> Result<Minted, Error> {
    let mut claims = access_claims(engine, org.key_id.as_str(), &org.org_id, &org.scopes);
    if let Some(slice) = &org.slice {
        claims.insert("slice".to_owned(), json!(slice.as_str()));
    }
    mint(engine, "at+jwt", claims, org.lifetime)
}

fn access_claims(engine: &Engine, subject: &str, org_id: &OrgId, scopes: &[Scope]) -> Map<String, Value> {
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(subject));
    claims.insert("client_id".to_owned(), json!(subject));
    claims.insert("aud".to_owned(), json!(engine.public_base_url()));
    claims.insert("org".to_owned(), json!(org_id.as_str()));
    claims.insert("scope".to_owned(), json!(words.join(" ")));
    claims
}

fn mint(
    engine: &Engine,
    typ: &'static str,
    mut claims: Map<String, Value>,
    lifetime: Duration,
) -> Result<Minted, Error> {
    let now = engine.clock().wall.now();
    let key = engine.tokens().ring.signer(now).ok_or(Error::NoKey)?;
    let issued = now.as_micros().div_euclid(1_000_000);
    let expires = issued.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
    let token_id = engine.new_id("tok_");
    claims.insert("iss".to_owned(), json!(engine.public_base_url()));
    claims.insert("iat".to_owned(), json!(issued));
    claims.insert("nbf".to_owned(), json!(issued));
    claims.insert("exp".to_owned(), json!(expires));
    claims.insert("jti".to_owned(), json!(token_id));
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(typ.to_owned());
    header.kid = Some(key.kid.clone());
    let private = key.private.as_ref().ok_or(Error::NoKey)?;
    let token = jsonwebtoken::encode(&header, &claims, private).map_err(|error| Error::Signing(error.to_string()))?;
    Ok(Minted { token: SecretString::from(token), token_id, lifetime, expires_at: Timestamp::from_seconds(expires) })
}
