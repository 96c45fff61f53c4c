//! Reads JSON strictly, for the second look at a body that did not fit its type: repeated keys and too deep nesting are
//! faults here, and each fault has a JSON pointer.
//!
//! The first look is `serde_json` straight into the typed body; this module runs only after it failed, or where a body
//! holds free-form values.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may nest.
pub(crate) const DEPTH_MAX: usize = 32;

/// One field that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer into the body, or the name of a query parameter after a slash.
    pub pointer: String,
    /// What was expected.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// Why bytes are not a JSON document at all.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) String);

/// The document and the keys that were repeated in it.
///
/// # Errors
/// [`Unreadable`] when the bytes are not one JSON document, or nest deeper than [`DEPTH_MAX`].
pub(crate) fn read(bytes: &[u8]) -> Result<(Value, Vec<Fault>), Unreadable> {
    let mut faults = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let place = Place { pointer: String::new(), depth: 0, faults: &mut faults };
    let value = place.deserialize(&mut reader).map_err(|error| Unreadable(error.to_string()))?;
    reader.end().map_err(|error| Unreadable(error.to_string()))?;
    Ok((value, faults))
}

/// One step of a JSON pointer, escaped.
pub(crate) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct Place<'f> {
    pointer: String,
    depth: usize,
    faults: &'f mut Vec<Fault>,
}

impl Place<'_> {
    fn inner(&mut self, name: &str) -> Place<'_> {
        Place { pointer: step(&self.pointer, name), depth: self.depth + 1, faults: self.faults }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner(&list.len().to_string()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(self.inner(&name))?;
            if map.contains_key(&name) {
                self.faults.push(Fault::new(step(&self.pointer, &name), "this field is given twice"));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, read};

    #[test]
    fn a_repeated_key_is_named_by_its_pointer() {
        let (_, faults) = read(br#"{"a":{"b/c":1,"b/c":2},"a":3}"#).unwrap();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a/b~1c", "/a"]);
    }

    #[test]
    fn nesting_ends_at_thirty_two_levels() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(DEPTH_MAX).as_bytes()).is_ok());
        let error = read(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err();
        assert!(error.0.contains("32 levels"), "{}", error.0);
    }

    #[test]
    fn a_second_document_after_the_first_is_refused() {
        assert!(read(b"{} {}").is_err());
        assert!(read(b"{").is_err());
        assert!(read(b"").is_err());
    }
}
