//! Decodes Stripe's form encoding, `items[0][price]=…&metadata[k]=v`, into a tree of objects with text leaves.
//!
//! Lists are not known as such here: `items[0]` is the member `"0"`. What is a list is decided by the parameter's shape.

use serde_json::{Map, Value};

use crate::api_error::ApiError;

/// A deeper key than any parameter of Stripe's has.
const DEPTH_MAX: usize = 12;

/// Decodes a body or a query string.
///
/// # Errors
/// 400 for broken escapes, keys that contradict each other, or keys nested too deeply.
pub(crate) fn decode(text: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut root = Map::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let key = unescape(halves.next().unwrap_or_default())?;
        let value = unescape(halves.next().unwrap_or_default())?;
        let path = segments(&key)?;
        insert(&mut root, &path, value).ok_or_else(|| ApiError::invalid(format!("Invalid key: {key}")).param(&key))?;
    }
    Ok(root)
}

/// Undoes the percent-encoding of one key or value.
pub(crate) fn unescape(text: &[u8]) -> Result<String, ApiError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits = std::str::from_utf8(&digits).unwrap_or("??");
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| ApiError::invalid("Invalid percent-encoding"))?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| ApiError::invalid("Invalid UTF-8 in the request"))
}

/// `a[b][0]` → `a`, `b`, `0`.
fn segments(key: &str) -> Result<Vec<&str>, ApiError> {
    let broken = || ApiError::invalid(format!("Invalid key: {key}")).param(key);
    let (head, tail) = key.split_once('[').map_or((key, ""), |(head, _)| (head, &key[head.len()..]));
    let mut path = vec![head];
    let mut rest = tail;
    while !rest.is_empty() {
        let (segment, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(broken)?;
        path.push(segment);
        rest = after;
    }
    if head.is_empty() || path.len() > DEPTH_MAX { Err(broken()) } else { Ok(path) }
}

fn insert(map: &mut Map<String, Value>, path: &[&str], value: String) -> Option<()> {
    let (first, rest) = path.split_first()?;
    let key = if first.is_empty() { map.len().to_string() } else { (*first).to_owned() };
    if rest.is_empty() {
        map.insert(key, Value::String(value));
        return Some(());
    }
    insert(map.entry(key).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?, rest, value)
}

#[cfg(test)]
mod tests {
    use super::decode;
    use serde_json::{Value, json};

    #[test]
    fn nested_keys_become_a_tree() {
        let tree =
            decode(b"items[0][price]=price_1&items[0][quantity]=2&metadata[a+b]=c%26d&expand[]=x&expand[]=y").unwrap();
        let expected = json!({
            "items": {"0": {"price": "price_1", "quantity": "2"}},
            "metadata": {"a b": "c&d"},
            "expand": {"0": "x", "1": "y"},
        });
        assert_eq!(Value::Object(tree), expected);
    }

    #[test]
    fn broken_bodies_are_refused() {
        for body in [&b"a=%zz"[..], b"a=1&a[b]=2", b"[a]=1", b"a[b=1", b"a=%ff"] {
            assert_eq!(decode(body).unwrap_err().status, 400);
        }
    }
}
