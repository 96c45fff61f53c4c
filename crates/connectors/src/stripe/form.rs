//! Stripe's request encoding: `application/x-www-form-urlencoded` with nested names (`items[0][price]=…`).
//!
//! A name is a path of segments; only the segments are escaped, the brackets between them stay readable, as the
//! official libraries send them. An empty value clears a field at Stripe, so nothing is left out silently here.

use std::fmt::Write as _;

/// The fields of one request, in the order they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    encoded: String,
}

impl Form {
    /// A request without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under the path `path`, for example `["items", "0", "price"]`.
    pub fn text(mut self, path: &[&str], value: &str) -> Self {
        if !self.encoded.is_empty() {
            self.encoded.push('&');
        }
        for (depth, segment) in path.iter().enumerate() {
            if depth > 0 {
                self.encoded.push('[');
            }
            escape(&mut self.encoded, segment);
            if depth > 0 {
                self.encoded.push(']');
            }
        }
        self.encoded.push('=');
        escape(&mut self.encoded, value);
        self
    }

    /// Adds a text when there is one.
    pub fn maybe(self, path: &[&str], value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(path, value),
            None => self,
        }
    }

    /// Adds a whole number.
    pub fn integer(self, path: &[&str], value: i64) -> Self {
        self.text(path, &value.to_string())
    }

    /// Adds `true` or `false`.
    pub fn boolean(self, path: &[&str], value: bool) -> Self {
        self.text(path, if value { "true" } else { "false" })
    }

    /// Adds a list of texts: `expand[0]=…&expand[1]=…`.
    pub fn list<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        values.into_iter().enumerate().fold(self, |form, (index, value)| form.text(&[name, &index.to_string()], value))
    }

    /// The encoded body or query.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }
}

/// Escapes one path part of an address, so that an id can never reach another resource.
pub(crate) fn path_segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape(&mut escaped, text);
    escaped
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An independent reading of the encoding, by Stripe's rules, that shares nothing with the encoder.
    fn decoded(encoded: &str) -> Vec<(Vec<String>, String)> {
        let plain = |text: &str| {
            let mut bytes = Vec::new();
            let mut rest = text.bytes();
            while let Some(byte) = rest.next() {
                if byte == b'%' {
                    let pair = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
                } else {
                    bytes.push(byte);
                }
            }
            String::from_utf8(bytes).unwrap()
        };
        encoded
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                let path = name.split('[').map(|part| plain(part.strip_suffix(']').unwrap_or(part))).collect();
                (path, plain(value))
            })
            .collect()
    }

    #[test]
    fn nested_names_keep_their_brackets_and_values_are_escaped() {
        let form = Form::new()
            .text(&["items", "0", "price"], "price_1")
            .integer(&["items", "0", "quantity"], 2)
            .boolean(&["off_session"], true)
            .text(&["metadata", "a b"], "x&y=z [é]")
            .text(&["cancel_at"], "")
            .list("expand", ["data.product", "data.items"]);
        assert_eq!(
            form.encoded(),
            "items[0][price]=price_1&items[0][quantity]=2&off_session=true&metadata[a%20b]=x%26y%3Dz%20%5B%C3%A9%5D\
             &cancel_at=&expand[0]=data%2Eproduct&expand[1]=data%2Eitems"
        );
    }

    #[test]
    fn an_id_in_an_address_cannot_leave_its_place() {
        assert_eq!(path_segment("../customers/cus_1?x#y"), "%2E%2E%2Fcustomers%2Fcus_1%3Fx%23y");
    }

    proptest! {
        #[test]
        fn whatever_goes_in_comes_out_again(
            pairs in proptest::collection::vec(
                (proptest::collection::vec("[^\u{0}]{1,8}", 1..4), "(?s).{0,24}"), 0..8),
        ) {
            let form = pairs.iter().fold(Form::new(), |form, (path, value)| {
                form.text(&path.iter().map(String::as_str).collect::<Vec<_>>(), value)
            });
            prop_assert!(form.encoded().is_ascii());
            prop_assert_eq!(decoded(form.encoded()), pairs);
        }
    }
}
