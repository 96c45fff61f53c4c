//! The shape of bearer secrets: prefix, id, 256 random bits, checksum. Only their SHA-256 is ever stored.
//!
//! High-entropy secrets need no slow hash: guessing 256 bits is hopeless, and the hot path hashes on every call.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::{Entropy, hex};

/// SHA-256 of a bearer secret: the cache's key and the stored form.
pub(crate) type Fingerprint = [u8; 32];

/// A new secret: `<prefix><64 hex digits><6 hex digits of checksum>`.
pub(crate) fn generate(prefix: &str, entropy: &Entropy) -> SecretString {
    let body = format!("{prefix}{}", hex(&entropy.bytes::<32>()));
    let check = checksum(&body);
    SecretString::from(format!("{body}{check}"))
}

/// Whether a text has the shape and checksum of a secret with this prefix: refuses typing errors and scanners without a read.
pub(crate) fn well_formed(prefix: &str, text: &str) -> bool {
    let Some(rest) = text.strip_prefix(prefix) else { return false };
    if rest.len() != 70 || !rest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let (body, check) = text.split_at(text.len() - 6);
    checksum(body) == check
}

pub(crate) fn fingerprint(text: &str) -> Fingerprint {
    Sha256::digest(text.as_bytes()).into()
}

/// The stored form of a secret.
pub(crate) fn stored(secret: &SecretString) -> String {
    hex(&fingerprint(secret.expose_secret()))
}

/// The last characters, for people who compare keys in a list.
pub(crate) fn hint(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned()
}

/// Compares two fingerprints in constant time.
pub(crate) fn same(left: &Fingerprint, right: &Fingerprint) -> bool {
    left.ct_eq(right).into()
}

fn checksum(body: &str) -> String {
    let mut check = hex(&Sha256::digest(body.as_bytes()));
    check.truncate(6);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_with_a_typing_error_is_refused_without_a_read() {
        let secret = generate("tg_test_", &Entropy::seeded(7));
        let text = secret.expose_secret();
        assert!(well_formed("tg_test_", text));
        assert!(!well_formed("tg_live_", text));
        assert!(!well_formed("tg_test_", &text[..text.len() - 1]));
        let swapped = text.replacen('a', "b", 1);
        assert!(!well_formed("tg_test_", &swapped));
    }

    #[test]
    fn two_secrets_differ_and_carry_256_bits() {
        let entropy = Entropy::system();
        let (one, two) = (generate("tgo_", &entropy), generate("tgo_", &entropy));
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 4 + 64 + 6);
    }
}
