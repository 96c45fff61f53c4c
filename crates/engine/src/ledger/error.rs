//! What can go wrong with a call to the ledger, by what the caller does about it.

use tollgate_rules::ledger::Refusal;

use crate::db;
use crate::paging::BadCursor;

/// Why the ledger gave no answer. A used-up quota is none of these: it is an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense here; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting: come back in a moment. Nothing was written.
    #[error("too many ledger commands are waiting")]
    Overloaded,
    /// Cannot know: the database does not answer, or its answer to a commit was lost. A retry with the same id settles it.
    #[error("the ledger's database does not answer: {0}")]
    Unavailable(String),
    /// No such thing, or not this org's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The receipt was not signed by this server, or is cut or altered.
    #[error("this receipt was not given by this server")]
    BadReceipt,
    /// The cursor was not given by this list.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        match error {
            db::Error::Overloaded => Error::Overloaded,
            // To the caller a bug of ours is "cannot know" as well; the log says which it is.
            db::Error::Unavailable(_) | db::Error::Conflict(_) | db::Error::Bug(_) => {
                Error::Unavailable(error.to_string())
            }
        }
    }
}

impl From<Error> for db::Error {
    /// For workers, whose only question is whether to try again later.
    fn from(error: Error) -> db::Error {
        db::Error::Unavailable(error.to_string())
    }
}
