//! Opens billing's portal for an org.

use secrecy::SecretString;

use tollgate_connectors::billing::IdempotencyKey;

use super::{Error, check_return_url, sql};
use crate::access::OrgScope;
use crate::engine::Engine;

/// Opens the portal where the org's people look after plan, cards and invoices. What they do there is heard of like any other change.
///
/// This is no operation: it changes nothing that we keep, and the address is a secret that works for a short while and is never stored.
///
/// # Errors
/// [`Error::BadUrl`], [`Error::NoCustomer`]; [`Error::BillingUnavailable`]: nothing was opened, ask again.
pub async fn open_portal(engine: &Engine, scope: &OrgScope, return_url: Option<&str>) -> Result<SecretString, Error> {
    if let Some(address) = return_url {
        check_return_url("returnUrl", address)?;
    }
    let customer = sql::customer(&mut engine.read_for(scope).await?, scope.org_key()).await?;
    let customer = customer.filter(|customer| !customer.deleted).ok_or(Error::NoCustomer)?;
    let key = IdempotencyKey::of_step(&engine.new_id("portal_"), "session")
        .map_err(|error| Error::Billing(error.to_string()))?;
    Ok(engine.billing().open_portal(&key, &customer.customer_id, return_url).await?)
}
