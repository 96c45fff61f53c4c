//! What a handler gives back before it becomes an HTTP response: small, owned and storable, so that an answer can also be
//! kept and replayed.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde::Serialize;

use crate::api_error::bytes_of;

/// `application/json`.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// `application/problem+json`.
pub(crate) const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// HTML pages.
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A response in the making.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) content_type: HeaderValue,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the engine took to make the answer durable; part of `Server-Timing`.
    pub(crate) commit_micros: u64,
}

#[derive(Serialize)]
struct Success<'a, T> {
    ok: bool,
    data: &'a T,
}

#[derive(Serialize)]
struct SuccessMeta<'a, T, M> {
    ok: bool,
    data: &'a T,
    meta: &'a M,
}

impl Answer {
    /// 200 `{"ok":true,"data":…}`.
    pub(crate) fn data(data: &impl Serialize) -> Self {
        Self::json_bytes(200, Bytes::from(bytes_of(&Success { ok: true, data })))
    }

    /// 200 with something to say beside the data.
    pub(crate) fn data_meta(data: &impl Serialize, meta: &impl Serialize) -> Self {
        Self::json_bytes(200, Bytes::from(bytes_of(&SuccessMeta { ok: true, data, meta })))
    }

    pub(crate) fn json_bytes(status: u16, body: Bytes) -> Self {
        Self { status, body, content_type: JSON, headers: Vec::new(), commit_micros: 0 }
    }

    pub(crate) fn html(body: String) -> Self {
        Self { content_type: HTML, ..Self::json_bytes(200, Bytes::from(body)) }
    }

    pub(crate) fn bytes(content_type: HeaderValue, body: Bytes) -> Self {
        Self { content_type, ..Self::json_bytes(200, body) }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn committed_in(mut self, micros: u64) -> Self {
        self.commit_micros = micros;
        self
    }
}
