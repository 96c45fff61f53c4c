//! The shapes of what Stripe hosts for customers: checkout, the portal, and the cards kept there.

use serde::Deserialize;

use super::{Expandable, Metadata, Reference};

/// A Checkout Session.
#[derive(Clone, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_…`
    pub id: String,
    /// The page, while it is open.
    pub url: Option<String>,
    /// `open`, `complete` or `expired`.
    pub status: Option<String>,
    /// Who pays; nobody yet where Checkout makes the customer.
    pub customer: Option<Expandable<Reference>>,
    /// What it made.
    pub subscription: Option<Expandable<Reference>>,
    /// Ours.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl std::fmt::Debug for CheckoutSession {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CheckoutSession({}, {:?})", self.id, self.status)
    }
}

/// A session of the customer portal.
#[derive(Clone, PartialEq, Deserialize)]
pub struct PortalSession {
    /// `bps_…`
    pub id: String,
    /// The page; whoever has it may act for the customer.
    pub url: String,
}

impl std::fmt::Debug for PortalSession {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PortalSession({})", self.id)
    }
}

/// What may be shown of a card.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Card {
    /// `visa`, …
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// The month it is good until.
    pub exp_month: Option<i64>,
    /// And the year.
    pub exp_year: Option<i64>,
}
