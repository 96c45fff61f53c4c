//! Starts collecting a payment method.

use secrecy::SecretString;

use tollgate_connectors::billing::IdempotencyKey;

use super::{Error, sql};
use crate::access::OrgScope;
use crate::engine::Engine;

/// A started collection.
#[derive(Debug, Clone)]
pub struct SetupIntent {
    /// Its id at billing.
    pub setup_intent_id: String,
    /// For the browser, where the customer enters the card. Never stored.
    pub client_secret: SecretString,
}

/// Starts collecting a payment method for the org's customer.
///
/// This is no operation: it changes nothing that we keep, its answer is a secret that is never stored, and one that got lost is
/// simply not used.
///
/// # Errors
/// [`Error::NoCustomer`]; [`Error::BillingUnavailable`]: nothing was started, ask again.
pub async fn create_setup_intent(engine: &Engine, scope: &OrgScope) -> Result<SetupIntent, Error> {
    let customer = {
        let mut connection = engine.read_for(scope).await?;
        sql::customer(&mut connection, scope.org_key()).await?
    };
    let customer = customer.filter(|customer| !customer.deleted).ok_or(Error::NoCustomer)?;
    let key = IdempotencyKey::of_step(&engine.new_id("setup_"), "setup_intent")
        .map_err(|error| Error::Billing(error.to_string()))?;
    let intent = engine.billing().create_setup_intent(&key, &customer.customer_id).await?;
    Ok(SetupIntent { setup_intent_id: intent.setup_intent_id, client_secret: intent.client_secret })
}
