//! From a token's text to its header and claims, strictly: three parts, base64url without padding, JSON objects in which no
//! name stands twice (two readers could each believe another one).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Refusal;

/// Longest token that is looked at.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A token taken apart; nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct Parts<'t> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// Header and claims as they were signed.
    pub(super) signed: &'t str,
    pub(super) signature: &'t str,
}

/// Takes a token apart.
pub(super) fn parse(token: &str) -> Result<Parts<'_>, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    if claims.contains('.') {
        return Err(Refusal::Malformed);
    }
    Ok(Parts { header: object(header)?, claims: object(claims)?, signed, signature })
}

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)?;
    match serde_json::from_slice(&bytes) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(_) | Err(_) => Err(Refusal::Malformed),
    }
}

/// A JSON value in which no object has a name twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without repeated names")
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

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let Strict(value) = access.next_value()?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::{TOKEN_BYTES_MAX, parse};
    use crate::tokens::Refusal;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_three_parts_of_plain_json() {
        let good = token(r#"{"alg":"EdDSA"}"#, r#"{"sub":"a","o":{"id":"b"}}"#);
        let parts = parse(&good).unwrap();
        assert_eq!((parts.claims["sub"].as_str(), parts.signature), (Some("a"), "c2ln"));
        assert!(good.starts_with(parts.signed));
        let huge = "a".repeat(TOKEN_BYTES_MAX + 1);
        let deep = token("{}", &"[".repeat(500));
        for bad in
            ["", "a.b", "a.b.c.d", "..", "a.b.c", huge.as_str(), deep.as_str(), &token("[]", "{}"), &token("{}", "1")]
        {
            assert_eq!(parse(bad).unwrap_err(), Refusal::Malformed, "{bad:.40}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        for claims in [r#"{"sub":"a","sub":"b"}"#, r#"{"o":{"id":"a","id":"b"}}"#, r#"{"x":[{"a":1,"a":1}]}"#] {
            assert_eq!(parse(&token("{}", claims)).unwrap_err(), Refusal::Malformed, "{claims}");
        }
        assert_eq!(parse(&token(r#"{"alg":"none","alg":"EdDSA"}"#, "{}")).unwrap_err(), Refusal::Malformed);
    }
}
