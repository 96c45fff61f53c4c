//! Proves that a domain is the org's: what only its owner can put there is read back.

use serde_json::json;
use tollgate_connectors::reach;

use super::{Error, Site, sql};
use crate::access::OrgScope;
use crate::audit;
use crate::engine::Engine;

/// Where the proof stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// In a file of the site: `https://<domain>/.well-known/tollgate-activation/<challenge>`.
    File,
    /// In the DNS: a TXT record of `_tollgate-activation.<domain>`.
    Dns,
}

impl Proof {
    /// The word it is written as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Proof::File => "file",
            Proof::Dns => "dns",
        }
    }
}

/// Looks for the site's challenge where `proof` says, or at both places; the site is verified when it stands there. A site that is
/// verified already stays so.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NotProven`].
pub async fn verify_site(
    engine: &Engine,
    scope: &OrgScope,
    site_id: &str,
    proof: Option<Proof>,
) -> Result<Site, Error> {
    let found = sql::site(&mut engine.read_for(scope).await?, scope, site_id, engine.now()).await?;
    let site = found.ok_or(Error::NotFound)?;
    if site.verified_at.is_some() {
        return Ok(site);
    }
    let seen = match proof {
        Some(Proof::File) => in_file(&site).await.map(|()| Proof::File),
        Some(Proof::Dns) => in_dns(engine, &site).await.map(|()| Proof::Dns),
        None => match in_dns(engine, &site).await {
            Ok(()) => Ok(Proof::Dns),
            Err(dns) => {
                let file = in_file(&site).await;
                file.map(|()| Proof::File)
                    .map_err(|file| format!("neither in the DNS ({dns}) nor in the file ({file})"))
            }
        },
    };
    proven(engine, scope, site, seen.map_err(Error::NotProven)?).await
}

async fn in_file(site: &Site) -> Result<(), String> {
    let address = format!("https://{}/.well-known/tollgate-activation/{}", site.domain, site.challenge);
    let text = reach::read_public(&address).await.map_err(|error| error.to_string())?;
    let said = text.lines().next().map(str::trim) == Some(site.challenge.as_str());
    if said { Ok(()) } else { Err("the text there is another one".to_owned()) }
}

async fn in_dns(engine: &Engine, site: &Site) -> Result<(), String> {
    let name = format!("_tollgate-activation.{}", site.domain);
    let id = u16::from_be_bytes(engine.clock().entropy.bytes::<2>());
    let texts = engine.resolver().texts(&name, id).await.map_err(|error| error.to_string())?;
    let said = texts.iter().any(|text| text.trim() == site.challenge);
    if said { Ok(()) } else { Err(format!("no TXT record of {name} holds the challenge")) }
}

/// Writes down that the proof was seen.
pub(super) async fn proven(engine: &Engine, scope: &OrgScope, site: Site, by: Proof) -> Result<Site, Error> {
    let now = engine.now();
    let (task, of, id) = (engine.clone(), scope.clone(), site.site_id.clone());
    let after = json!({ "domain": site.domain, "verifiedAt": now, "proof": by.as_str() });
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        if sql::set_verified(&mut tx, &of, &id, now).await? {
            audit::append(&task, &mut tx, audit::Entry::of(&of, "site.verify", id).after(after)).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await?;
    Ok(Site { verified_at: Some(now), ..site })
}
