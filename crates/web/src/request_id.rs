//! The id of one HTTP request: the caller's own where it is sane, else one of ours; and the trace it belongs to.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use http::header::HeaderValue;

const BYTES_MAX: usize = 128;

/// Numbers requests within one process; the prefix is random, so ids of two processes or restarts do not meet.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

/// The id as it is logged, put into bodies and sent back.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestIds {
    /// `seed` comes from the engine's entropy.
    pub(crate) fn new(seed: u64) -> Self {
        Self { prefix: format!("req_{seed:016x}"), next: AtomicU64::new(1) }
    }

    /// The caller's id, or the next of ours.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get("x-request-id") {
            Some(given) if is_sane(given) => RequestId(given.clone()),
            _ => self.fresh(),
        }
    }

    /// The next of ours.
    pub(crate) fn fresh(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{}{number:08x}", self.prefix);
        RequestId(HeaderValue::try_from(text).expect("hexadecimal digits and letters fit a header"))
    }
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("only printable ASCII becomes a request id")
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// What ties everything caused by this request together: the trace id of `traceparent`, else the request's own id.
    pub(crate) fn correlation<'a>(&'a self, headers: &'a HeaderMap) -> &'a str {
        headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_id).unwrap_or(self.as_str())
    }
}

/// The trace id of a W3C `traceparent` header (<https://www.w3.org/TR/trace-context/>, version 00).
fn trace_id(header: &str) -> Option<&str> {
    let mut parts = header.trim().split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let real = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16);
    (real && trace.bytes().any(|byte| byte != b'0')).then_some(trace)
}

fn is_sane(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= BYTES_MAX
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/'))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::RequestIds;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_sane_id_of_the_caller_is_kept_and_another_replaced() {
        let ids = RequestIds::new(7);
        assert_eq!(ids.of(&with("x-request-id", "order-17.a")).as_str(), "order-17.a");
        for insane in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert!(ids.of(&with("x-request-id", insane)).as_str().starts_with("req_0000000000000007"), "{insane}");
        }
        assert_ne!(ids.of(&HeaderMap::new()).as_str(), ids.of(&HeaderMap::new()).as_str());
    }

    #[test]
    fn the_trace_ties_requests_together() {
        let ids = RequestIds::new(7);
        let headers = with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(ids.of(&headers).correlation(&headers), "4bf92f3577b34da6a3ce929d0e0e4736");
        let broken = with("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01");
        assert!(ids.of(&broken).correlation(&broken).starts_with("req_"));
    }
}
