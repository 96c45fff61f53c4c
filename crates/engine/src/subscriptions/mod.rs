//! What billing told us about each org, and the one door (`apply_fact`) through which it enters.
//! Tables `customers`, `subscriptions`, `entitlements`.
//!
//! Words: a *fact* is an object as it was at one fetch; the *mirror* is our row of it; the subscription that *counts* is chosen among
//! an org's by `rules::subscription`; a *snapshot* is what decided an org's rights from some moment on.
//!
//! Invariants: the mirror is overwritten by facts and by nothing else, under the customer's lease; a change writes one audit entry,
//! no change writes nothing; a subscription keeps the plan version it was sold while its price stays; one trial per org ever.

mod apply_fact;
pub(crate) mod create;
mod create_setup_intent;
pub(crate) mod detach_method;
mod differs;
pub(crate) mod downgrade;
pub(crate) mod end;
pub(crate) mod ensure_customer;
mod entitlements;
mod facts;
mod list_methods;
pub(crate) mod migrate;
mod mirror;
mod open_portal;
mod return_url;
mod schedules;
pub(crate) mod set_default_method;
mod snapshot;
pub(crate) mod sql;
mod sync;
pub(crate) mod tax;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod upgrade;

pub use create::{Created, NewSubscription, create};
pub use create_setup_intent::{SetupIntent, create_setup_intent};
pub use detach_method::detach_method;
pub use downgrade::{Scheduled, cancel_downgrade, schedule_downgrade};
pub use end::{EndsAt, Standing, cancel, pause, resume};
pub use ensure_customer::{Ensured, ensure_customer};
pub use entitlements::{Entitlements, MetricEntitlement, entitlements};
pub use list_methods::{Method, list_methods};
pub use migrate::{Migrate, Migrated, Moved, migrate, preview_migration};
pub use open_portal::open_portal;
pub use set_default_method::set_default_method;
pub use tax::{NewTaxDetails, TaxDetails, set_tax_details, tax_details};
pub use tollgate_connectors::billing::{TaxAddress, TaxIdFact, TaxIdGiven};
pub use upgrade::{Upgrade, Upgraded, upgrade};

pub(crate) use apply_fact::{Applied, Cause, Fact, apply_fact};
pub(crate) use create::{QUANTITY_MAX, standing};
pub(crate) use create::{keys_are_forgotten, living};
pub(crate) use differs::differs;
pub(crate) use facts::facts;
pub(crate) use mirror::Mirror;
pub(crate) use return_url::check_return_url;
pub(crate) use snapshot::remember;
pub(crate) use sql::CustomerRow;
pub(crate) use sync::{stop, sync};

use secrecy::SecretString;

use tollgate_connectors::billing;
use tollgate_rules::billing::SubscriptionStatus;
use tollgate_rules::ids::OperationId;
use tollgate_rules::time::Timestamp;

use crate::operations::{self, Code};
use crate::quotes::Quote;
use crate::{db, metering, plans};

/// Why a change of an org's subscription did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No price of the catalog has this lookup key.
    #[error("no plan is sold under this lookup key")]
    UnknownPrice,
    /// No plan that can be bought has this code, or it is not sold for this interval.
    #[error("no such plan can be chosen")]
    UnknownPlan,
    /// The plan is not self-service: it is agreed with a person.
    #[error("this plan is not self-service")]
    NotSelfService,
    /// Seats are a whole number from 1 to 1,000,000.
    #[error("quantity is a whole number from 1 to 1000000")]
    BadQuantity,
    /// The e-mail address is none.
    #[error("not an e-mail address")]
    BadEmail,
    /// An address to return to is none a browser can be sent to: the field that holds it.
    #[error("an absolute http or https address of at most 2000 bytes")]
    BadUrl(&'static str),
    /// The name of the org that is to be made breaks its rule.
    #[error("1 to 200 bytes without control characters")]
    BadOrgName,
    /// A running subscription would have nothing left to be charged to.
    #[error("this is the only payment method of a running subscription; set another default first")]
    OnlyMethod,
    /// Billing knows no such payment method, or it is another customer's.
    #[error("no such payment method")]
    UnknownPaymentMethod,
    /// The org has no customer at billing yet.
    #[error("the org has no customer yet")]
    NoCustomer,
    /// The org has no subscription that could be changed.
    #[error("the org has no subscription")]
    NoSubscription,
    /// The org has a subscription to another price.
    #[error("the org has another subscription")]
    AlreadySubscribed,
    /// The org is on this plan already.
    #[error("the org is on this plan already")]
    AlreadyOnPlan,
    /// The plan is not sold for this interval.
    #[error("this plan is not sold for this interval")]
    NotSoldSo,
    /// The plan costs another currency than the subscription is charged in.
    #[error("this plan is sold in another currency than the subscription's")]
    OtherCurrency,
    /// Billing knows no such coupon, or it cannot be redeemed for this change.
    #[error("no such coupon for this change")]
    BadCoupon,
    /// The subscription is in a status in which it cannot be changed.
    #[error("the subscription is {}: it cannot be changed so now", .0.as_str())]
    NotChangeable(SubscriptionStatus),
    /// What is chosen is less than the org has: that happens at the period's end.
    #[error("this is a downgrade: it can be scheduled for {0}")]
    IsDowngrade(Timestamp),
    /// What is chosen is more than the org has: that happens now.
    #[error("this is an upgrade: it happens now, not at the period's end")]
    IsUpgrade,
    /// The subscription is going to end then anyway.
    #[error("the subscription ends on {0}; resume it first")]
    Ending(Timestamp),
    /// The subscription has ended.
    #[error("the subscription has ended; a new one has to be begun")]
    Ended,
    /// What stands beside the quote is not what the quote says.
    #[error("not what the quote says")]
    QuoteDiffers(Vec<&'static str>),
    /// The quote expired or no longer holds; here is what it would be now.
    #[error("the quote no longer holds")]
    QuoteStale(Box<Quote>),
    /// There is no such quote.
    #[error("no such quote")]
    UnknownQuote,
    /// Another change of this org is under way.
    #[error("another change is under way: {0}")]
    Busy(OperationId),
    /// The payment or the payment method was refused; nothing changed.
    #[error("the payment was refused")]
    PaymentFailed {
        /// What may be shown to the customer.
        message: String,
        /// The bank's reason (`insufficient_funds`), when there is one.
        reason: Option<String>,
    },
    /// Tax is worked out by where the customer is, and billing does not know that well enough. Nothing changed.
    #[error("billing does not know where the org is")]
    NoPlace,
    /// A part of what is to be known for taxing is wrong: the field.
    #[error("not what billing can tax by")]
    BadTaxDetails(&'static str),
    /// The customer must confirm the payment; until then nothing changes.
    #[error("the payment must be confirmed")]
    PaymentActionRequired {
        /// For the browser.
        client_secret: SecretString,
    },
    /// Billing does not answer; the change is stored and completes by itself.
    #[error("billing does not answer; operation {operation_id:?} completes by itself")]
    BillingUnavailable {
        /// The stored change; nothing when nothing was stored.
        operation_id: Option<OperationId>,
    },
    /// Billing refused what we asked: a mistake of ours or of the configuration.
    #[error("billing refused: {0}")]
    Billing(String),
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl From<billing::Error> for Error {
    fn from(error: billing::Error) -> Error {
        match error {
            billing::Error::Declined { message, reason, client_secret, .. } => match client_secret {
                Some(client_secret) => Error::PaymentActionRequired { client_secret },
                None => Error::PaymentFailed { message, reason },
            },
            billing::Error::NoPlace(_) => Error::NoPlace,
            billing::Error::BadTaxId(_) => Error::BadTaxDetails("taxIds"),
            billing::Error::Unavailable(_) => Error::BillingUnavailable { operation_id: None },
            other => Error::Billing(other.to_string()),
        }
    }
}

impl From<operations::Error> for Error {
    fn from(error: operations::Error) -> Error {
        match error {
            operations::Error::Pending { operation_id } => {
                Error::BillingUnavailable { operation_id: Some(operation_id) }
            }
            operations::Error::Database(error) => error.into(),
            operations::Error::Refused(refusal) => match (refusal.code, refusal.client_secret) {
                (Code::PaymentActionRequired, Some(client_secret)) => Error::PaymentActionRequired { client_secret },
                (Code::PaymentFailed | Code::PaymentActionRequired, _) => {
                    Error::PaymentFailed { message: refusal.message, reason: refusal.reason }
                }
                (Code::NoPlace, _) => Error::NoPlace,
                (Code::BadTaxId, _) => Error::BadTaxDetails("taxIds"),
                (Code::Missing | Code::Refused | Code::Credentials | Code::Off, _) => Error::Billing(refusal.message),
            },
        }
    }
}

impl From<metering::Error> for Error {
    fn from(error: metering::Error) -> Error {
        match error {
            metering::Error::Database(error) => error.into(),
            metering::Error::Billing(error) => error.into(),
        }
    }
}

impl From<plans::Error> for Error {
    fn from(error: plans::Error) -> Error {
        match error {
            plans::Error::Database(error) => error.into(),
            plans::Error::Billing(error) => error.into(),
        }
    }
}
