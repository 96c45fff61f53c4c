//! Reads a request body up to a limit. A body that is too large is still read up to [`READ_MAX`], so that the caller sees
//! the 413 instead of a broken connection.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::api_error::ApiError;
use crate::errors;

/// Most bytes of an ordinary body.
pub(crate) const BODY_MAX: usize = 1 << 20;
/// Most bytes of a batch, and what is read at most before a 413.
pub(crate) const READ_MAX: usize = 8 << 20;
/// A body must have arrived by then.
const BODY_SECONDS_MAX: Duration = Duration::from_secs(30);

/// The whole body.
///
/// # Errors
/// 413 when it is larger than `limit`; 400 when it ends early, or takes too long.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_SECONDS_MAX, collect(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::new(&errors::MALFORMED, "The body did not arrive in time.")),
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut size: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::new(&errors::MALFORMED, "The body ended before it was complete."))?;
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > READ_MAX {
            return Err(too_large(limit));
        }
        if size > limit {
            // Read on without keeping anything.
            first = Bytes::new();
            rest = BytesMut::new();
        } else if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if size > limit {
        return Err(too_large(limit));
    }
    Ok(joined(first, &rest))
}

fn joined(first: Bytes, rest: &BytesMut) -> Bytes {
    if rest.is_empty() {
        return first;
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(rest);
    whole.freeze()
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(&errors::TOO_LARGE, format!("The body is larger than {limit} bytes."))
        .with_details(&serde_json::json!({ "bytesMax": limit }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use futures::stream;

    use super::{BODY_MAX, READ_MAX, read};

    #[tokio::test]
    async fn a_body_in_pieces_is_put_together() {
        let pieces = ["ab", "", "cd", "e"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let body = Body::from_stream(stream::iter(pieces));
        assert_eq!(read(body, 5).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_body_over_its_limit_is_refused_after_it_was_read() {
        for (size, limit) in [(BODY_MAX + 1, BODY_MAX), (READ_MAX + 1, READ_MAX), (READ_MAX * 2, BODY_MAX)] {
            let error = read(Body::from(vec![b' '; size]), limit).await.unwrap_err();
            assert_eq!((error.code(), error.status()), ("too_large", 413));
        }
        assert_eq!(read(Body::from(vec![b' '; BODY_MAX]), BODY_MAX).await.unwrap().len(), BODY_MAX);
    }
}
