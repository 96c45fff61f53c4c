//! An org's sites: which there are, and how one is shut off.

use super::revoke::end_family;
use super::sql::{self, families};
use super::{Error, Site};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};
use crate::tokens;

/// One page of the org's sites, newest first.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list_sites(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Site>, ListError> {
    let mut connection = engine.read_for(scope).await?;
    let sites = sql::list_sites(&mut connection, scope, paging, engine.now()).await?;
    Ok(paging.page(sites, |site| site.site_id.clone()))
}

/// Ends every token of a site at once; it can be activated again with a new code. The same again answers the same.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn revoke_site(engine: &Engine, scope: &OrgScope, site_id: &str) -> Result<Site, Error> {
    let (task, of, id) = (engine.clone(), scope.clone(), site_id.to_owned());
    let write = async move {
        let mut tx = task.begin_for(&of).await?;
        let site = sql::site(&mut tx, &of, &id, task.now()).await?.ok_or(Error::NotFound)?;
        let families = families::live_families(&mut tx, &of, &id).await?;
        for family_id in &families {
            end_family(&task, &mut tx, &of, family_id, "site revoked").await?;
        }
        sql::drop_unused_codes(&mut tx, &of, &site.domain).await?;
        tx.commit().await?;
        Ok::<_, Error>((Site { active: false, ..site }, families))
    };
    let (site, families) = engine.db().detached(write).await?;
    for family_id in families {
        tokens::refuse(engine, &family_id);
    }
    Ok(site)
}
