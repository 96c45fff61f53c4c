//! What billing answers where `tollgate_rules::billing` has no word for it.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tollgate_rules::billing::{InvoiceLine, SubscriptionFact};
use tollgate_rules::ids::{CustomerId, InvoiceId, PaymentMethodId, PriceId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::{Interval, Period};
use tollgate_rules::time::Timestamp;

use super::PhaseItem;

/// A product that can be bought.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductFact {
    /// Its id; ours where we made it.
    pub product_id: String,
    /// The name on invoices.
    pub name: String,
    /// Whether it can be bought.
    pub active: bool,
    /// Free pairs.
    pub metadata: BTreeMap<String, String>,
}

/// A price.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceFact {
    /// Its id.
    pub price_id: PriceId,
    /// The product it belongs to.
    pub product_id: Option<String>,
    /// The name it is found by.
    pub lookup_key: Option<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// What one unit costs; `None` for prices that are not one whole amount (tiers).
    pub amount: Option<Money>,
    /// How often it is charged; `None` for one-time prices and intervals we do not sell.
    pub interval: Option<Interval>,
    /// Free pairs.
    pub metadata: BTreeMap<String, String>,
}

/// The state after a subscription was made or changed.
#[derive(Debug, Clone)]
pub struct Subscribed {
    /// The subscription as it stands now.
    pub fact: SubscriptionFact,
    /// How the payment went that the change asked for.
    pub payment: Payment,
    /// The newest invoice.
    pub invoice_id: Option<InvoiceId>,
}

/// What a change would be charged now; nothing of it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewFact {
    /// The currency of all amounts.
    pub currency: Currency,
    /// The sum of the lines with their discounts and taxes, in minor units; negative where more is given back than charged.
    pub total: i64,
    /// What would be charged to the payment method: the total less what the customer has as credit.
    pub amount_due: i64,
    /// Its lines.
    pub lines: Vec<InvoiceLine>,
}

/// What a subscription is going to become by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleFact {
    /// Its id.
    pub schedule_id: String,
    /// When the running phase began and ends.
    pub period: Period,
    /// What is subscribed to in the running phase.
    pub running: Vec<PhaseItem>,
    /// What is subscribed to in the phase that follows, where one does, and when that runs.
    pub next: Option<(Period, Vec<PhaseItem>)>,
}

/// How the payment went that a change asked for.
#[derive(Debug, Clone)]
pub enum Payment {
    /// Nothing is open: the change is in force.
    Settled,
    /// The customer must confirm (3-D Secure) with this secret; until then the old state stays.
    ActionRequired {
        /// For the browser.
        client_secret: SecretString,
    },
    /// The payment was refused; the change is not in force.
    Declined,
}

/// A started collection of a payment method.
#[derive(Debug, Clone)]
pub struct SetupIntentFact {
    /// Its id.
    pub setup_intent_id: String,
    /// For the browser.
    pub client_secret: SecretString,
}

/// A payment method.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentMethodFact {
    /// Its id.
    pub payment_method_id: PaymentMethodId,
    /// Whose it is, once attached.
    pub customer_id: Option<CustomerId>,
}

/// A webhook endpoint.
#[derive(Debug, Clone)]
pub struct WebhookEndpointFact {
    /// Its id.
    pub endpoint_id: String,
    /// Where it sends.
    pub url: String,
    /// Whether it sends.
    pub enabled: bool,
    /// Only in the answer to its creation.
    pub secret: Option<SecretString>,
}

/// A hint that an object changed. What it says about the object is never believed; the object is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHint {
    /// The provider's id of the event (`evt_…`).
    pub event_id: String,
    /// The connected account it is of; empty for our own.
    pub account: String,
    /// For example `customer.subscription.updated`.
    pub kind: String,
    /// When it happened; whole seconds, shared by many.
    pub created: Timestamp,
    /// What changed.
    pub object: ObjectRef,
    /// Whose object it is, when the hint says so.
    pub customer_id: Option<CustomerId>,
    /// The version its object is written in.
    pub api_version: Option<String>,
    /// Whether real money is meant.
    pub live: bool,
}

/// Which object an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id; empty for the few objects without one.
    pub id: String,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A customer.
    Customer,
    /// A subscription.
    Subscription,
    /// An invoice.
    Invoice,
    /// A payment method.
    PaymentMethod,
    /// A setup intent.
    SetupIntent,
    /// A checkout.
    Checkout,
    /// A refund.
    Refund,
    /// Anything that does not change what we keep.
    Other,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<String>,
}
