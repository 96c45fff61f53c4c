//! What we ask of billing, in our words. Requests are plain data that can be stored: an operation freezes its request
//! before it is sent, and sends exactly the same again after a crash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_rules::ids::{CustomerId, OrgId, PaymentMethodId, PriceId};
use tollgate_rules::money::Money;
use tollgate_rules::period::{Interval, Period};
use tollgate_rules::time::Timestamp;

/// A customer to be made for an org.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewCustomer {
    /// The org it will belong to; written on the customer, so that it can be found again.
    pub org_id: OrgId,
    /// Where invoices are sent.
    pub email: Option<String>,
    /// The name on invoices.
    pub name: Option<String>,
}

/// What changes on a customer; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomerChange {
    /// Where invoices are sent.
    pub email: Option<String>,
    /// The name on invoices.
    pub name: Option<String>,
    /// The method invoices are charged to.
    pub default_payment_method: Option<PaymentMethodId>,
    /// The org it belongs to, after a relink.
    pub org_id: Option<OrgId>,
}

/// A product to be made, under an id of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewProduct {
    /// Our id, for example `tg_starter`.
    pub product_id: String,
    /// The name on invoices.
    pub name: String,
    /// Free pairs.
    pub metadata: BTreeMap<String, String>,
}

/// A price to be made. Its amount, currency and interval never change afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewPrice {
    /// The product it belongs to.
    pub product_id: String,
    /// What one unit costs per interval.
    pub amount: Money,
    /// How often it is charged.
    pub interval: Interval,
    /// The name it is found by; taken over from an older price that has it.
    pub lookup_key: String,
    /// Free pairs.
    pub metadata: BTreeMap<String, String>,
}

/// What changes on a price; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PriceChange {
    /// Whether it can still be bought.
    pub active: Option<bool>,
    /// The name it is found by.
    pub lookup_key: Option<String>,
    /// Free pairs to set.
    pub metadata: BTreeMap<String, String>,
}

/// A subscription to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewSubscription {
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The org it is for; written on the subscription.
    pub org_id: OrgId,
    /// What is bought.
    pub price_id: PriceId,
    /// How many (seats).
    pub quantity: i64,
    /// Days of trial; a trial that ends without a payment method is cancelled. `None`: no trial.
    pub trial_days: Option<u32>,
    /// What happens when the first payment fails.
    pub payment: PaymentBehavior,
    /// The method its invoices are charged to, when it differs from the customer's.
    pub default_payment_method: Option<PaymentMethodId>,
    /// Whether tax is worked out by where the customer is.
    #[serde(default)]
    pub automatic_tax: bool,
}

/// What changes on a subscription; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionChange {
    /// Another price or quantity.
    pub item: Option<ItemChange>,
    /// What becomes of items that are charged by use, where they cannot stay as they are.
    #[serde(default)]
    pub metered: Vec<MeteredMove>,
    /// Whether a running trial ends now, which always invoices.
    pub trial: TrialChange,
    /// How the rest of the running period is settled.
    pub proration: Option<Proration>,
    /// The instant proration is computed for: the quote's, so that the charge equals what was shown.
    pub proration_at: Option<Timestamp>,
    /// Whether billing periods start anew.
    pub anchor: Option<Anchor>,
    /// What happens when the payment fails.
    pub payment: Option<PaymentBehavior>,
    /// Whether it ends with the running period.
    pub cancel_at_period_end: Option<bool>,
    /// Takes back a date at which it was going to end.
    #[serde(default)]
    pub clear_cancel_at: bool,
    /// The method its invoices are charged to.
    pub default_payment_method: Option<PaymentMethodId>,
    /// A coupon that is redeemed with the change.
    #[serde(default)]
    pub coupon: Option<String>,
    /// Whether tax is worked out by where the customer is. A change that waits for its payment cannot bring it along: it is switched on
    /// before, and only previews of such a change say it.
    #[serde(default)]
    pub automatic_tax: bool,
}

/// Another price or quantity for the one item of a subscription. Both are always sent: a price without a quantity
/// would reset it to one, and a price without the item would add a second item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemChange {
    /// The item that changes.
    pub item_id: String,
    /// What is bought from now on.
    pub price_id: PriceId,
    /// How many from now on.
    pub quantity: i64,
}

/// An item that is charged by use goes to another price of its meter: all items of a subscription are charged equally often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeteredMove {
    /// The item.
    pub item_id: String,
    /// The price it has.
    pub from: PriceId,
    /// The price it gets; nothing: it is taken away.
    pub to: Option<PriceId>,
}

/// Whether a running trial ends now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialChange {
    /// It goes on as it is.
    #[default]
    Keep,
    /// It ends now.
    EndNow,
}

/// How the rest of the running period is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// Not at all: the change counts from the next renewal.
    Nothing,
    /// On the next invoice.
    NextInvoice,
    /// On an invoice of its own, now.
    InvoiceNow,
}

/// Whether billing periods start anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The running period ends, and a new one starts now.
    Now,
    /// Periods stay as they are.
    Unchanged,
}

/// What happens when a payment fails or needs the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentBehavior {
    /// The change happens, and stays unpaid for now.
    AllowIncomplete,
    /// The change happens, and waits for the customer's confirmation.
    DefaultIncomplete,
    /// The change is refused, nothing changes.
    ErrorIfIncomplete,
    /// The change waits; the old state stays until it is paid.
    PendingIfIncomplete,
}

/// What is left to settle when a subscription is cancelled at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelSettlement {
    /// Nothing is credited and nothing more is charged.
    Nothing,
    /// The unused rest is credited, what is open is invoiced.
    Prorate,
}

/// What a subscription is going to be when its running phase ends; everything not named in a phase would be unset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchedulePhases {
    /// What is subscribed to now, in full.
    pub running: Vec<PhaseItem>,
    /// When that began and ends.
    pub period: Period,
    /// What is subscribed to afterwards, in full.
    pub next: Vec<PhaseItem>,
    /// How often that is charged.
    pub interval: Interval,
    /// Whether billing periods start anew with it: where the interval is another one.
    pub fresh_anchor: bool,
}

/// One item of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseItem {
    /// What is bought.
    pub price_id: PriceId,
    /// How many; nothing for what is metered.
    pub quantity: Option<i64>,
}

/// A webhook endpoint to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewWebhookEndpoint {
    /// Where deliveries are sent.
    pub url: String,
    /// Which events are sent; empty means those the inbox understands.
    pub events: Vec<String>,
}
