//! Lists what an org can pay with.

use tollgate_connectors::billing::SavedMethod;

use super::{Error, create::standing};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{Page, Paging};

/// A saved payment method of an org.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// As billing keeps it, as far as it may be shown.
    pub saved: SavedMethod,
    /// Whether it is charged next.
    pub default: bool,
}

/// A page of what an org can pay with, newest first, as billing has it now. Without a customer there is nothing.
///
/// # Errors
/// [`Error::BillingUnavailable`].
pub async fn list_methods(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Method>, Error> {
    let found = standing(engine, scope).await?;
    let Some(customer) = found.customer.filter(|customer| !customer.deleted) else {
        return Ok(paging.page(Vec::new(), |_: &Method| String::new()));
    };
    let mut saved: Vec<SavedMethod> = Vec::new();
    let mut after = paging.after().map(str::to_owned);
    // Billing's pages are smaller than ours may be.
    while i64::try_from(saved.len()).unwrap_or(i64::MAX) < paging.fetch() {
        let page =
            engine.billing().payment_methods_page(&customer.customer_id, paging.fetch(), after.as_deref()).await?;
        saved.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    saved.truncate(usize::try_from(paging.fetch()).unwrap_or(usize::MAX));
    let own = found.mirror.and_then(|mirror| mirror.default_payment_method);
    let charged = own.or(customer.default_payment_method);
    let methods =
        saved.into_iter().map(|saved| Method { default: charged.as_ref() == Some(&saved.payment_method_id), saved });
    Ok(paging.page(methods.collect(), |method| method.saved.payment_method_id.to_string()))
}
