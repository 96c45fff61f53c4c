//! An org's invoices.

use tollgate_rules::billing::InvoiceFact;
use tollgate_rules::time::Timestamp;

use super::sql::{self, Below};
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
    let below = paging.after().map(position).transpose()?;
    let mut connection = engine.read_for(scope).await?;
    let invoices = sql::newest(&mut connection, scope, below, paging.fetch()).await?;
    Ok(paging.page(invoices, cursor))
}

fn cursor(invoice: &Invoice) -> String {
    let number = invoice.number.as_deref().unwrap_or_default();
    format!("{}:{}:{number}", invoice.created.as_micros(), invoice.invoice_id)
}

/// The reverse of [`cursor`]; a number may hold anything, so it stands last.
fn position(cursor: &str) -> Result<Below<'_>, BadCursor> {
    let (micros, rest) = cursor.split_once(':').ok_or(BadCursor)?;
    let (invoice_id, number) = rest.split_once(':').ok_or(BadCursor)?;
    let created = Timestamp::from_micros(micros.parse().map_err(|_| BadCursor)?);
    Ok(Below { created, number, invoice_id })
}
