//! What can go wrong with billing, by what the engine does about it.

use secrecy::SecretString;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No billing is configured.
    #[error("billing is off")]
    Off,
    /// The payment or the payment method was refused; tell the customer, keep the old state.
    #[error("the payment was refused: {detail}")]
    Declined {
        /// For the log.
        detail: String,
        /// What may be shown to the customer.
        message: String,
        /// Why the bank refused, for example `insufficient_funds`.
        reason: Option<String>,
        /// When the customer can still confirm (3-D Secure): for the browser.
        client_secret: Option<SecretString>,
    },
    /// The object does not exist (any more).
    #[error("billing does not know the object: {0}")]
    Missing(String),
    /// The request is wrong, or the object is in another state than we believe. Sending it again gives the same.
    #[error("billing refused the request: {0}")]
    Refused(String),
    /// Tax is worked out by where the customer is, and that is not known (well enough).
    #[error("billing does not know where the customer is: {0}")]
    NoPlace(String),
    /// The tax id is none of its kind.
    #[error("billing takes this for no tax id: {0}")]
    BadTaxId(String),
    /// Our credentials are wrong or lack a permission; a person must act.
    #[error("billing refused our credentials: {0}")]
    Credentials(String),
    /// Nothing usable came back; whether a change happened is unknown. Send the same key again later.
    #[error("billing is unavailable: {0}")]
    Unavailable(String),
    /// A failure is stored under the key: read back what happened, then use a new key.
    #[error("billing stored a failure under this key: {0}")]
    StoredFailure(String),
    /// The call worked, but its answer holds something we have no word for.
    #[error("billing's answer could not be understood: {0}")]
    Garbled(String),
}

impl Error {
    /// Whether the same call may succeed later without anyone acting.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Off
            | Self::Declined { .. }
            | Self::Missing(_)
            | Self::Refused(_)
            | Self::NoPlace(_)
            | Self::BadTaxId(_)
            | Self::Credentials(_)
            | Self::StoredFailure(_)
            | Self::Garbled(_) => false,
        }
    }
}
