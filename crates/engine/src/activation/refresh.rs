//! Follows a used refresh token by the next one.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::redeem::{Grant, finish, scope_of, use_up};
use super::sql;
use super::sql::families::{self, Used};
use super::{Error, Granted, read_words, site_domain};
use crate::access::OrgScope;
use crate::audit;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;
use crate::mail::{self, Letter, Queued};
use crate::sealing::Sealer;
use crate::tokens::dpop::Shown;
use crate::{fault, secrets, tokens};

/// What refresh tokens begin with.
pub(super) const PREFIX: &str = "tgr_";

/// What successors are sealed for.
const PURPOSE: &str = "refresh successor";

/// What a plugin sends.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The refresh token.
    pub token: SecretString,
    /// The site's own address, where the plugin states it.
    pub site_url: Option<String>,
    /// The proof that came with it.
    pub proof: Option<Shown>,
}

/// Gives the next tokens. Within the grace, the same token again gives the same successor; later it ends its family.
///
/// # Errors
/// [`Error::InvalidGrant`]; [`Error::OtherSite`] where another domain is stated, which ends nothing.
pub async fn refresh(engine: &Engine, refresh: Refresh) -> Result<Granted, Error> {
    if !secrets::well_formed(PREFIX, refresh.token.expose_secret()) {
        return Err(Error::InvalidGrant);
    }
    let stated = refresh.site_url.as_deref().map(site_domain).transpose().map_err(|_| Error::OtherSite)?;
    let task = engine.clone();
    let (token, proof) = (refresh.token, refresh.proof);
    let outcome = engine.db().detached(async move { write(&task, &token, stated.as_deref(), proof).await }).await?;
    match outcome {
        Outcome::Next(grant) => finish(engine, *grant),
        Outcome::Reused(family_id) => {
            tokens::refuse(engine, &family_id);
            engine.wake_workers();
            Err(Error::InvalidGrant)
        }
    }
}

enum Outcome {
    Next(Box<Grant>),
    /// The family ended.
    Reused(String),
}

async fn write(
    engine: &Engine,
    token: &SecretString,
    stated: Option<&str>,
    proof: Option<Shown>,
) -> Result<Outcome, Error> {
    let hash = secrets::stored(token);
    let mut tx = engine.db().begin(Lane::Control).await?;
    let found = families::token_by_hash(&mut tx, &hash).await?.ok_or(Error::InvalidGrant)?;
    let scope = scope_of(found.org.clone(), &found.site_id);
    // From here on nobody else moves this family; what was read before is read again.
    let family = families::lock_family(&mut tx, &scope, &found.family_id).await?.ok_or(Error::InvalidGrant)?;
    let used = families::token_in_family(&mut tx, &scope, &found.family_id, found.generation).await?;
    let now = engine.now();
    if family.revoked || family.ends_at <= now || !sql::org_is_open(&mut tx, scope.org_key()).await? {
        return Err(Error::InvalidGrant);
    }
    if stated.is_some_and(|domain| domain != family.domain) {
        return Err(Error::OtherSite);
    }
    // Before anything is made of reuse: a thief without the key ends nothing.
    let jkt = proof.as_ref().map(|proof| proof.jkt.clone());
    if family.jkt.is_some() && family.jkt != jkt {
        return Err(Error::InvalidGrant);
    }
    use_up(engine, &mut tx, proof.as_ref()).await?;
    let next = match &used {
        Used { used_at: None, idle_until, .. } if *idle_until <= now => return Err(Error::InvalidGrant),
        Used { used_at: None, .. } => Some(rotate(engine, &mut tx, &scope, token, &found).await?),
        Used { used_at: Some(at), sealed_successor, successor_used: false, .. }
            if now < at.plus(engine.limits().refresh_grace) =>
        {
            sealed_successor.as_deref().and_then(|sealed| opened(token, &found, sealed))
        }
        Used { .. } => None,
    };
    let Some(refresh) = next else {
        end(engine, &mut tx, &scope, &found, &family.domain).await?;
        tx.commit().await?;
        return Ok(Outcome::Reused(found.family_id));
    };
    fault::point(engine, "activation.refresh.before_commit").map_err(db::Error::from)?;
    tx.commit().await?;
    fault::point(engine, "activation.refresh.after_commit").map_err(db::Error::from)?;
    Ok(Outcome::Next(Box::new(Grant {
        org: found.org,
        site_id: found.site_id,
        domain: family.domain,
        family_id: found.family_id,
        scopes: read_words(&family.scopes),
        refresh,
        jkt,
    })))
}

/// A family's first token.
pub(super) async fn first(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    family_id: &str,
) -> Result<SecretString, db::Error> {
    let token = secrets::generate(PREFIX, &engine.clock().entropy);
    insert(engine, tx, scope, family_id, 1, &token).await?;
    Ok(token)
}

async fn insert(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    family_id: &str,
    generation: i64,
    token: &SecretString,
) -> Result<(), db::Error> {
    let now = engine.now();
    let idle_until = now.plus(engine.limits().refresh_token_idle);
    let new = families::NewToken { family_id, generation, hash: &secrets::stored(token), now, idle_until };
    families::insert_token(tx, scope, &new).await
}

/// Uses the token up and makes its successor, sealed under the token itself: only its holder can ask for it again.
async fn rotate(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    token: &SecretString,
    found: &families::Found,
) -> Result<SecretString, db::Error> {
    let next = secrets::generate(PREFIX, &engine.clock().entropy);
    let generation = found.generation + 1;
    let sealed = sealer(token).seal(&engine.clock().entropy, PURPOSE, &row(found), next.expose_secret().as_bytes());
    families::use_token(tx, scope, found, engine.now(), &sealed).await?;
    families::drop_older_successors(tx, scope, found).await?;
    insert(engine, tx, scope, &found.family_id, generation, &next).await?;
    Ok(next)
}

fn opened(token: &SecretString, found: &families::Found, sealed: &str) -> Option<SecretString> {
    let plain = sealer(token).open(PURPOSE, &row(found), sealed)?;
    String::from_utf8(plain).ok().map(SecretString::from)
}

fn sealer(token: &SecretString) -> Sealer {
    Sealer::new(token.expose_secret().as_bytes())
}

fn row(found: &families::Found) -> String {
    format!("{}:{}", found.family_id, found.generation)
}

/// A used token was used again after its grace: it was stolen, or its successor was. The whole family ends.
async fn end(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    found: &families::Found,
    domain: &str,
) -> Result<(), db::Error> {
    families::revoke_family(tx, scope, &found.family_id, engine.now(), "reuse").await?;
    tokens::refuse_stored(engine, tx, &found.family_id).await?;
    let after = json!({ "siteId": found.site_id, "generation": found.generation });
    let entry = audit::Entry::of(scope, "site.token_reuse_detected", found.family_id.clone()).after(after);
    audit::append(engine, tx, entry).await?;
    let letter = Letter::new(format!("A token of {domain} was used twice"))
        .line(format!("A refresh token of the site {domain} was used again after it had been replaced. Somebody may have copied it."))
        .line("All tokens of this activation were ended. Make a new activation code and activate the site again.");
    for to in families::managers_emails(tx, scope).await? {
        let queued = Queued { to: &to, org_key: Some(scope.org_key()), letter: &letter, corr_id: scope.corr_id() };
        mail::queue(engine, tx, &queued).await?;
    }
    metrics::counter!("tollgate_refresh_reuse_total").increment(1);
    tracing::warn!(
        orgId = scope.org_id().as_str(),
        site_id = found.site_id,
        "a used refresh token was used again; its family ended"
    );
    Ok(())
}
