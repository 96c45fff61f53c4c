//! Gives an org's key a short-lived stand-in, with the same rights or fewer.

use secrecy::{ExposeSecret, SecretString};

use tollgate_rules::access::Scope;
use tollgate_rules::ids::OrgId;

use super::Error;
use crate::access::{AuthError, CallerKind, authenticate};
use crate::engine::Engine;
use crate::secrets;
use crate::tokens::{self, MintOrg};

/// What the key gets.
#[derive(Debug, Clone)]
pub struct OrgGrant {
    /// The access token, with its end.
    pub access: tokens::Minted,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Whose it is.
    pub org_id: OrgId,
}

/// Mints an org's access token for whoever holds one of its keys: ten minutes, and never longer than the key.
///
/// # Errors
/// [`Error::InvalidClient`] for a key that is not valid (or whose id is not the one stated), [`Error::UnauthorizedClient`] for
/// other credentials, [`Error::InvalidScope`] where more is asked for than the key may.
pub async fn client_credentials(
    engine: &Engine,
    key: &SecretString,
    key_id: Option<&str>,
    scope: Option<&str>,
) -> Result<OrgGrant, Error> {
    let caller = authenticate(engine, key.expose_secret()).await.map_err(|error| match error {
        AuthError::Invalid | AuthError::NonceNeeded => Error::InvalidClient,
        AuthError::Unavailable(cause) => Error::Database(cause),
    })?;
    let CallerKind::Key { org, key_id: own_id, scopes: own, slice } = caller.kind() else {
        return Err(Error::UnauthorizedClient);
    };
    if key_id.is_some_and(|stated| stated != own_id.as_str()) {
        return Err(Error::InvalidClient);
    }
    let scopes = asked(own, scope)?;
    let known = engine.credentials().known(&secrets::fingerprint(key.expose_secret()));
    let left = known.and_then(|known| known.expires_at).map(|end| end.since(engine.now()));
    let lifetime =
        left.map_or(engine.limits().access_token_lifetime, |left| left.min(engine.limits().access_token_lifetime));
    let (org_id, key_id, slice) = (org.id.clone(), own_id.clone(), slice.clone());
    let mint = MintOrg { org_id, key_id, scopes: scopes.clone(), slice, lifetime };
    Ok(OrgGrant { access: tokens::mint_org(engine, &mint)?, scopes, org_id: org.id.clone() })
}

fn asked(own: &[Scope], scope: Option<&str>) -> Result<Vec<Scope>, Error> {
    let Some(words) = scope.filter(|words| !words.trim().is_empty()) else { return Ok(own.to_vec()) };
    let mut scopes = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let held = Scope::parse(word).filter(|scope| own.contains(scope));
        scopes.push(held.ok_or_else(|| Error::InvalidScope(word.chars().take(64).collect()))?);
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}
