//! From body bytes to a typed request. The common case is one pass of `serde_json` into the type; only a body that does
//! not fit is read again, strictly, to name every wrong field.

use std::collections::{HashMap, HashSet};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api_error::ApiError;
use crate::errors;
use crate::schema;
use crate::strict::{self, Fault};

/// The typed body.
///
/// # Errors
/// 400 when the bytes are not JSON, 422 with pointers when they do not fit `T`.
pub(crate) fn json<'a, T: Deserialize<'a> + ToSchema>(bytes: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
}

/// Like [`json`], for bodies that hold free-form values: repeated keys and deep nesting inside them are looked for too.
///
/// # Errors
/// As [`json`].
pub(crate) fn free_json<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<T, ApiError> {
    match strict::read(bytes) {
        Ok((_, faults)) if faults.is_empty() => json(bytes),
        Ok((_, faults)) => Err(ApiError::invalid(&faults)),
        Err(error) => Err(unreadable(&error.0)),
    }
}

/// A typed value out of one that was already read strictly; `at` is where it stood.
///
/// # Errors
/// Every fault, each pointer starting with `at`.
pub(crate) fn value<'v, T: Deserialize<'v> + ToSchema>(value: &'v Value, at: &str) -> Result<T, Vec<Fault>> {
    T::deserialize(value).map_err(|error| faults_of::<T>(value, at, &error))
}

/// The `Content-Type` without parameters, in lower case; `None` when it is missing, unreadable or names a charset other
/// than UTF-8.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let mut parts = text.split(';');
    let kind = parts.next()?.trim().to_ascii_lowercase();
    let utf8 = parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf8")
    });
    utf8.then_some(kind)
}

/// Refuses anything but JSON.
///
/// # Errors
/// 415.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/json") {
        return Ok(());
    }
    match media_type(headers) {
        Some(kind) if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) => {
            Ok(())
        }
        _ => Err(unsupported("application/json")),
    }
}

pub(crate) fn unsupported(expected: &str) -> ApiError {
    ApiError::new(&errors::UNSUPPORTED_MEDIA_TYPE, format!("Send Content-Type: {expected} in UTF-8."))
}

pub(crate) fn unreadable(reason: &str) -> ApiError {
    ApiError::new(&errors::MALFORMED, format!("The body is not a JSON document we can read: {reason}."))
}

fn explain<'a, T: Deserialize<'a> + ToSchema>(bytes: &'a [u8], error: &serde_json::Error) -> ApiError {
    match strict::read(bytes) {
        Err(unread) => unreadable(&unread.0),
        Ok((document, mut repeated)) => {
            repeated.extend(faults_of::<T>(&document, "", error));
            ApiError::invalid(&repeated)
        }
    }
}

fn faults_of<T: ToSchema>(document: &Value, at: &str, error: &serde_json::Error) -> Vec<Fault> {
    let (schema, components) = schemas::<T>();
    let mut found = schema::faults(&schema, &components, document);
    // One fault per field is enough: the first says what matters.
    let mut named = HashSet::new();
    found.retain(|fault| named.insert(fault.pointer.clone()));
    if found.is_empty() {
        // The type is stricter than its schema (an id with a wrong prefix, say): serde's own words are all there is.
        found.push(Fault::new("", plain(&error.to_string())));
    }
    found.into_iter().map(|fault| Fault { pointer: format!("{at}{}", fault.pointer), ..fault }).collect()
}

fn schemas<T: ToSchema>() -> (Value, Map<String, Value>) {
    let mut list = Vec::new();
    T::schemas(&mut list);
    let named: HashMap<String, _> = list.into_iter().collect();
    let to_json = |schema| serde_json::to_value(schema).unwrap_or(Value::Null);
    (to_json(T::schema()), named.into_iter().map(|(name, schema)| (name, to_json(schema))).collect())
}

/// serde's message without the position, which means nothing to a caller who sent fields.
fn plain(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use utoipa::ToSchema;

    use super::{free_json, json, media_type};

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its decoding matters here")]
    struct Body {
        metric: String,
        #[schema(minimum = 1)]
        units: i64,
        tags: Option<serde_json::Map<String, serde_json::Value>>,
    }

    fn code_and_pointers(body: &str) -> (u16, String) {
        let error = free_json::<Body>(body.as_bytes()).unwrap_err();
        let text = String::from_utf8(error.into_answer("r", false).body.to_vec()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let errors = value["error"]["details"]["errors"].as_array().cloned().unwrap_or_default();
        let pointers: Vec<_> = errors.iter().map(|one| one["pointer"].as_str().unwrap().to_owned()).collect();
        (if value["error"]["code"] == "malformed" { 400 } else { 422 }, pointers.join(" "))
    }

    #[test]
    fn numbers_that_are_not_whole_or_too_big_or_text_are_named() {
        for units in ["1.5", "9223372036854775808", "\"1\"", "null", "[]", "1e30"] {
            let body = format!(r#"{{"metric":"api_call","units":{units}}}"#);
            assert_eq!(code_and_pointers(&body), (422, "/units".to_owned()), "{units}");
        }
    }

    #[test]
    fn unknown_repeated_and_missing_fields_are_named() {
        assert_eq!(code_and_pointers(r#"{"metric":"a","units":1,"unit":2}"#), (422, "/unit".to_owned()));
        assert_eq!(code_and_pointers(r#"{"metric":"a","units":1,"units":2}"#), (422, "/units".to_owned()));
        assert_eq!(code_and_pointers(r#"{"metric":"a","units":1,"tags":{"x":1,"x":2}}"#), (422, "/tags/x".to_owned()));
        assert_eq!(code_and_pointers("{}"), (422, "/metric /units".to_owned()));
        assert_eq!(code_and_pointers("[]"), (422, String::new()));
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        let deep = format!(r#"{{"metric":"a","units":1,"tags":{}1{}}}"#, r#"{"a":"#.repeat(40), "}".repeat(40));
        for body in ["", "{", "nul", "{}{}", deep.as_str(), "\u{0}"] {
            assert_eq!(code_and_pointers(body).0, 400, "{body}");
        }
        assert!(json::<Body>(b"\xff\xfe").is_err());
    }

    #[test]
    fn a_charset_other_than_utf8_is_no_content_type_of_ours() {
        let of = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("content-type", text.parse().unwrap());
            media_type(&headers)
        };
        assert_eq!(of("Application/JSON; charset=UTF-8").as_deref(), Some("application/json"));
        assert_eq!(of("application/json; charset=latin1"), None);
    }
}
