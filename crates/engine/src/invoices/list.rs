//! An org's invoices.

use tollgate_rules::billing::InvoiceFact;
use tollgate_rules::time::Timestamp;

use super::sql;
use crate::access::OrgScope;
use crate::db;
use crate::engine::Engine;
use crate::paging::{BadCursor, Page, Paging};

/// An invoice as it is shown.
pub type Invoice = InvoiceFact;

/// Why a list cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page's cursor is none of ours.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// One page of an org's invoices, newest first.
///
/// # Errors
/// [`Error`].
pub async fn list(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Invoice>, Error> {
    let before = paging.after().map(position).transpose()?;
    let mut connection = engine.read_for(scope).await?;
    let invoices = sql::newest(&mut connection, scope, before, paging.fetch()).await?;
    Ok(paging.page(invoices, |invoice| format!("{}:{}", invoice.created.as_micros(), invoice.invoice_id)))
}

/// Where the last page ended: many invoices may share a second, so the id decides among them.
fn position(cursor: &str) -> Result<(Timestamp, &str), BadCursor> {
    let (micros, invoice_id) = cursor.split_once(':').ok_or(BadCursor)?;
    Ok((Timestamp::from_micros(micros.parse().map_err(|_| BadCursor)?), invoice_id))
}
