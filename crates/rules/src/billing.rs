//! Facts: what billing told us, in our words.
//!
//! A connector translates the provider's objects into these; `subscription` decides what they mean. A fact is the whole object
//! as it was at one fetch, so applying it is overwriting, never merging.

use crate::ids::{CustomerId, InvoiceId, OrgId, PaymentMethodId, PriceId, SubscriptionId};
use crate::money::Money;
use crate::period::{Interval, Period};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The states of a subscription at Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// In its trial.
    Trialing,
    /// Paid.
    Active,
    /// The latest payment failed; Stripe retries.
    PastDue,
    /// Stripe gave up retrying and left it open.
    Unpaid,
    /// Ended.
    Canceled,
    /// Its trial ended without a payment method and it was set to pause.
    Paused,
    /// The first payment has not succeeded yet.
    Incomplete,
    /// The first payment never succeeded.
    IncompleteExpired,
}

impl SubscriptionStatus {
    /// Every status.
    pub const ALL: [SubscriptionStatus; 8] = [
        SubscriptionStatus::Trialing,
        SubscriptionStatus::Active,
        SubscriptionStatus::PastDue,
        SubscriptionStatus::Unpaid,
        SubscriptionStatus::Canceled,
        SubscriptionStatus::Paused,
        SubscriptionStatus::Incomplete,
        SubscriptionStatus::IncompleteExpired,
    ];

    /// The status as Stripe and the API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SubscriptionStatus::Trialing => "trialing",
            SubscriptionStatus::Active => "active",
            SubscriptionStatus::PastDue => "past_due",
            SubscriptionStatus::Unpaid => "unpaid",
            SubscriptionStatus::Canceled => "canceled",
            SubscriptionStatus::Paused => "paused",
            SubscriptionStatus::Incomplete => "incomplete",
            SubscriptionStatus::IncompleteExpired => "incomplete_expired",
        }
    }

    /// Reads a status; nothing for a word we do not know.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A subscription as it was at one fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionFact {
    /// Its id.
    pub subscription_id: SubscriptionId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// Its state.
    pub status: SubscriptionStatus,
    /// The price of its (first) item: what its plan is found by.
    pub price_id: PriceId,
    /// The price's lookup key, for people; never used to find the plan.
    pub lookup_key: Option<String>,
    /// The item that carries the price.
    pub item_id: String,
    /// Seats.
    pub quantity: i64,
    /// How often the price is charged.
    pub interval: Interval,
    /// The original anchor of its cycle (`billing_cycle_anchor`).
    pub anchor: Timestamp,
    /// The item's current period.
    pub item_period: Period,
    /// Its trial, past or present.
    pub trial: Option<Period>,
    /// When it is going to end by itself (also where it ends with its period).
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// The payment method of the subscription itself; the customer's stands in where there is none.
    pub default_payment_method: Option<PaymentMethodId>,
    /// Its latest invoice.
    pub latest_invoice: Option<InvoiceId>,
    /// When the latest invoice was made, where the fetch brought it along: an unpaid one starts the days of grace.
    pub latest_invoice_created: Option<Timestamp>,
    /// The price it changes to by itself at the end of the item's period (a scheduled downgrade).
    pub pending_price: Option<PendingPrice>,
}

/// A price that a subscription changes to by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPrice {
    /// The price that comes.
    pub price_id: PriceId,
    /// From when on.
    pub at: Timestamp,
    /// Seats from then on.
    pub quantity: i64,
}

/// A customer as it was at one fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerFact {
    /// Its id.
    pub customer_id: CustomerId,
    /// Its address for invoices.
    pub email: Option<String>,
    /// The org it belongs to, from our own mark on it (`tollgate_org`).
    pub org_id: Option<OrgId>,
    /// What its invoices are paid with.
    pub default_payment_method: Option<PaymentMethodId>,
    /// Whether it was deleted there.
    pub deleted: bool,
}

/// The states of an invoice at Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Not yet final.
    Draft,
    /// To be paid.
    Open,
    /// Paid.
    Paid,
    /// Given up.
    Uncollectible,
    /// Cancelled.
    Void,
}

impl InvoiceStatus {
    /// Every status.
    pub const ALL: [InvoiceStatus; 5] = [
        InvoiceStatus::Draft,
        InvoiceStatus::Open,
        InvoiceStatus::Paid,
        InvoiceStatus::Uncollectible,
        InvoiceStatus::Void,
    ];

    /// The status as Stripe and the API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            InvoiceStatus::Draft => "draft",
            InvoiceStatus::Open => "open",
            InvoiceStatus::Paid => "paid",
            InvoiceStatus::Uncollectible => "uncollectible",
            InvoiceStatus::Void => "void",
        }
    }

    /// Reads a status; nothing for a word we do not know.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An invoice as it was at one fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceFact {
    /// Its id.
    pub invoice_id: InvoiceId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The subscription it is for.
    pub subscription_id: Option<SubscriptionId>,
    /// The number printed on it, once final.
    pub number: Option<String>,
    /// Its state.
    pub status: InvoiceStatus,
    /// What it comes to.
    pub total: Money,
    /// What is to be paid of it, in the same currency's minor units.
    pub amount_due: i64,
    /// What has been paid of it.
    pub amount_paid: i64,
    /// The page where it can be seen and paid.
    pub url: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The span it bills.
    pub period: Period,
    /// Why it was made (`subscription_create`, `subscription_cycle`, …).
    pub reason: Option<String>,
    /// Its lines.
    pub lines: Vec<InvoiceLine>,
}

/// One line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// What it is for, in Stripe's words.
    pub description: Option<String>,
    /// Its amount; negative for a credit.
    pub amount: Money,
    /// How many.
    pub quantity: Option<i64>,
    /// The span it is for.
    pub period: Period,
    /// Whether it makes up for a change within a period.
    pub proration: bool,
    /// What discounts take off the amount, in its minor units.
    #[serde(default)]
    pub discount: i64,
    /// The tax that is added to the amount; tax that is contained in it stands nowhere.
    #[serde(default)]
    pub tax_added: i64,
    /// The price it comes from.
    #[serde(default)]
    pub price_id: Option<String>,
}

impl InvoiceLine {
    /// What the line adds to the invoice's total: always, the total is the sum of these.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.amount.minor - self.discount + self.tax_added
    }
}
