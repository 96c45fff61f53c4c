//! Erases one org.

use tollgate_rules::ids::OrgKey;

use super::outside::{self, Outside};
use super::{batches, sql};
use crate::audit::{self, Of};
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// Erases what a closed org and its people were called, wrote and were written to. Its public id, its ledger, its invoices'
/// numbers and its journal's chain stay. Its customer at billing goes first: while billing does not answer, nothing is erased here.
pub(super) async fn erase(engine: &Engine, org_key: OrgKey) -> Result<(), Error> {
    if outside::delete_customer(engine, org_key).await? == Outside::Waits {
        return Ok(());
    }
    for statement in super::OF_ORG {
        batches(engine, statement, sql::Subject::Org(org_key.0)).await?;
    }
    while journal(engine, org_key).await? {}
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        if sql::mark_org(&mut tx, org_key, task.now()).await? {
            let entry = audit::Entry::by_system("erasure", org_key, "orgs.erase", org_key.0.to_string());
            audit::append(&task, &mut tx, entry).await?;
        }
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// One batch of the org's journal; whether there may be more.
async fn journal(engine: &Engine, org_key: OrgKey) -> Result<bool, Error> {
    let task = engine.clone();
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        let rows = task.limits().control_rows_max;
        let erased = audit::erase(&mut tx, Of::Org(org_key.0), rows).await?;
        tx.commit().await?;
        Ok::<_, Error>(i64::try_from(erased).unwrap_or(0) == rows)
    };
    engine.db().detached(write).await
}
