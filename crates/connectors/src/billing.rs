//! The role *billing*: customers, catalog, subscriptions, payments, invoices and events, in our words.
//!
//! A closed enum. `Off` needs nothing and refuses every call; `Stripe` speaks to Stripe or to the sandbox, which only
//! differ by their address. Every change demands an [`IdempotencyKey`] made from a durable operation. Lookups answer
//! `None` for what does not exist (any more), because to a projection "gone" is a state and not a failure.

mod adjustments;
mod answer;
mod changes;
mod error;
mod hosted;
mod key;
mod one_off;
mod request;
mod tax;
mod usage;

pub use adjustments::{
    CouponFact, CreditFact, CreditNoteFact, Lasting, NewCoupon, NewCredit, NewCreditNote, NewPromotion, NewRefund, Off,
    PromotionFact, RefundFact, Refundable,
};
pub use answer::{
    EventHint, ObjectKind, ObjectRef, Page, Payment, PaymentMethodFact, PreviewFact, PriceFact, ProductFact,
    ScheduleFact, SetupIntentFact, Subscribed, WebhookEndpointFact,
};
pub use error::Error;
pub use hosted::{CheckoutFact, CheckoutState, NewCheckout, SavedMethod};
pub use key::{IdempotencyKey, InvalidKey};
pub use one_off::NewOneOff;
pub use request::{
    Anchor, CancelSettlement, CustomerChange, ItemChange, MeteredMove, NewCustomer, NewPrice, NewProduct,
    NewSubscription, NewWebhookEndpoint, PaymentBehavior, PhaseItem, PriceChange, Proration, SchedulePhases,
    SubscriptionChange, TrialChange,
};

pub use tax::{TaxAddress, TaxIdFact, TaxIdGiven};
pub use usage::{MeterEvent, MeteredItem, NewInvoiceItem, NewMeter, NewMeteredPrice};

use secrecy::SecretString;
use tollgate_rules::billing::{CustomerFact, InvoiceFact, SubscriptionFact};
use tollgate_rules::ids::{CustomerId, InvoiceId, OrgId, PaymentMethodId, SubscriptionId};
use tollgate_rules::time::Timestamp;

pub use crate::stripe::calls::EVENTS;
pub use crate::stripe::permissions::{Permission, Seen};
use crate::stripe::webhook;
pub use crate::stripe::webhook::Error as SignatureError;
use crate::stripe::{self, translate};

/// Who bills.
#[derive(Debug, Clone)]
pub enum Billing {
    /// Stripe, or a server that speaks its language.
    Stripe(stripe::Client),
    /// Nobody: every call answers [`Error::Off`].
    Off,
}

impl Billing {
    /// Whether anybody bills.
    pub fn is_on(&self) -> bool {
        self.stripe().is_ok()
    }

    fn stripe(&self) -> Result<&stripe::Client, Error> {
        match self {
            Self::Stripe(client) => Ok(client),
            Self::Off => Err(Error::Off),
        }
    }

    /// What the key we call with may, as far as harmless reads show it.
    ///
    /// # Errors
    /// `Off`.
    pub async fn permissions(&self) -> Result<Vec<(Permission, Seen)>, Error> {
        Ok(self.stripe()?.permissions().await)
    }

    /// Makes a customer for an org.
    ///
    /// # Errors
    /// See [`Error`]; after `Unavailable` the same key may be sent again.
    pub async fn create_customer(&self, key: &IdempotencyKey, new: &NewCustomer) -> Result<CustomerFact, Error> {
        Ok(translate::customer(&self.stripe()?.create_customer(key, new).await?.value)?)
    }

    /// Fetches a customer; a deleted one is told as such.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn customer(&self, id: &CustomerId) -> Result<Option<CustomerFact>, Error> {
        let found = translate::found(self.stripe()?.customer(id.as_str()).await)?;
        found.map(|customer| Ok(translate::customer(&customer)?)).transpose()
    }

    /// The customer that was made for `org_id` with this e-mail address, when the answer to its creation was lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_customer(&self, email: &str, org_id: &OrgId) -> Result<Option<CustomerFact>, Error> {
        let client = self.stripe()?;
        let mut after = None;
        loop {
            let page = client.customers_by_email(email, after.as_deref()).await?.value;
            for customer in &page.data {
                let fact = translate::customer(customer)?;
                if fact.org_id.as_ref() == Some(org_id) && !fact.deleted {
                    return Ok(Some(fact));
                }
            }
            after = page.data.last().map(|customer| customer.id.clone()).filter(|_| page.has_more);
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// Changes a customer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_customer(
        &self,
        key: &IdempotencyKey,
        id: &CustomerId,
        change: &CustomerChange,
    ) -> Result<CustomerFact, Error> {
        Ok(translate::customer(&self.stripe()?.update_customer(key, id.as_str(), change).await?.value)?)
    }

    /// Deletes a customer for good; its subscriptions end there, its invoices stay.
    ///
    /// # Errors
    /// See [`Error`]; `Missing` when it is gone already.
    pub async fn delete_customer(&self, _key: &IdempotencyKey, id: &CustomerId) -> Result<(), Error> {
        // Stripe takes no key on DELETE: the second one finds nothing.
        self.stripe()?.delete_customer(id.as_str()).await?;
        Ok(())
    }

    /// Fetches a product.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn product(&self, product_id: &str) -> Result<Option<ProductFact>, Error> {
        Ok(translate::found(self.stripe()?.product(product_id).await)?.and_then(translate::product))
    }

    /// Makes a product under an id of ours.
    ///
    /// # Errors
    /// See [`Error`]; `Refused` when the id is taken.
    pub async fn create_product(&self, key: &IdempotencyKey, new: &NewProduct) -> Result<ProductFact, Error> {
        let product = self.stripe()?.create_product(key, new).await?.value;
        translate::product(product).ok_or_else(|| Error::Garbled("a new product is deleted".to_owned()))
    }

    /// The active prices that have one of these lookup keys (any number of keys).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn prices(&self, lookup_keys: &[String]) -> Result<Vec<PriceFact>, Error> {
        let mut prices = Vec::new();
        for keys in lookup_keys.chunks(stripe::calls::LOOKUP_KEYS_MAX) {
            let page = self.stripe()?.prices_by_lookup_key(keys).await?.value;
            for price in &page.data {
                prices.push(translate::price(price)?);
            }
        }
        Ok(prices)
    }

    /// One page of the prices on sale that come again, newest first; those that a meter counts for are left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn recurring_prices_page(&self, after: Option<&str>) -> Result<Page<PriceFact>, Error> {
        let page = self.stripe()?.recurring_prices(after).await?.value;
        let next = page.data.last().map(|price| price.id.clone()).filter(|_| page.has_more);
        let metered = |price: &&stripe::wire::Price| price.recurring.as_ref().is_some_and(|one| one.meter.is_some());
        let items = page.data.iter().filter(|price| !metered(price)).map(translate::price);
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }

    /// Makes a price; the lookup key moves to it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_price(&self, key: &IdempotencyKey, new: &NewPrice) -> Result<PriceFact, Error> {
        Ok(translate::price(&self.stripe()?.create_price(key, new).await?.value)?)
    }

    /// Changes what may change on a price.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_price(
        &self,
        key: &IdempotencyKey,
        price_id: &str,
        change: &PriceChange,
    ) -> Result<PriceFact, Error> {
        Ok(translate::price(&self.stripe()?.update_price(key, price_id, change).await?.value)?)
    }

    /// Makes a subscription.
    ///
    /// # Errors
    /// See [`Error`]; `Declined` when the payment was refused and nothing was made.
    pub async fn create_subscription(&self, key: &IdempotencyKey, new: &NewSubscription) -> Result<Subscribed, Error> {
        let client = self.stripe()?;
        let subscription = client.create_subscription(key, new).await?.value;
        subscribed(client, &subscription).await
    }

    /// Fetches a subscription.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<Option<SubscriptionFact>, Error> {
        let found = translate::found(self.stripe()?.subscription(id.as_str()).await)?;
        found.map(|subscription| Ok(translate::subscription(&subscription)?)).transpose()
    }

    /// All subscriptions of a customer, ended ones too, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscriptions_of(&self, customer_id: &CustomerId) -> Result<Vec<SubscriptionFact>, Error> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.subscriptions_page(Some(customer_id), after.as_deref()).await?;
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// One page of the account's subscriptions, ended ones too, newest first. One that we have no words for is left
    /// out (and logged), so that it cannot hide the others.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscriptions_page(
        &self,
        customer_id: Option<&CustomerId>,
        after: Option<&str>,
    ) -> Result<Page<SubscriptionFact>, Error> {
        let customer = customer_id.map(CustomerId::as_str);
        let page = self.stripe()?.subscriptions(customer, after).await?.value;
        let next = page.data.last().map(|subscription| subscription.id.clone()).filter(|_| page.has_more);
        Ok(Page { items: page.data.iter().filter_map(translate::subscription_or_log).collect(), next })
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// See [`Error`]; `Declined` when the payment was refused and nothing changed.
    pub async fn update_subscription(
        &self,
        key: &IdempotencyKey,
        id: &SubscriptionId,
        change: &SubscriptionChange,
    ) -> Result<Subscribed, Error> {
        let client = self.stripe()?;
        let subscription = client.update_subscription(key, id.as_str(), change).await?.value;
        subscribed(client, &subscription).await
    }

    /// Cancels a subscription at once. One that is cancelled already is answered as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cancel_subscription(
        &self,
        id: &SubscriptionId,
        settlement: CancelSettlement,
    ) -> Result<SubscriptionFact, Error> {
        let client = self.stripe()?;
        let cancelled = match client.cancel_subscription(id.as_str(), settlement).await {
            Err(stripe::Error::Missing(refusal)) => {
                client.subscription(id.as_str()).await.map_err(|_| stripe::Error::Missing(refusal))?
            }
            answer => answer?,
        };
        Ok(translate::subscription(&cancelled.value)?)
    }

    /// Starts collecting a payment method for later charges.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_setup_intent(
        &self,
        key: &IdempotencyKey,
        customer_id: &CustomerId,
    ) -> Result<SetupIntentFact, Error> {
        let intent = self.stripe()?.create_setup_intent(key, customer_id.as_str()).await?.value;
        let secret = intent.client_secret.ok_or_else(|| Error::Garbled("a setup intent has no secret".to_owned()))?;
        Ok(SetupIntentFact { setup_intent_id: intent.id, client_secret: SecretString::from(secret) })
    }

    /// Fetches a payment method.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn payment_method(&self, id: &PaymentMethodId) -> Result<Option<PaymentMethodFact>, Error> {
        let found = translate::found(self.stripe()?.payment_method(id.as_str()).await)?;
        found.map(|method| Ok(translate::payment_method(&method)?)).transpose()
    }

    /// Attaches a payment method to a customer.
    ///
    /// # Errors
    /// See [`Error`]; `Declined` when the bank refuses the card.
    pub async fn attach_payment_method(
        &self,
        key: &IdempotencyKey,
        id: &PaymentMethodId,
        customer_id: &CustomerId,
    ) -> Result<PaymentMethodFact, Error> {
        let method = self.stripe()?.attach_payment_method(key, id.as_str(), customer_id.as_str()).await?.value;
        Ok(translate::payment_method(&method)?)
    }

    /// Fetches an invoice with all its lines.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn invoice(&self, id: &InvoiceId) -> Result<Option<InvoiceFact>, Error> {
        let client = self.stripe()?;
        let Some(mut invoice) = translate::found(client.invoice(id.as_str()).await)? else { return Ok(None) };
        client.complete_lines(&mut invoice).await?;
        Ok(Some(translate::invoice(&invoice)?))
    }

    /// One page of a customer's invoices, newest first, with the lines that came along (at least ten).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn invoices_page(
        &self,
        customer_id: &CustomerId,
        after: Option<&str>,
    ) -> Result<Page<InvoiceFact>, Error> {
        let page = self.stripe()?.invoices(customer_id.as_str(), after).await?.value;
        let next = page.data.last().map(|invoice| invoice.id.clone()).filter(|_| page.has_more);
        let items = page.data.iter().map(translate::invoice).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    /// Fetches an event.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn event(&self, event_id: &str) -> Result<Option<EventHint>, Error> {
        let found = translate::found(self.stripe()?.event(event_id).await)?;
        found.map(|event| Ok(translate::event(&event)?)).transpose()
    }

    /// One page of the events since `since`, newest first, each with its raw text. The provider keeps 30 days.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn events_page(&self, since: Timestamp, after: Option<&str>) -> Result<Page<(EventHint, String)>, Error> {
        let answer = self.stripe()?.events(translate::whole_seconds(since), after).await?;
        let next = answer.value.data.last().map(|event| event.id.clone()).filter(|_| answer.value.has_more);
        let raw = answer.raw["data"].as_array().cloned().unwrap_or_default();
        let pairs = answer.value.data.iter().zip(raw);
        let items = pairs.map(|(event, raw)| Ok((translate::event(event)?, raw.to_string())));
        Ok(Page { items: items.collect::<Result<_, Error>>()?, next })
    }

    /// Reads a delivered event. Only after [`Billing::verify`].
    ///
    /// # Errors
    /// `Garbled` when it is not an event.
    pub fn read_event(raw: &[u8]) -> Result<EventHint, Error> {
        let event = serde_json::from_slice(raw).map_err(|error| Error::Garbled(error.to_string()))?;
        Ok(translate::event(&event)?)
    }

    /// Checks that a delivery was signed with one of `secrets`, over the raw bytes.
    ///
    /// # Errors
    /// The delivery must not be stored or acted on.
    pub fn verify(raw: &[u8], header: &str, secrets: &[SecretString], now: Timestamp) -> Result<(), SignatureError> {
        webhook::verify(raw, header, secrets, translate::whole_seconds(now))
    }

    /// The account's webhook endpoints.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn webhook_endpoints(&self) -> Result<Vec<WebhookEndpointFact>, Error> {
        let page = self.stripe()?.webhook_endpoints().await?.value;
        Ok(page.data.into_iter().map(translate::webhook_endpoint).collect())
    }

    /// Makes a webhook endpoint, pinned to the version we read; the answer holds its secret.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_webhook_endpoint(
        &self,
        key: &IdempotencyKey,
        new: &NewWebhookEndpoint,
    ) -> Result<WebhookEndpointFact, Error> {
        Ok(translate::webhook_endpoint(self.stripe()?.create_webhook_endpoint(key, new).await?.value))
    }
}

/// Reads how the payment went: a change whose payment is open is looked up at its payment intent, because only that
/// says whether the customer can still confirm.
pub(crate) async fn subscribed(
    client: &stripe::Client,
    subscription: &stripe::wire::Subscription,
) -> Result<Subscribed, Error> {
    let fact = translate::subscription(subscription)?;
    let invoice_id = fact.latest_invoice.clone();
    let payment = match translate::open_payment(subscription) {
        translate::OpenPayment::Nothing => Payment::Settled,
        translate::OpenPayment::Unknown => Payment::Declined,
        translate::OpenPayment::Intent(id) => translate::payment(client.payment_intent(&id).await?.value),
    };
    Ok(Subscribed { fact, payment, invoice_id })
}
