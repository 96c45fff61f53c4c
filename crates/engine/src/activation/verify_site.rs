//! Proves that a domain is the org's: what only its owner can put there is read back.

use serde_json::json;
use tollgate_connectors::reach;

use super::{Error, Site, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::db::Lane;
use crate::engine::Engine;

/// Reads `https://<domain>/.well-known/tollgate-activation/<challenge>`; the site is verified when its first line is the challenge.
/// A site that is verified already stays so.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NotProven`].
pub async fn verify_site(engine: &Engine, scope: &OrgScope, site_id: &str) -> Result<Site, Error> {
    let found = sql::site(&mut engine.db().read().await?, scope, site_id, engine.now()).await?;
    let site = found.ok_or(Error::NotFound)?;
    if site.verified_at.is_some() {
        return Ok(site);
    }
    let address = format!("https://{}/.well-known/tollgate-activation/{}", site.domain, site.challenge);
    let text = reach::read_public(&address).await.map_err(|error| Error::NotProven(error.to_string()))?;
    if text.lines().next().map(str::trim) != Some(site.challenge.as_str()) {
        return Err(Error::NotProven("the text there is another one".to_owned()));
    }
    proven(engine, scope, site).await
}

/// Writes down that the proof was seen.
pub(super) async fn proven(engine: &Engine, scope: &OrgScope, site: Site) -> Result<Site, Error> {
    let now = engine.now();
    let (task, of, id) = (engine.clone(), scope.clone(), site.site_id.clone());
    let after = json!({ "domain": site.domain, "verifiedAt": now });
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if sql::set_verified(&mut tx, &of, &id, now).await? {
            audit::append(&task, &mut tx, audit::Entry::of(&of, "site.verify", id).after(after)).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await?;
    Ok(Site { verified_at: Some(now), ..site })
}
