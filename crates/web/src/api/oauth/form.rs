//! The parameters of an OAuth request: a form, or the same names as a JSON object; each at most once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Refusal;
use crate::call::Call;
use crate::{decode, strict};

/// Longest value that is looked at.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// The parameters; one without a value counts as left out (RFC 6749, 3.1).
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads the body.
    pub(crate) fn read(call: &Call) -> Result<Form, Refusal> {
        match decode::media_type(&call.parts.headers).as_deref() {
            Some("application/x-www-form-urlencoded") => Form::pairs(&call.body),
            Some("application/json") => Form::json(&call.body),
            _ => Err(bad("Send Content-Type: application/x-www-form-urlencoded.")),
        }
    }

    /// A parameter that may be left out.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that may not.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| bad(format!("The parameter {name} is needed.")))
    }

    fn pairs(body: &[u8]) -> Result<Form, Refusal> {
        let mut form = Form(BTreeMap::new());
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decoded(halves.next().unwrap_or_default())?;
            let value = decoded(halves.next().unwrap_or_default())?;
            form.add(name, value)?;
        }
        Ok(form)
    }

    fn json(body: &[u8]) -> Result<Form, Refusal> {
        let fields = match strict::read(body) {
            Ok((Value::Object(fields), faults)) if faults.is_empty() => fields,
            Ok(_) | Err(_) => return Err(bad("The body is not a JSON object with each name once.")),
        };
        let mut form = Form(BTreeMap::new());
        for (name, value) in fields {
            match value {
                Value::String(value) => form.add(name, value)?,
                Value::Null => {}
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(bad("Every parameter is a text."));
                }
            }
        }
        Ok(form)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Refusal> {
        if value.len() > VALUE_BYTES_MAX || self.0.len() >= 32 {
            return Err(bad("The request is too large."));
        }
        if self.0.insert(name, value).is_some() {
            return Err(bad("A parameter stands twice."));
        }
        Ok(())
    }
}

fn bad(description: impl Into<String>) -> Refusal {
    Refusal::bad("invalid_request", description)
}

fn decoded(text: &[u8]) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                let digits =
                    std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(value.ok_or_else(|| bad("The body is not a form."))?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad("The body is not UTF-8."))
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::pairs(b"grant_type=a%3Ab&code=BCDF+GHJK&empty=&flag").ok().unwrap();
        assert_eq!((form.get("grant_type"), form.get("code")), (Some("a:b"), Some("BCDF GHJK")));
        assert_eq!((form.get("empty"), form.get("flag")), (None, None), "without a value it counts as left out");
        assert!(Form::pairs(b"").ok().unwrap().needed("x").is_err());
    }

    #[test]
    fn a_parameter_that_stands_twice_is_refused() {
        assert!(Form::pairs(b"a=1&a=2").is_err());
        assert!(Form::json(br#"{"a":"1","a":"2"}"#).is_err());
        assert_eq!(Form::json(br#"{"a":"1","b":null}"#).ok().unwrap().get("a"), Some("1"));
        for bad in [br#"{"a":1}"#.as_slice(), b"[]", b"{", b""] {
            assert!(Form::json(bad).is_err());
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for bad in [b"a=%".as_slice(), b"a=%4", b"a=%zz", b"a=%ff", b"a=%+1"] {
            assert!(Form::pairs(bad).is_err(), "{bad:?}");
        }
    }
}
