//! The content of a file: its hash, and its line-ending habits, which a merge must not change.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of some content, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(String);

/// A text that is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not sha256: and 64 hexadecimal digits")]
pub struct NoHash(String);

impl Hash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hex}"))
    }

    /// The hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Hash {
    type Error = NoHash;

    fn try_from(text: String) -> Result<Self, NoHash> {
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        let sound = digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if sound { Ok(Self(text)) } else { Err(NoHash(text)) }
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a text ends its lines. Templates end every line with `\n`; a user's editor may differ, and that is no edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    crlf: bool,
    final_newline: bool,
}

impl Shape {
    /// The habits of this text. Mixed endings count as `\n`, so that they are compared as they are.
    pub(crate) fn of(text: &str) -> Self {
        let newlines = text.matches('\n').count();
        let crlf = newlines > 0 && text.matches("\r\n").count() == newlines;
        Self { crlf, final_newline: text.is_empty() || text.ends_with('\n') }
    }

    /// The text as a template would write it.
    pub(crate) fn strip(self, text: &str) -> String {
        let mut plain = if self.crlf { text.replace("\r\n", "\n") } else { text.to_owned() };
        if !self.final_newline {
            plain.push('\n');
        }
        plain
    }

    /// A template's text with these habits.
    pub(crate) fn dress(self, text: &str) -> String {
        let mut shown = text.to_owned();
        if !self.final_newline && shown.ends_with('\n') {
            shown.pop();
        }
        if self.crlf { shown.replace('\n', "\r\n") } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, Shape};

    #[test]
    fn line_endings_and_the_missing_last_newline_come_back() {
        for text in ["a\r\nb\r\n", "a\nb\n", "a\nb", "a\r\nb", "", "a"] {
            let shape = Shape::of(text);
            assert_eq!(shape.dress(&shape.strip(text)), text, "{text:?}");
        }
        assert_eq!(Shape::of("a\r\nb\r\n").strip("a\r\nb\r\n"), "a\nb\n");
    }

    #[test]
    fn a_hash_is_read_only_in_its_one_spelling() {
        let hash = Hash::of(b"x");
        assert_eq!(Hash::try_from(hash.to_string()), Ok(hash.clone()));
        assert!(Hash::try_from(hash.to_string().to_uppercase()).is_err());
        assert!(Hash::try_from(String::from("sha256:12")).is_err());
    }
}
