//! The job after a global flag that decisions read was changed: resolves every org's rights anew, page by page.

use tollgate_rules::ids::OrgKey;

use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::jobs::{Failure, Outcome};
use crate::{ledger, orgs};

/// Orgs of one transaction.
const ORGS: i64 = 50;

/// Goes over all orgs. Running it twice changes nothing more.
pub(crate) async fn decide_anew(engine: &Engine) -> Result<Outcome, Failure> {
    let mut after = OrgKey(0);
    loop {
        let task = engine.clone();
        let page = engine.db().detached(async move { refresh_page(&task, after).await }).await?;
        let Some(last) = page.last() else { return Ok(Outcome::Done) };
        after = *last;
        for org_key in &page {
            engine.ledger().forget(*org_key);
        }
    }
}

async fn refresh_page(engine: &Engine, after: OrgKey) -> Result<Vec<OrgKey>, Error> {
    let mut tx = engine.db().begin(Lane::Control).await?;
    let page = orgs::sql::keys_after(&mut tx, after, ORGS).await?;
    for org_key in &page {
        ledger::refresh(engine, &mut tx, *org_key).await?;
    }
    tx.commit().await?;
    Ok(page)
}
