//! Lists on the wire: `limit` and `cursor` in, an array and `meta.nextCursor` out.

use serde::Serialize;
use tollgate_engine::paging::{ListError, Page, Paging};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::failures;

const LIMIT_MAX: i64 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    next_cursor: Option<&'a str>,
}

/// The part of a list that is asked for.
///
/// # Errors
/// 422 for a limit outside 1 to 200 or a cursor that is none of ours.
pub(crate) fn asked(limit: Option<i64>, cursor: Option<&str>) -> Result<Paging, ApiError> {
    if limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
        return Err(ApiError::field("/limit", format!("must be a whole number from 1 to {LIMIT_MAX}")));
    }
    Paging::new(limit, cursor).map_err(|error| ApiError::field("/cursor", error.to_string()))
}

/// The page as an answer.
pub(crate) fn told<T, W>(page: &Page<T>) -> Answer
where
    W: Serialize + for<'t> From<&'t T>,
{
    let items: Vec<W> = page.items.iter().map(W::from).collect();
    Answer::data_meta(&items, &Meta { next_cursor: page.next.as_deref() })
}

/// Why a list cannot be read, for the caller.
pub(crate) fn refused(error: ListError) -> ApiError {
    match error {
        ListError::BadCursor(error) => ApiError::field("/cursor", error.to_string()),
        ListError::Database(error) => failures::database(&error),
    }
}
