//! What becomes of a refund after it was made: the bank may send the money back days later.

use serde_json::json;

use tollgate_connectors::billing::RefundFact;
use tollgate_rules::ids::OrgKey;

use super::sql;
use crate::audit;
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::incidents;
use crate::subscriptions::Applied;

/// Notes where a refund stands, with its audit entry where that is news. One that failed is an incident until it goes on: the money
/// is back at billing, and the customer does not have it. `of` is whose customer it belongs to, as far as that is known.
pub(crate) async fn follow_refund(
    engine: &Engine,
    tx: &mut Tx,
    of: Option<OrgKey>,
    fact: &RefundFact,
) -> Result<Applied, Error> {
    let made = sql::of_refund(tx, &fact.refund_id).await?;
    let Some(org_key) = made.as_ref().map(|made| made.org_key).or(of) else { return Ok(Applied::Foreign) };
    watch(engine, tx, org_key, fact).await?;
    let Some(made) = made.filter(|made| made.status.as_deref() != Some(&fact.status)) else {
        return Ok(Applied::Unchanged(org_key));
    };
    sql::set_refund_status(tx, (org_key, &made.adjustment_id), &fact.status).await?;
    let entry = audit::Entry::by_system("inbox", org_key, "refunds.update", &fact.refund_id)
        .before(json!({ "status": made.status }))
        .after(json!({ "status": fact.status, "failure": fact.failure }));
    audit::append(engine, tx, entry).await?;
    Ok(Applied::Changed(org_key))
}

async fn watch(engine: &Engine, tx: &mut Tx, org_key: OrgKey, fact: &RefundFact) -> Result<(), Error> {
    let kind = incidents::Kind::RefundFailed;
    if !fact.has_failed() {
        return incidents::close(engine, tx, kind, &fact.refund_id).await;
    }
    let why = fact.failure.as_deref().unwrap_or("the bank gave no reason");
    let detail = format!("{} {} went back to billing: {why}", fact.amount.minor, fact.amount.currency);
    let seen = incidents::Seen { org_key: org_key.0, kind, subject: &fact.refund_id, detail: &detail };
    incidents::open(engine, tx, &seen).await
}
