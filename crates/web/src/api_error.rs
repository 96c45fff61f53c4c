//! A refusal on its way to the caller: an entry of the error catalogue, a message, details, and how it is written down,
//! as the product's envelope or, on request, as a bare RFC 9457 problem document.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, PROBLEM};
use crate::errors::{self, ErrorDoc};
use crate::strict::Fault;

/// What a handler returns instead of an answer. Small, because it travels in every `Result`.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    doc: &'static ErrorDoc,
    status: u16,
    message: String,
    details: Box<RawValue>,
    data: Option<Box<RawValue>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    shape: Shape,
}

/// How the error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"ok":false,"error":{…}}`.
    Envelope,
    /// A bare problem document, whatever the caller accepts (the gate).
    Problem,
}

#[derive(Serialize)]
struct Envelope<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    error: Error<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
    details: &'a RawValue,
    doc_url: String,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    details: &'a RawValue,
    request_id: &'a str,
}

impl ApiError {
    /// A refusal of this kind; the message is for the caller and holds no secret.
    pub(crate) fn new(doc: &'static ErrorDoc, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            doc,
            status: doc.status,
            message: message.into(),
            details: raw(&serde_json::Map::new()),
            data: None,
            headers: Vec::new(),
            shape: Shape::Envelope,
        }))
    }

    /// 422 with every fault found.
    pub(crate) fn invalid(faults: &[Fault]) -> Self {
        let message = match faults {
            [] => "The request does not fit this route.".to_owned(),
            [one] if one.pointer.is_empty() => format!("The request is wrong: {}.", one.message),
            [one] => format!("{}: {}.", one.pointer, one.message),
            [first, rest @ ..] => format!("{}: {} (and {} more).", first.pointer, first.message, rest.len()),
        };
        Self::new(&errors::VALIDATION_FAILED, message).with_details(&serde_json::json!({ "errors": faults }))
    }

    /// 422 for one field.
    pub(crate) fn field(pointer: &str, message: impl Into<String>) -> Self {
        Self::invalid(&[Fault::new(pointer, message)])
    }

    /// 404 in the only words there are for it, so that foreign and missing ids look alike.
    pub(crate) fn not_found() -> Self {
        Self::new(&errors::NOT_FOUND, "There is nothing here that this credential may see.")
    }

    /// 503 with a moment to wait.
    pub(crate) fn unavailable() -> Self {
        Self::unavailable_with("The store cannot answer right now; nothing was decided.")
    }

    /// The same in other words.
    pub(crate) fn unavailable_with(message: &str) -> Self {
        Self::new(&errors::STORE_UNAVAILABLE, message).retry_after(1)
    }

    /// 500; the log has the cause under the request's id.
    pub(crate) fn internal() -> Self {
        Self::new(&errors::INTERNAL, "Something broke on our side. The log has an entry with this requestId.")
    }

    pub(crate) fn with_details(mut self, details: &impl Serialize) -> Self {
        self.0.details = raw(details);
        self
    }

    pub(crate) fn with_data(mut self, data: &impl Serialize) -> Self {
        self.0.data = Some(raw(data));
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.with_header(http::header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn into_problem(mut self) -> Self {
        self.0.shape = Shape::Problem;
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.doc.code
    }

    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The error object alone, for one item of a batch.
    pub(crate) fn item(&self, request_id: &str) -> Box<RawValue> {
        raw(&self.error(request_id))
    }

    /// The whole response body and headers. `problem` is what the caller's `Accept` asks for.
    pub(crate) fn into_answer(self, request_id: &str, problem: bool) -> Answer {
        let status = self.0.status;
        let as_problem = problem || self.0.shape == Shape::Problem;
        let body = if as_problem { self.problem_body(request_id) } else { self.envelope_body(request_id) };
        let mut answer = Answer::json_bytes(status, Bytes::from(body));
        if as_problem {
            answer.content_type = PROBLEM;
        }
        answer.headers = self.0.headers;
        answer
    }

    fn error<'a>(&'a self, request_id: &'a str) -> Error<'a> {
        let inner = &*self.0;
        Error {
            code: inner.doc.code,
            message: &inner.message,
            details: &inner.details,
            doc_url: format!("/docs/errors/{}", inner.doc.code),
            request_id,
        }
    }

    fn envelope_body(&self, request_id: &str) -> Vec<u8> {
        bytes_of(&Envelope { ok: false, data: self.0.data.as_deref(), error: self.error(request_id) })
    }

    fn problem_body(&self, request_id: &str) -> Vec<u8> {
        let inner = &*self.0;
        bytes_of(&Problem {
            kind: format!("/docs/errors/{}", inner.doc.code),
            title: inner.doc.title,
            status: inner.status,
            detail: &inner.message,
            code: inner.doc.code,
            data: inner.data.as_deref(),
            details: &inner.details,
            request_id,
        })
    }
}

/// The value as JSON text. Our own wire types have string keys and finite numbers only, so writing them cannot fail.
pub(crate) fn bytes_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("wire types have string keys and no fallible serializers")
}

pub(crate) fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("wire types have string keys and no fallible serializers")
}

/// The body of a written answer, read back.
#[cfg(test)]
fn parse(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[cfg(test)]
mod tests {
    use super::{ApiError, parse};
    use crate::errors;
    use crate::strict::Fault;

    #[test]
    fn an_error_has_the_five_fields_of_the_envelope() {
        let answer = ApiError::new(&errors::CONFLICT, "No.").into_answer("req_1", false);
        assert_eq!(answer.status, 409);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(
            text,
            r#"{"ok":false,"error":{"code":"conflict","message":"No.","details":{},"docUrl":"/docs/errors/conflict","requestId":"req_1"}}"#
        );
    }

    #[test]
    fn an_error_can_be_a_bare_problem_document() {
        let faults = [Fault::new("/units", "must be at least 1")];
        let answer = ApiError::invalid(&faults).into_answer("req_1", true);
        let body = parse(&answer);
        assert_eq!(answer.content_type, "application/problem+json");
        assert_eq!(body["status"], 422);
        assert_eq!(body["type"], "/docs/errors/validation_failed");
        assert_eq!(body["details"]["errors"][0]["pointer"], "/units");
    }
}
