//! Verifies that a delivery was signed by Clerk's sender (Svix), over the raw bytes, before anything reads them.
//!
//! Rule (Standard Webhooks; docs.svix.com, 2026): the signed text is `id.timestamp.body`; the key is the base64 after `whsec_`;
//! HMAC-SHA256; the header is a list of `v1,<base64>` parted by spaces, of which any may match under any secret; other versions are
//! skipped. The time may differ by five minutes either way.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// Seconds a signature may be old, or early.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Signatures in one header that are looked at.
const SIGNATURES_MAX: usize = 16;

/// The three headers of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `svix-id`.
    pub id: &'a str,
    /// `svix-timestamp`.
    pub timestamp: &'a str,
    /// `svix-signature`.
    pub signature: &'a str,
}

/// Why a delivery was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header is missing or not of its shape.
    #[error("the signature headers are missing or malformed")]
    Malformed,
    /// Signed too long ago, or for the future.
    #[error("the signature is more than {TOLERANCE_SECONDS} seconds away")]
    Stale,
    /// No signature matches under any secret.
    #[error("no signature matches")]
    Mismatch,
}

/// Checks the headers over the raw bytes at the Unix second `now`; in constant time.
///
/// # Errors
/// Nothing of the delivery may be stored or acted on.
pub fn verify(body: &[u8], signed: &Signed<'_>, secrets: &[SecretString], now: i64) -> Result<(), Error> {
    let shaped = |text: &str| !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic());
    if !shaped(signed.id) || signed.id.contains('.') || !signed.timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Malformed);
    }
    let time: i64 = signed.timestamp.parse().map_err(|_| Error::Malformed)?;
    let signatures = signed.signature.split(' ').take(SIGNATURES_MAX).filter_map(|one| one.strip_prefix("v1,"));
    let signatures: Vec<Vec<u8>> = signatures.filter_map(|one| STANDARD.decode(one).ok()).collect();
    let text = [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body].concat();
    let mut genuine = false;
    for key in secrets.iter().filter_map(key) {
        for signature in &signatures {
            genuine |= hmac::verify(&key, &text, signature).is_ok();
        }
    }
    match (genuine, now.abs_diff(time) > TOLERANCE_SECONDS) {
        (false, _) => Err(Error::Mismatch),
        (true, true) => Err(Error::Stale),
        (true, false) => Ok(()),
    }
}

/// Signs a body as the sender would at the Unix second `time`: what the stand-in and tests send.
#[must_use]
pub fn sign(body: &[u8], id: &str, secret: &SecretString, time: i64) -> Option<String> {
    let text = [id.as_bytes(), b".", time.to_string().as_bytes(), b".", body].concat();
    Some(format!("v1,{}", STANDARD.encode(hmac::sign(&key(secret)?, &text))))
}

/// A secret that is empty, or no base64, signs nothing.
fn key(secret: &SecretString) -> Option<hmac::Key> {
    let text = secret.expose_secret();
    let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
    (bytes.len() >= 16).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}
