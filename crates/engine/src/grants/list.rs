//! Lists grants, newest first, with what is used of each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tollgate_rules::ids::OrgId;

use super::{Grant, book, sql};
use crate::access::OperatorScope;
use crate::engine::Engine;
use crate::paging::{ListError, Page, Paging};

/// One page of the grants of an org, or of all orgs; ended ones too.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(
    engine: &Engine,
    _scope: &OperatorScope,
    org: Option<&OrgId>,
    paging: &Paging,
) -> Result<Page<Grant>, ListError> {
    let before = paging.after().map(crate::overrides::cursor).transpose()?;
    let mut connection = engine.db().read().await?;
    let mut grants = sql::list(&mut connection, org, before, paging.fetch()).await?;
    // What periods have drawn since draws were last written down counts too.
    let mut used = BTreeMap::new();
    for grant in grants.iter_mut().filter(|grant| grant.open) {
        let of_org: &mut BTreeMap<String, i64> = match used.entry(grant.org_key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(book::used(&mut connection, grant.org_key).await?),
        };
        grant.used = of_org.get(&grant.grant_id).copied().unwrap_or(grant.used);
    }
    Ok(paging.page(grants, |grant| format!("{} {}", grant.created_at.as_micros(), grant.grant_id)))
}
