//! Says what a token is worth now (RFC 7662), to those it is used at: the operator, and keys of the token's own org.

use tollgate_rules::access::Scope;
use tollgate_rules::ids::OrgId;
use tollgate_rules::time::Timestamp;

use super::sql::families;
use super::{Error, read_words, refresh};
use crate::access::Caller;
use crate::engine::Engine;
use crate::secrets;
use crate::tokens::{self, Refusal, Verified};
use secrecy::SecretString;

/// An active token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspected {
    /// `access_token` or `refresh_token`.
    pub kind: &'static str,
    /// Whose it is.
    pub org_id: OrgId,
    /// Who acts with it (`site_…`, `key_…`).
    pub subject: String,
    /// The site's host name, for tokens of sites.
    pub site: Option<String>,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its own id, for access tokens.
    pub token_id: Option<String>,
    /// The thumbprint of the key it is bound to.
    pub jkt: Option<String>,
}

/// What the token is worth; nothing for one that is not valid now, or not the caller's to ask about: the two look the same.
///
/// # Errors
/// The database cannot answer.
pub async fn introspect(engine: &Engine, caller: &Caller, token: &str) -> Result<Option<Introspected>, Error> {
    let found =
        if tokens::looks_like(token) { of_access(engine, token).await? } else { of_refresh(engine, token).await? };
    let own = caller.own_org().map(|org| &org.id);
    Ok(found.filter(|found| caller.is_operator() || own == Some(&found.org_id)))
}

async fn of_access(engine: &Engine, token: &str) -> Result<Option<Introspected>, Error> {
    match tokens::verify(engine, token).await {
        Ok(Verified::Site(site)) => Ok(Some(Introspected {
            kind: "access_token",
            org_id: site.org_id,
            subject: site.site_id,
            site: Some(site.site),
            scopes: site.scopes,
            issued_at: site.issued_at,
            expires_at: site.expires_at,
            token_id: Some(site.token_id),
            jkt: site.jkt,
        })),
        Ok(Verified::Org(org)) => Ok(Some(Introspected {
            kind: "access_token",
            org_id: org.org_id,
            subject: org.key_id.to_string(),
            site: None,
            scopes: org.scopes,
            issued_at: org.issued_at,
            expires_at: org.expires_at,
            token_id: Some(org.token_id),
            jkt: None,
        })),
        // A person's session is nobody else's to ask about.
        Ok(Verified::Session(_)) => Ok(None),
        Err(Refusal::Unavailable(reason)) => Err(Error::Database(crate::db::Error::Unavailable(reason))),
        Err(_) => Ok(None),
    }
}

async fn of_refresh(engine: &Engine, token: &str) -> Result<Option<Introspected>, Error> {
    if !secrets::well_formed(refresh::PREFIX, token) {
        return Ok(None);
    }
    let hash = secrets::stored(&SecretString::from(token.to_owned()));
    let mut connection = engine.db().read().await?;
    let Some(live) = families::live_token(&mut connection, &hash, engine.now()).await? else { return Ok(None) };
    Ok(Some(Introspected {
        kind: "refresh_token",
        org_id: live.org.id,
        subject: live.site_id,
        site: Some(live.domain),
        scopes: read_words(&live.scopes),
        issued_at: live.created_at,
        expires_at: live.ends_at,
        token_id: None,
        jkt: live.jkt,
    }))
}
