//! What is stored but must not be readable in a stolen copy of a table: sealed with a key derived from the server's secret.
//!
//! AES-256-GCM; each purpose has a key of its own (HKDF-SHA-256), and the row's name is authenticated, so that a sealed value
//! moved to another row or another column does not open. [`Sealer::mac`] is the pepper of short codes.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Entropy;

/// Marks the first shape of sealed values.
const VERSION: &str = "s1.";

/// Seals and opens under one secret.
#[derive(Clone)]
pub(crate) struct Sealer(Vec<u8>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// The sealer of a secret: the server's, or a token that only its holder knows.
    pub(crate) fn new(secret: &[u8]) -> Sealer {
        Sealer(secret.to_vec())
    }

    /// Seals a value of one row for one purpose.
    pub(crate) fn seal(&self, entropy: &Entropy, purpose: &str, row: &str, plain: &[u8]) -> String {
        let nonce = entropy.bytes::<NONCE_LEN>();
        let mut bytes = plain.to_vec();
        self.key(purpose)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(row.as_bytes()), &mut bytes)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &bytes].concat()))
    }

    /// Opens what was sealed for the same purpose and row; nothing when it was altered, moved, or sealed with another secret.
    pub(crate) fn open(&self, purpose: &str, row: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(VERSION)?).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = self.key(purpose).open_in_place(nonce, Aad::from(row.as_bytes()), &mut text).ok()?;
        Some(plain.to_vec())
    }

    /// A keyed hash in hexadecimal: what is stored of a code too short to be hashed alone.
    pub(crate) fn mac(&self, purpose: &str, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.derived(purpose));
        crate::clock::hex(hmac::sign(&key, text.as_bytes()).as_ref())
    }

    fn key(&self, purpose: &str) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.derived(purpose)).expect("the derived key has 32 bytes");
        LessSafeKey::new(key)
    }

    fn derived(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, b"tollgate sealing 1")
            .extract(&self.0)
            .expand(&[purpose.as_bytes()], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("HKDF-SHA-256 gives 32 bytes");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::Sealer;
    use crate::clock::Entropy;

    #[test]
    fn a_sealed_value_opens_in_its_own_row_for_its_own_purpose_with_its_own_secret_only() {
        let (sealer, entropy) = (Sealer::new(b"one"), Entropy::system());
        let sealed = sealer.seal(&entropy, "test", "row 1", b"plain");
        assert_eq!(sealer.open("test", "row 1", &sealed).as_deref(), Some(b"plain".as_slice()));
        assert_eq!(sealer.open("test", "row 2", &sealed), None);
        assert_eq!(sealer.open("other", "row 1", &sealed), None);
        assert_eq!(Sealer::new(b"two").open("test", "row 1", &sealed), None);
        assert_eq!(sealer.open("test", "row 1", &sealed[..sealed.len() - 2]), None);
        assert_ne!(sealer.seal(&entropy, "test", "row 1", b"plain"), sealed, "no nonce is used twice");
    }

    #[test]
    fn a_keyed_hash_needs_the_secret() {
        let sealer = Sealer::new(b"one");
        assert_eq!(sealer.mac("codes", "BCDF"), sealer.mac("codes", "BCDF"));
        assert_ne!(sealer.mac("codes", "BCDF"), Sealer::new(b"two").mac("codes", "BCDF"));
        assert_ne!(sealer.mac("codes", "BCDF"), sealer.mac("other", "BCDF"));
    }
}
