//! Everything that is stored about an org, for it to take.

use std::future::Future;

use super::{Org, get};
use crate::access::OrgScope;
use crate::activation::{self, Site};
use crate::alerts::{self, Summary};
use crate::engine::Engine;
use crate::invoices::{self, Invoice};
use crate::keys::{self, Key};
use crate::members::{self, Invitation, Member};
use crate::paging::{ListError, Page, Paging};

/// Rows told of each list at most.
const ROWS_MAX: usize = 10_000;

/// What is stored about an org, but for the single events of its ledger: those are read page by page.
#[derive(Debug, Clone)]
pub struct Export {
    /// The org.
    pub org: Org,
    /// Its members.
    pub members: Vec<Member>,
    /// Invitations that wait.
    pub invitations: Vec<Invitation>,
    /// Its keys, without secrets.
    pub keys: Vec<Key>,
    /// Its activated sites.
    pub sites: Vec<Site>,
    /// Its invoices.
    pub invoices: Vec<Invoice>,
    /// What it used of each metric on each day.
    pub days: Vec<Summary>,
    /// Lists that are longer than what is told of them.
    pub cut: Vec<&'static str>,
}

/// What is stored about the org of the scope.
///
/// # Errors
/// [`super::Error`].
pub async fn export(engine: &Engine, scope: &OrgScope) -> Result<Export, super::Error> {
    let mut cut = Vec::new();
    let org = get(engine, scope).await?;
    let page = |paging: Paging| async move { members::list(engine, scope, &paging).await };
    let members = all("members", &mut cut, page).await?;
    let page = |paging: Paging| async move { members::pending(engine, scope, &paging).await };
    let invitations = all("invitations", &mut cut, page).await?;
    let page = |paging: Paging| async move { keys::list(engine, scope, &paging).await };
    let keys = all("keys", &mut cut, page).await?;
    let page = |paging: Paging| async move { activation::list_sites(engine, scope, &paging).await };
    let sites = all("sites", &mut cut, page).await?;
    let page = |paging: Paging| async move {
        invoices::list(engine, scope, &paging).await.map_err(|error| match error {
            invoices::Error::BadCursor(error) => ListError::BadCursor(error),
            invoices::Error::Database(error) => ListError::Database(error),
        })
    };
    let invoices = all("invoices", &mut cut, page).await?;
    let page = |paging: Paging| async move { alerts::summaries(engine, scope, &paging).await };
    let days = all("days", &mut cut, page).await?;
    Ok(Export { org, members, invitations, keys, sites, invoices, days, cut })
}

/// Every page of a list, up to a bound.
async fn all<T, F>(
    name: &'static str,
    cut: &mut Vec<&'static str>,
    page: impl Fn(Paging) -> F,
) -> Result<Vec<T>, super::Error>
where
    F: Future<Output = Result<Page<T>, ListError>>,
{
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let paging = Paging::new(Some(200), cursor.as_deref()).map_err(ListError::from).map_err(unreadable)?;
        let read = page(paging).await.map_err(unreadable)?;
        rows.extend(read.items);
        match read.next {
            None => return Ok(rows),
            Some(_) if rows.len() >= ROWS_MAX => {
                cut.push(name);
                return Ok(rows);
            }
            Some(next) => cursor = Some(next),
        }
    }
}

fn unreadable(error: ListError) -> super::Error {
    match error {
        ListError::Database(error) => super::Error::Database(error),
        ListError::BadCursor(error) => super::Error::Database(crate::db::Error::Bug(error.to_string())),
    }
}
