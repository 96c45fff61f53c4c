//! The one door through which invoices enter.

use tollgate_rules::billing::InvoiceFact;
use tollgate_rules::ids::OrgKey;

use super::sql;

use crate::db::{Error, Tx};
use crate::engine::Engine;

/// Overwrites an org's invoice with what was fetched; says whether that changed anything.
pub(crate) async fn apply_fact(
    engine: &Engine,
    tx: &mut Tx,
    org_key: OrgKey,
    fact: &InvoiceFact,
) -> Result<bool, Error> {
    let known = sql::stored(tx, org_key, &fact.invoice_id).await?;
    if known.as_ref() == Some(fact) {
        return Ok(false);
    }
    sql::put(tx, org_key, fact, engine.clock().wall.now()).await?;
    // The address of an invoice's page is renewed by billing now and then, which changes nothing about the invoice.
    if known.as_ref().is_some_and(|known| InvoiceFact { url: fact.url.clone(), ..known.clone() } == *fact) {
        return Ok(false);
    }
    Ok(true)
}
