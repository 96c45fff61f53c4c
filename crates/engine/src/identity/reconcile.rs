//! Compares orgs and memberships with who keeps them, and makes ours the same: nightly, and when the operator asks.

use std::collections::BTreeSet;
use std::time::Duration;

use tollgate_connectors::identity::{Fact, OrgFact};
use tollgate_rules::time::Timestamp;

use super::apply::{self, After};
use super::follow::write;
use super::{Error, is_elsewhere, sql};
use crate::db::{self, Lane};
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};
use crate::orgs;

/// Pages of one list that are asked for at most.
const PAGES_MAX: usize = 10_000;

/// What a comparison found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Organizations looked at.
    pub orgs: u64,
    /// Memberships looked at.
    pub memberships: u64,
    /// What was not as it is there, and is now.
    pub drift: u64,
}

/// Runs nightly; there is nothing to compare where identities are kept here.
pub(crate) async fn job(engine: &Engine) -> Result<Outcome, Failure> {
    if is_elsewhere(engine) {
        let found = Box::pin(reconcile(engine)).await.map_err(|error| db::Error::Unavailable(error.to_string()))?;
        let Reconciled { orgs, memberships, drift } = found;
        metrics::counter!("tollgate_identity_drift_total").increment(drift);
        tracing::info!(orgs, memberships, drift, "identities were compared");
    }
    Ok(Outcome::Again { at: engine.now().plus(Duration::from_secs(24 * 3600)) })
}

/// Compares everything once.
///
/// # Errors
/// [`Error`]: what was compared so far stays.
pub async fn reconcile(engine: &Engine) -> Result<Reconciled, Error> {
    let mut found = Reconciled::default();
    let mut offset = 0;
    for _ in 0..PAGES_MAX {
        let page = engine.identity().organizations(offset).await?;
        for org in page.items {
            found.orgs += 1;
            one_org(engine, org, &mut found).await?;
        }
        offset += page.taken;
        if page.taken == 0 || offset >= page.total {
            break;
        }
    }
    Ok(found)
}

async fn one_org(engine: &Engine, org: OrgFact, found: &mut Reconciled) -> Result<(), Error> {
    // Whoever joins while the list is read is not taken for gone.
    let began = engine.now();
    let org_id = org.org_id.clone();
    let mut members = Vec::new();
    let mut offset = 0;
    for _ in 0..PAGES_MAX {
        let page = engine.identity().memberships(&org_id, offset).await?;
        offset += page.taken;
        let last = page.taken == 0 || offset >= page.total;
        members.extend(page.items);
        if last {
            break;
        }
    }
    found.memberships += u64::try_from(members.len()).unwrap_or(u64::MAX);
    found.drift += write(engine, Fact::Org(org)).await?;
    let present: BTreeSet<String> = members.iter().map(|member| member.user_id.to_string()).collect();
    for member in members {
        found.drift += write(engine, Fact::Membership(member)).await?;
    }
    found.drift += remove_others(engine, &org_id, present, began).await?;
    Ok(())
}

/// Members of ours who are none there.
async fn remove_others(
    engine: &Engine,
    org_id: &tollgate_rules::ids::OrgId,
    present: BTreeSet<String>,
    began: Timestamp,
) -> Result<u64, Error> {
    let task = engine.clone();
    let org_id = org_id.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let Some(org_key) = orgs::sql::org_key(&mut tx, &org_id).await? else { return Ok((0, After::default())) };
        let scope = apply::scope_of(org_key, &org_id);
        let mut after = After::default();
        let mut removed = 0;
        for user_id in sql::members_before(&mut tx, &scope, began).await? {
            if !present.contains(user_id.as_str()) {
                apply::remove(&task, &mut tx, &scope, &user_id, &mut after).await?;
                sql::mark_gone_about(&mut tx, &format!("{org_id}/{user_id}")).await?;
                removed += 1;
            }
        }
        tx.commit().await?;
        Ok::<_, db::Error>((removed, after))
    };
    let (removed, after) = engine.db().detached(write).await?;
    after.carry_out(engine);
    Ok(removed)
}
