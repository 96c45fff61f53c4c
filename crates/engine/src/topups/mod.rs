//! Top-ups: units of a metric that an org buys once, beside its plan. Tables `topups`, `catalog_topups`.
//!
//! Words: a *pack* is what the catalog sells; a *purchase* is one row, from the draft of its invoice to its units. Buying is a stored
//! operation: a one-off invoice is made at billing, charged at once, and what it pays for is a grant.
//!
//! Invariants: units are given once per purchase, in the transaction that learns that its invoice is paid, whoever learns it first;
//! what was declined gives nothing and leaves nothing to pay; a purchase's row is there before its invoice is charged.

mod buy;
mod charge;
mod list;
mod paid;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use tollgate_rules::catalog::TopupLasts;
use tollgate_rules::ids::{CustomerId, InvoiceId, Metric, PaymentMethodId, TopupCode};
use tollgate_rules::money::Money;
use tollgate_rules::time::Timestamp;

use crate::subscriptions;

pub use buy::{Buy, buy};
pub(crate) use charge::advance;
pub use list::list;
pub(crate) use paid::paid;

/// Where a purchase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its invoice is being charged.
    Charging,
    /// The customer must confirm the payment.
    Waiting,
    /// Paid: its units were given.
    Paid,
    /// Declined: nothing was given.
    Declined,
}

impl State {
    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Charging => "charging",
            State::Waiting => "waiting",
            State::Paid => "paid",
            State::Declined => "declined",
        }
    }

    fn parse(word: &str) -> Option<State> {
        [State::Charging, State::Waiting, State::Paid, State::Declined].into_iter().find(|one| one.as_str() == word)
    }
}

/// What is bought, frozen when the purchase begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// The pack's code.
    pub code: TopupCode,
    /// What the customer reads.
    pub name: String,
    /// Of what.
    pub metric: Metric,
    /// Units, all packs together.
    pub units: i64,
    /// What they cost, all packs together.
    pub price: Money,
    /// How long they last.
    pub lasts: TopupLasts,
}

/// A purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The operation that makes it.
    pub topup_id: String,
    /// What is bought.
    pub pack: Pack,
    /// What it is paid with.
    pub invoice_id: InvoiceId,
    /// Where it is.
    pub state: State,
    /// The units, once they are given.
    pub grant_id: Option<String>,
    /// Until when they last; nothing before they are given, and where they last until they are used up.
    pub expires_at: Option<Timestamp>,
    /// Who bought it.
    pub actor: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
}

/// The frozen body of the operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    payment_method_id: Option<PaymentMethodId>,
    pack: Pack,
    at: Timestamp,
    #[serde(default)]
    automatic_tax: bool,
}

/// Why nothing was bought.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalog sells no such pack.
    #[error("there is no such top-up")]
    Unknown,
    /// The pack is not sold to orgs on this plan.
    #[error("this top-up is not sold to orgs on this plan")]
    NotForPlan,
    /// Too few or too many packs at once.
    #[error("quantity is a whole number from 1 to 1000")]
    BadQuantity,
    /// The org pays in another currency.
    #[error("this top-up is sold in another currency than the org pays in")]
    OtherCurrency,
    /// As for every change that is charged.
    #[error(transparent)]
    Subscription(#[from] subscriptions::Error),
}

impl From<crate::db::Error> for Error {
    fn from(error: crate::db::Error) -> Error {
        Error::Subscription(error.into())
    }
}
