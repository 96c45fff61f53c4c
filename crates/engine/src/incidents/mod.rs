//! What a person should look at. Table `incidents`.
//!
//! An incident is open from the moment its cause is first seen until the cause is gone or an operator closes it; while it is
//! open the same cause only counts up. Each opening and each end is an audit entry, and so a message to the operator's
//! endpoints.

mod list;
mod note;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

pub use list::{CloseError, Filter, Incident, close_by_operator, list};
pub(crate) use note::{Seen, close, open};

/// The org key of incidents of the server itself.
pub(crate) const SERVER: i64 = 0;

/// The kinds of incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event of billing became a dead letter.
    DeadInboxEvent,
    /// A job became a dead letter.
    DeadJob,
    /// An endpoint of the operator's cannot be told.
    WebhookEndpoint,
    /// An org has more than one living subscription.
    SeveralSubscriptions,
    /// Metered usage can never be told to billing: somebody has to charge it by hand.
    DeadMeterReport,
    /// A refund did not arrive: the money is back at billing.
    RefundFailed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::DeadInboxEvent,
        Kind::DeadJob,
        Kind::WebhookEndpoint,
        Kind::SeveralSubscriptions,
        Kind::DeadMeterReport,
        Kind::RefundFailed,
    ];

    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::DeadInboxEvent => "dead_inbox_event",
            Kind::DeadJob => "dead_job",
            Kind::WebhookEndpoint => "webhook_endpoint",
            Kind::SeveralSubscriptions => "several_subscriptions",
            Kind::DeadMeterReport => "dead_meter_report",
            Kind::RefundFailed => "refund_failed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}
