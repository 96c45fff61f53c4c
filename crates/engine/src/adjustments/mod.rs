//! What operators give or give back: coupons, promotion codes, credit, refunds, credit notes. Table `adjustments`.
//!
//! Each is an operation at billing. When it is done there, one row with its reason and one audit entry are written together;
//! billing stays the authority over what the objects are worth afterwards. What cannot be is refused before anything is begun:
//! a refund above what is left of a payment, credit in another currency, an invoice or coupon that is not there.
//!
//! Invariants: one row per operation that succeeded, none for one that was refused; a row never changes, save where the refund it made
//! stands: the bank may send the money back later.

mod coupon;
mod credit;
mod credit_note;
mod follow;
mod list;
mod promotion;
mod record;
mod refund;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use tollgate_connectors::billing;
pub use tollgate_connectors::billing::{Lasting, Off};
use tollgate_rules::ids::{InvoiceId, OperationId};
use tollgate_rules::money::Money;

use crate::db;
use crate::operations;

pub(crate) use coupon::advance as advance_coupon;
pub use coupon::{Coupon, create_coupon};
pub(crate) use credit::advance as advance_credit;
pub use credit::grant_credit;
pub(crate) use credit_note::advance as advance_credit_note;
pub use credit_note::{CreditNote, create_credit_note};
pub(crate) use follow::follow_refund;
pub use list::{Filter, Recorded, list};
pub(crate) use promotion::advance as advance_promotion;
pub use promotion::{Promotion, create_promotion};
pub(crate) use refund::advance as advance_refund;
pub use refund::{Refund, refund};

/// Something that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adjustment {
    /// A coupon.
    Coupon {
        /// Its id at billing.
        coupon_id: String,
        /// What it takes off.
        off: Off,
        /// How long.
        lasting: Lasting,
        /// Whether the org's subscription has it already.
        applied: bool,
    },
    /// A promotion code.
    Promotion {
        /// Its id at billing.
        promotion_id: String,
        /// The word.
        code: String,
        /// What it gives.
        coupon_id: String,
    },
    /// Credit that pays the next invoices.
    Credit {
        /// The entry's id at billing.
        credit_id: String,
        /// How much.
        amount: Money,
        /// All the credit there was after it.
        credit_left: i64,
    },
    /// Money back.
    Refund {
        /// Its id at billing.
        refund_id: String,
        /// Of which invoice.
        invoice_id: InvoiceId,
        /// How much.
        amount: Money,
        /// Where it stands.
        status: String,
    },
    /// A credit note.
    CreditNote {
        /// Its id at billing.
        credit_note_id: String,
        /// Of which invoice.
        invoice_id: InvoiceId,
        /// The number printed on it.
        number: String,
        /// What it comes to.
        total: Money,
        /// The refund it made.
        refund_id: Option<String>,
        /// Where that stands, once billing told.
        #[serde(default)]
        refund_status: Option<String>,
    },
}

/// The kinds of adjustments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Coupons.
    Coupon,
    /// Promotion codes.
    Promotion,
    /// Credit.
    Credit,
    /// Refunds.
    Refund,
    /// Credit notes.
    CreditNote,
}

impl Kind {
    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Coupon => "coupon",
            Kind::Promotion => "promotion",
            Kind::Credit => "credit",
            Kind::Refund => "refund",
            Kind::CreditNote => "credit_note",
        }
    }

    /// What the audit calls it.
    const fn action(self) -> &'static str {
        match self {
            Kind::Coupon => "coupons.create",
            Kind::Promotion => "promotions.create",
            Kind::Credit => "credits.grant",
            Kind::Refund => "refunds.create",
            Kind::CreditNote => "credit-notes.create",
        }
    }
}

impl Adjustment {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Adjustment::Coupon { .. } => Kind::Coupon,
            Adjustment::Promotion { .. } => Kind::Promotion,
            Adjustment::Credit { .. } => Kind::Credit,
            Adjustment::Refund { .. } => Kind::Refund,
            Adjustment::CreditNote { .. } => Kind::CreditNote,
        }
    }

    /// Its id at billing.
    #[must_use]
    pub fn billing_id(&self) -> &str {
        match self {
            Adjustment::Coupon { coupon_id, .. } => coupon_id,
            Adjustment::Promotion { promotion_id, .. } => promotion_id,
            Adjustment::Credit { credit_id, .. } => credit_id,
            Adjustment::Refund { refund_id, .. } => refund_id,
            Adjustment::CreditNote { credit_note_id, .. } => credit_note_id,
        }
    }
}

impl Adjustment {
    /// The refund it made, and where that stands as far as is known.
    fn refund(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Adjustment::Refund { refund_id, status, .. } => (Some(refund_id), Some(status)),
            Adjustment::CreditNote { refund_id, refund_status, .. } => (refund_id.as_deref(), refund_status.as_deref()),
            Adjustment::Coupon { .. } | Adjustment::Promotion { .. } | Adjustment::Credit { .. } => (None, None),
        }
    }

    /// The same with where its refund stands now.
    fn standing(mut self, now: Option<String>) -> Adjustment {
        match (&mut self, now) {
            (Adjustment::Refund { status, .. }, Some(now)) => *status = now,
            (Adjustment::CreditNote { refund_status, .. }, Some(now)) => *refund_status = Some(now),
            (_, _) => {}
        }
        self
    }
}

/// Why nothing was given. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The org has no customer at billing yet.
    #[error("the org has no customer yet")]
    NoCustomer,
    /// The org has no subscription.
    #[error("the org has no subscription")]
    NoSubscription,
    /// One field is wrong.
    #[error("{field}: {message}")]
    Wrong {
        /// Which one, as the caller spelled it.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such thing, or it is not this org's.
    #[error("there is nothing of this org under this id")]
    NotFound,
    /// Billing refused for good.
    #[error("billing refused: {0}")]
    Refused(String),
    /// Billing does not answer; where an operation is named, it completes by itself.
    #[error("billing does not answer")]
    BillingUnavailable {
        /// The stored change.
        operation_id: Option<OperationId>,
    },
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Error {
    fn wrong(field: &'static str, message: impl Into<String>) -> Error {
        Error::Wrong { field, message: message.into() }
    }
}

impl From<billing::Error> for Error {
    fn from(error: billing::Error) -> Error {
        match error {
            billing::Error::Unavailable(_) => Error::BillingUnavailable { operation_id: None },
            other => Error::Refused(other.to_string()),
        }
    }
}

impl From<operations::Error> for Error {
    fn from(error: operations::Error) -> Error {
        match error {
            operations::Error::Pending { operation_id } => {
                Error::BillingUnavailable { operation_id: Some(operation_id) }
            }
            operations::Error::Refused(refusal) => Error::Refused(refusal.message),
            operations::Error::Database(error) => error.into(),
        }
    }
}
