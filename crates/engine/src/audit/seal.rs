//! Chains committed entries, org by org.

use super::digest::{Link, chained};
use super::sql;
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// Orgs looked at in one turn.
const ORGS_MAX: i64 = 200;

/// Seals what was committed and is not chained yet; returns how many entries that were.
///
/// Safe to run on several nodes: an org's head is locked for the transaction that moves it. Commit order does not matter,
/// because only an entry without a place in the chain is given one.
///
/// # Errors
/// The database's; what was sealed before stays sealed.
pub async fn seal(engine: &Engine) -> Result<u64, Error> {
    let orgs = {
        let mut connection = engine.db().read().await?;
        sql::unsealed_orgs(&mut connection, ORGS_MAX).await?
    };
    let mut sealed = 0;
    for org_key in orgs {
        let task = engine.clone();
        sealed += engine.db().detached(async move { seal_org(&task, org_key).await }).await?;
    }
    Ok(sealed)
}

async fn seal_org(engine: &Engine, org_key: i64) -> Result<u64, Error> {
    let mut tx = engine.db().begin(Lane::Control).await?;
    let (mut chain_no, mut hash) = sql::lock_head(&mut tx, org_key).await?;
    let mut sealed = Vec::new();
    for row in sql::unsealed(&mut tx, org_key, engine.limits().seal_rows_max).await? {
        chain_no += 1;
        let link = Link {
            org_key,
            chain_no,
            entry_id: &row.text("entry_id")?,
            occurred_at: row.i64("occurred_at")?,
            action: &row.text("action")?,
            corr_id: &row.text("corr_id")?,
            digests: &row.text("digests")?,
        };
        let next = chained(&hash, &link);
        sealed.push(sql::Sealed { seq: row.i64("seq")?, chain_no, prev_hash: hash, hash: next.clone() });
        hash = next;
    }
    let touched = sql::seal(&mut tx, org_key, &sealed).await?;
    tx.commit().await?;
    Ok(touched)
}
