//! The shapes Stripe sends, cut down to the fields we read (API 2026-10-28.endive).
//!
//! Everything but ids and what an object means is optional; enums are open (`Other`), because Stripe adds values
//! without a new version. Periods live on the items: a subscription has no period of its own since `basil`.

mod adjustments;
mod endpoint;
mod event;
mod hosted;
mod schedule;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use adjustments::{
    BalanceTransaction, Charge, Coupon, CreditNote, InvoicePayment, NoteRefund, OPERATION_MARK, PaidBy, PaidIntent,
    PromotionCode, Refund, is_marked,
};
pub use endpoint::WebhookEndpoint;
pub use event::{Event, EventData, EventObject, PreviousAttributes};
pub use hosted::{Card, CheckoutSession, PortalSession};
pub use schedule::{Phase, PhaseItem, PhaseSpan, Schedule};

/// A field that holds an id, or the object itself when it was expanded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Expandable<T> {
    /// Only the id.
    Id(String),
    /// The expanded object.
    Object(Box<T>),
}

/// An object that has an id and that we do not look into further.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reference {
    /// The id.
    pub id: String,
}

/// What has an id of Stripe's.
pub trait Identified {
    /// The id.
    fn id(&self) -> &str;
}

impl Identified for Reference {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Invoice {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T: Identified> Expandable<T> {
    /// The id, expanded or not.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }

    /// The object, when it was expanded.
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct List<T> {
    /// The objects.
    pub data: Vec<T>,
    /// Whether older ones follow.
    #[serde(default)]
    pub has_more: bool,
}

/// Free text pairs that we wrote on an object.
pub type Metadata = BTreeMap<String, String>;

/// A customer; `deleted` customers keep nothing but their id.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Customer {
    /// `cus_…`
    pub id: String,
    /// Whether it was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// The billing e-mail address.
    pub email: Option<String>,
    /// What it pays in, once settled; lower case ISO 4217.
    pub currency: Option<String>,
    /// Ours: `tollgate_org`.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// Holds the default payment method.
    pub invoice_settings: Option<InvoiceSettings>,
}

/// A customer's settings for invoices.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InvoiceSettings {
    /// The method invoices are charged to.
    pub default_payment_method: Option<Expandable<Reference>>,
}

/// A product.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Product {
    /// `prod_…` or an id of ours.
    pub id: String,
    /// Whether it was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// Whether it can be bought.
    pub active: Option<bool>,
    /// The name on invoices.
    pub name: Option<String>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

/// A price.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Price {
    /// `price_…`
    pub id: String,
    /// Whether it can be bought.
    pub active: Option<bool>,
    /// The name we find it by.
    pub lookup_key: Option<String>,
    /// Lower case ISO 4217.
    pub currency: Option<String>,
    /// Minor units; absent for prices that are not one whole amount.
    pub unit_amount: Option<i64>,
    /// The product it belongs to.
    pub product: Option<Expandable<Reference>>,
    /// How often it is charged.
    pub recurring: Option<Recurring>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

/// How often a price is charged, and whether by count or by use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Recurring {
    /// `month`, `year`, …
    pub interval: Interval,
    /// Every so many intervals.
    pub interval_count: Option<i64>,
    /// `licensed` or `metered`.
    pub usage_type: Option<String>,
    /// The meter that counts for a metered price.
    pub meter: Option<String>,
}

/// The unit of a billing interval.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Each month.
    Month,
    /// Each year.
    Year,
    /// `day`, `week`, or a newer one.
    #[serde(untagged)]
    Other(String),
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Subscription {
    /// `sub_…`
    pub id: String,
    /// Whose it is.
    pub customer: Expandable<Reference>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Unix seconds.
    pub created: i64,
    /// The instant billing periods are stepped from.
    pub billing_cycle_anchor: i64,
    /// What is subscribed to.
    pub items: List<SubscriptionItem>,
    /// Start of the trial.
    pub trial_start: Option<i64>,
    /// End of the trial.
    pub trial_end: Option<i64>,
    /// When it will be cancelled, if so set.
    pub cancel_at: Option<i64>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: Option<bool>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// The method its invoices are charged to.
    pub default_payment_method: Option<Expandable<Reference>>,
    /// The newest invoice.
    pub latest_invoice: Option<Expandable<Invoice>>,
    /// A change that waits for its payment.
    pub pending_update: Option<PendingUpdate>,
    /// What it becomes when its running phase ends.
    pub schedule: Option<Expandable<Schedule>>,
    /// Ours.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

/// Where a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// In its trial.
    Trialing,
    /// Paid, or about to be.
    Active,
    /// The newest invoice is unpaid, and Stripe still tries.
    PastDue,
    /// Stripe gave up trying.
    Unpaid,
    /// Over.
    Canceled,
    /// A trial ended without a way to pay, and was paused.
    Paused,
    /// The first payment is missing.
    Incomplete,
    /// The first payment never came.
    IncompleteExpired,
    /// A status newer than this version.
    #[serde(untagged)]
    Other(String),
}

/// One line of a subscription.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SubscriptionItem {
    /// `si_…`
    pub id: String,
    /// What is bought.
    pub price: Price,
    /// How many; absent for metered prices.
    pub quantity: Option<i64>,
    /// Start of the running period.
    pub current_period_start: i64,
    /// End of the running period.
    pub current_period_end: i64,
}

/// A change that is applied once its invoice is paid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PendingUpdate {
    /// When Stripe drops it.
    pub expires_at: Option<i64>,
    /// The items it would set.
    pub subscription_items: Option<Vec<PendingItem>>,
}

/// An item as a pending update would set it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PendingItem {
    /// The item it changes.
    pub id: Option<String>,
    /// The price it would have.
    pub price: Option<Price>,
    /// The quantity it would have.
    pub quantity: Option<i64>,
}

/// An invoice.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Invoice {
    /// `in_…`
    pub id: String,
    /// Whose it is.
    pub customer: Option<Expandable<Reference>>,
    /// Where it stands; null only in previews.
    pub status: Option<InvoiceStatus>,
    /// Printed number, once finalized.
    pub number: Option<String>,
    /// Why it was made.
    pub billing_reason: Option<String>,
    /// Lower case ISO 4217.
    pub currency: String,
    /// Minor units, before the customer's balance.
    pub total: i64,
    /// Minor units to pay.
    pub amount_due: i64,
    /// Minor units paid.
    pub amount_paid: i64,
    /// Unix seconds.
    pub created: i64,
    /// Start of what it covers.
    pub period_start: Option<i64>,
    /// End of what it covers.
    pub period_end: Option<i64>,
    /// Page of the invoice; expires.
    pub hosted_invoice_url: Option<String>,
    /// What it belongs to.
    pub parent: Option<InvoiceParent>,
    /// The first lines.
    pub lines: Option<List<InvoiceLine>>,
    /// How often payment was tried.
    pub attempt_count: Option<i64>,
    /// The secret with which a browser can confirm the payment.
    pub confirmation_secret: Option<ConfirmationSecret>,
}

/// Where an invoice stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Still changing.
    Draft,
    /// To be paid.
    Open,
    /// Paid.
    Paid,
    /// Cancelled.
    Void,
    /// Given up.
    Uncollectible,
    /// A status newer than this version.
    #[serde(untagged)]
    Other(String),
}

/// What an invoice belongs to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InvoiceParent {
    /// Present when it belongs to a subscription.
    pub subscription_details: Option<ParentSubscription>,
}

/// The subscription an invoice belongs to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ParentSubscription {
    /// `sub_…`
    pub subscription: Option<Expandable<Reference>>,
}

/// The secret a browser confirms a payment with.
#[derive(Clone, PartialEq, Deserialize)]
pub struct ConfirmationSecret {
    /// For Stripe.js.
    pub client_secret: Option<String>,
}

impl std::fmt::Debug for ConfirmationSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ConfirmationSecret(…)")
    }
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InvoiceLine {
    /// `il_…`
    pub id: String,
    /// Minor units, signed.
    pub amount: i64,
    /// Lower case ISO 4217.
    pub currency: String,
    /// What it is for.
    pub description: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// What it covers.
    pub period: LinePeriod,
    /// What it comes from.
    pub parent: Option<LineParent>,
    /// What discounts took off it.
    #[serde(default)]
    pub discount_amounts: Option<Vec<LineDiscount>>,
    /// The tax on it.
    #[serde(default)]
    pub taxes: Option<Vec<LineTax>>,
    /// What its amount comes from.
    pub pricing: Option<LinePricing>,
}

/// What one discount took off a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LineDiscount {
    /// Minor units.
    pub amount: i64,
}

/// One tax on a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineTax {
    /// Minor units.
    pub amount: i64,
    /// `exclusive` (added) or `inclusive` (contained in the amount).
    pub tax_behavior: Option<String>,
}

/// What a line's amount comes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LinePricing {
    /// The price, where it is one.
    pub price_details: Option<LinePrice>,
}

/// The price of a line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LinePrice {
    /// `price_…`
    pub price: Option<Expandable<Reference>>,
}

/// What an invoice line covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LinePeriod {
    /// Unix seconds.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
}

/// What an invoice line comes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LineParent {
    /// A subscription's item.
    pub subscription_item_details: Option<LineSource>,
    /// A single item.
    pub invoice_item_details: Option<LineSource>,
}

/// Whether a line settles a change within a period.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LineSource {
    /// True for a credit or charge of part of a period.
    pub proration: Option<bool>,
}

/// A setup intent.
#[derive(Clone, PartialEq, Deserialize)]
pub struct SetupIntent {
    /// `seti_…`
    pub id: String,
    /// For Stripe.js.
    pub client_secret: Option<String>,
    /// `requires_payment_method`, `succeeded`, …
    pub status: String,
}

impl std::fmt::Debug for SetupIntent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SetupIntent({}, {})", self.id, self.status)
    }
}

/// A payment method.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentMethod {
    /// `pm_…`
    pub id: String,
    /// Whose it is, once attached.
    pub customer: Option<Expandable<Reference>>,
    /// `card`, …
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What may be shown of it, where it is a card.
    pub card: Option<Card>,
}

/// A payment intent.
#[derive(Clone, PartialEq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`
    pub id: String,
    /// `requires_action`, `succeeded`, …
    pub status: String,
    /// For Stripe.js.
    pub client_secret: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Lower case ISO 4217.
    pub currency: Option<String>,
}

impl std::fmt::Debug for PaymentIntent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PaymentIntent({}, {})", self.id, self.status)
    }
}
