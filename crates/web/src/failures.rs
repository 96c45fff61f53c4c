//! What may fail under every use case, in the API's words: the database.

use tollgate_engine::db;

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
