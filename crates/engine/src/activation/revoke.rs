//! Ends a token at its holder's wish (RFC 7009): a refresh token with its family, an access token alone.

use secrecy::SecretString;
use serde_json::json;

use super::redeem::scope_of;
use super::sql::families;
use super::{Error, refresh};
use crate::access::OrgScope;
use crate::audit;
use crate::db::{Lane, Tx};
use crate::engine::Engine;
use crate::tokens::{self, Refusal, Verified};
use crate::{db, orgs, secrets};

/// Ends the token. One that is unknown, or over already, changes nothing.
///
/// # Errors
/// The database cannot answer.
pub async fn revoke(engine: &Engine, token: &str) -> Result<(), Error> {
    if tokens::looks_like(token) {
        return access(engine, token).await;
    }
    if !secrets::well_formed(refresh::PREFIX, token) {
        return Ok(());
    }
    let hash = secrets::stored(&SecretString::from(token.to_owned()));
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let Some(found) = families::token_by_hash(&mut tx, &hash).await? else { return Ok(None) };
        let scope = scope_of(found.org.clone(), &found.site_id);
        let ended = end_family(&task, &mut tx, &scope, &found.family_id, "revoked").await?;
        tx.commit().await?;
        Ok::<_, db::Error>(ended.then_some(found.family_id))
    };
    if let Some(family_id) = engine.db().detached(write).await? {
        tokens::refuse(engine, &family_id);
    }
    Ok(())
}

/// Ends a family with its audit entry; false when it is over already.
pub(super) async fn end_family(
    engine: &Engine,
    tx: &mut Tx,
    scope: &OrgScope,
    family_id: &str,
    why: &'static str,
) -> Result<bool, db::Error> {
    if !families::revoke_family(tx, scope, family_id, engine.now(), why).await? {
        return Ok(false);
    }
    tokens::refuse_stored(engine, tx, family_id).await?;
    let entry = audit::Entry::of(scope, "site.token_revoke", family_id).after(json!({ "reason": why }));
    audit::append(engine, tx, entry).await?;
    Ok(true)
}

async fn access(engine: &Engine, token: &str) -> Result<(), Error> {
    let (org_id, actor, token_id) = match tokens::verify(engine, token).await {
        Ok(Verified::Site(site)) => (site.org_id, format!("site:{}", site.site_id), site.token_id),
        Ok(Verified::Org(org)) => (org.org_id, format!("key:{}", org.key_id), org.token_id),
        Ok(Verified::Session(_)) => return Ok(()),
        Err(Refusal::Unavailable(reason)) => return Err(Error::Database(db::Error::Unavailable(reason))),
        Err(_) => return Ok(()),
    };
    let Some(org) = orgs::find(engine, &org_id).await? else { return Ok(()) };
    let scope = OrgScope::restored(org, actor, String::new());
    let (task, subject) = (engine.clone(), token_id.clone());
    let write = async move {
        let mut tx = task.begin_for(&scope).await?;
        tokens::refuse_stored(&task, &mut tx, &subject).await?;
        audit::append(&task, &mut tx, audit::Entry::of(&scope, "access_token.revoke", subject)).await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    tokens::refuse(engine, &token_id);
    Ok(())
}
