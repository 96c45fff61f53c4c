//! Statements about quotes.

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::Quote;
use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&INSERT, &FIND, &CONFIRM, &DELETE_OLD];

const INSERT: Statement = Statement::new(
    "quotes.insert",
    "INSERT INTO quotes (org_key, quote_id, body, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
);

pub(super) async fn insert(tx: &mut Tx, org_key: OrgKey, quote: &Quote, now: Timestamp) -> Result<(), Error> {
    let body = serde_json::to_string(quote).map_err(|error| Error::Bug(format!("a quote: {error}")))?;
    let args = [org_key.0.into(), (&quote.quote_id).into(), body.into(), now.into(), quote.expires_at.into()];
    tx.execute(&INSERT, &args).await.map(|_| ())
}

const FIND: Statement =
    Statement::new("quotes.find", "SELECT body, confirmed_at FROM quotes WHERE org_key = $1 AND quote_id = $2");

/// An org's quote, and whether it was confirmed.
pub(super) async fn find(
    connection: &mut Connection,
    org_key: OrgKey,
    quote_id: &str,
) -> Result<Option<(Quote, bool)>, Error> {
    let Some(row) = connection.optional(&FIND, &[org_key.0.into(), quote_id.into()]).await? else { return Ok(None) };
    let quote =
        serde_json::from_str(&row.text("body")?).map_err(|error| Error::Bug(format!("a stored quote: {error}")))?;
    Ok(Some((quote, row.opt_time("confirmed_at")?.is_some())))
}

const CONFIRM: Statement = Statement::new(
    "quotes.confirm",
    "UPDATE quotes SET confirmed_at = $3 WHERE org_key = $1 AND quote_id = $2 AND confirmed_at IS NULL",
);

/// Notes that what a quote shows was charged.
pub(crate) async fn confirm(tx: &mut Tx, org_key: OrgKey, quote_id: &str, now: Timestamp) -> Result<(), Error> {
    tx.execute(&CONFIRM, &[org_key.0.into(), quote_id.into(), now.into()]).await.map(|_| ())
}

const DELETE_OLD: Statement = Statement::new(
    "quotes.delete_old",
    "DELETE FROM quotes
     WHERE quote_id IN (SELECT quote_id FROM quotes WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
);

pub(crate) async fn delete_old(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&DELETE_OLD, &[before.into(), limit.into()]).await
}
