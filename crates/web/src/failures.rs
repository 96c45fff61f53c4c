//! What may fail under every use case, in the API's words: the database, and whoever keeps identities.

use tollgate_engine::db;
use tollgate_engine::identity::Elsewhere;

use crate::api_error::ApiError;
use crate::errors;

/// The database's failure.
pub(crate) fn database(error: &db::Error) -> ApiError {
    match error {
        db::Error::Overloaded => {
            ApiError::new(&errors::OVERLOADED, "The server has too much to do; nothing was changed.").retry_after(1)
        }
        db::Error::Unavailable(_) => {
            tracing::warn!(%error, "the database did not answer");
            ApiError::unavailable()
        }
        db::Error::Conflict(_) | db::Error::Bug(_) => {
            tracing::error!(%error, "a statement failed; this is a bug");
            ApiError::internal()
        }
    }
}

/// The failure of whoever keeps users and memberships (Clerk).
pub(crate) fn elsewhere(error: &Elsewhere) -> ApiError {
    match error {
        Elsewhere::Passing(reason) => {
            tracing::warn!(reason, "whoever keeps the members did not answer");
            ApiError::unavailable()
        }
        Elsewhere::Refused(reason) => {
            let message = format!("Whoever keeps users and organizations (Clerk) refused it: {reason}.");
            ApiError::new(&errors::CONFLICT, message)
        }
        Elsewhere::NotFound => ApiError::not_found(),
        Elsewhere::Off => {
            tracing::error!("nobody keeps the members elsewhere; this is a bug");
            ApiError::internal()
        }
    }
}
