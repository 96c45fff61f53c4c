//! What billing hosts for customers: a checkout that ends in a subscription, a portal, and the cards kept there.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, OrgId, PaymentMethodId, PriceId, SubscriptionId};
use tollgate_rules::time::Timestamp;

use super::{Billing, Error, IdempotencyKey, Page, PaymentMethodFact};
use crate::stripe::translate;

/// A checkout to be made. It is frozen before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewCheckout {
    /// Our own name of it; written on the session and on the subscription it makes.
    pub checkout_id: String,
    /// Who pays; nobody where the checkout makes the customer.
    pub customer_id: Option<CustomerId>,
    /// The address of the customer that is made.
    pub email: Option<String>,
    /// The org it is for; written on session and subscription.
    pub org_id: OrgId,
    /// The name of the org that is made when it is completed.
    pub org_name: Option<String>,
    /// What is bought.
    pub price_id: PriceId,
    /// How many (seats).
    pub quantity: i64,
    /// Days of trial; a trial that ends without a payment method is cancelled. `None`: no trial.
    pub trial_days: Option<u32>,
    /// Whether tax is calculated and tax ids are asked for.
    #[serde(default)]
    pub collect_tax: bool,
    /// Where the customer goes afterwards.
    pub success_url: String,
    /// Where the customer goes who turns back.
    pub cancel_url: String,
}

/// A checkout as it was at one fetch.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckoutFact {
    /// Billing's id of it.
    pub session_id: String,
    /// The page, while it is open.
    pub url: Option<String>,
    /// Where it is.
    pub state: CheckoutState,
    /// Who paid.
    pub customer_id: Option<CustomerId>,
    /// What it made.
    pub subscription_id: Option<SubscriptionId>,
    /// Our own name of it, where it is one of ours.
    pub checkout_id: Option<String>,
}

/// Where a checkout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutState {
    /// It can be completed.
    Open,
    /// It was completed.
    Complete,
    /// It cannot be completed any more.
    Expired,
}

/// A saved payment method, as far as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedMethod {
    /// Its id.
    pub payment_method_id: PaymentMethodId,
    /// What it is (`card`).
    pub kind: String,
    /// Its brand (`visa`), where it is a card.
    pub brand: Option<String>,
    /// The card's last four digits.
    pub last4: Option<String>,
    /// The month the card is good until.
    pub exp_month: Option<i64>,
    /// And the year.
    pub exp_year: Option<i64>,
}

impl Billing {
    /// Makes a checkout.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_checkout(&self, key: &IdempotencyKey, new: &NewCheckout) -> Result<CheckoutFact, Error> {
        Ok(translate::checkout(&self.stripe()?.create_checkout(key, new).await?.value)?)
    }

    /// Fetches a checkout.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn checkout(&self, session_id: &str) -> Result<Option<CheckoutFact>, Error> {
        let found = translate::found(self.stripe()?.checkout(session_id).await)?;
        found.map(|session| Ok(translate::checkout(&session)?)).transpose()
    }

    /// The checkout that was made under a name of ours since a moment, when the answer to its creation was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_checkout(&self, checkout_id: &str, since: Timestamp) -> Result<Option<CheckoutFact>, Error> {
        let mut after = None;
        loop {
            let page = self.stripe()?.checkouts(translate::whole_seconds(since), after.as_deref()).await?.value;
            for session in &page.data {
                let fact = translate::checkout(session)?;
                if fact.checkout_id.as_deref() == Some(checkout_id) {
                    return Ok(Some(fact));
                }
            }
            after = page.data.last().map(|session| session.id.clone()).filter(|_| page.has_more);
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// Ends an open checkout. One that is completed or over stays as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn expire_checkout(&self, key: &IdempotencyKey, session_id: &str) -> Result<(), Error> {
        match self.stripe()?.expire_checkout(key, session_id).await.map_err(Error::from) {
            Ok(_) => Ok(()),
            Err(Error::Refused(detail) | Error::Missing(detail)) => {
                tracing::info!(detail, "a checkout was not ended");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The checkout of ours that a subscription comes from; nothing else about it is read, because it may be anybody's.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn checkout_of_subscription(&self, id: &SubscriptionId) -> Result<Option<String>, Error> {
        let found = translate::found(self.stripe()?.subscription(id.as_str()).await)?;
        Ok(found.and_then(|subscription| translate::checkout_mark(subscription.metadata.as_ref())))
    }

    /// Opens the portal for a customer. Whoever has the address may act there for a while.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_portal(
        &self,
        key: &IdempotencyKey,
        customer_id: &CustomerId,
        return_url: Option<&str>,
    ) -> Result<SecretString, Error> {
        let session = self.stripe()?.create_portal_session(key, customer_id.as_str(), return_url).await?.value;
        Ok(SecretString::from(session.url))
    }

    /// One page of a customer's saved payment methods, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn payment_methods_page(
        &self,
        customer_id: &CustomerId,
        limit: i64,
        after: Option<&str>,
    ) -> Result<Page<SavedMethod>, Error> {
        let page = self.stripe()?.payment_methods(customer_id.as_str(), limit, after).await?.value;
        let next = page.data.last().map(|method| method.id.clone()).filter(|_| page.has_more);
        let items = page.data.into_iter().map(translate::saved_method).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    /// Takes a payment method away from its customer.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when it has none.
    pub async fn detach_payment_method(
        &self,
        key: &IdempotencyKey,
        id: &PaymentMethodId,
    ) -> Result<PaymentMethodFact, Error> {
        let method = self.stripe()?.detach_payment_method(key, id.as_str()).await?.value;
        Ok(translate::payment_method(&method)?)
    }
}
