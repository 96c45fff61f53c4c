//! The idempotency key of an outgoing change.

use serde::{Deserialize, Serialize};

/// Longest key the outside takes, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Names one outgoing change for ever: the same key sent twice changes once. It is derived from a durable operation,
/// never drawn at random for an attempt, so that it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

/// A key is empty, longer than 255 bytes, or not printable ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 255 printable ASCII characters")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Takes a key that was stored before.
    ///
    /// # Errors
    /// It is empty, too long, or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > KEY_BYTES_MAX || !printable {
            return Err(InvalidKey);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key of one step of an operation: `tollgate:<operation>:<step>`.
    ///
    /// # Errors
    /// The result is too long or not printable ASCII.
    pub fn of_step(operation_id: &str, step: &str) -> Result<Self, InvalidKey> {
        Self::parse(&format!("tollgate:{operation_id}:{step}"))
    }

    /// The key as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        Self::parse(&text)
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printable_and_at_most_255_bytes() {
        assert_eq!(IdempotencyKey::of_step("op_1", "customer").unwrap().as_str(), "tollgate:op_1:customer");
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
        for text in ["", "a b", "é", "line\nbreak", &"k".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(text), Err(InvalidKey), "{text:?}");
        }
    }
}
