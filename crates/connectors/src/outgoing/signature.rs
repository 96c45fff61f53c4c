//! Standard Webhooks signatures: `v1,` and the Base64 of HMAC-SHA256 over `id.timestamp.body`.
//!
//! Source: the Standard Webhooks specification and its vectors in `../shared/contracts/standard-webhooks`. A secret is
//! `whsec_` and the Base64 of its bytes; while secrets are rotated a message carries one signature per secret, apart by a
//! space. A receiver refuses timestamps more than five minutes away in either direction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// What secrets begin with.
pub const PREFIX: &str = "whsec_";
/// Seconds that a timestamp may differ from the receiver's clock.
pub const TOLERANCE_SECONDS: i64 = 300;

/// The headers and body that a signature is over.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, in Unix seconds.
    pub timestamp: i64,
    /// The body as it is sent.
    pub body: &'a [u8],
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A secret is not `whsec_` and Base64.
    #[error("the secret is not Base64")]
    BadSecret,
    /// The message is from too long ago.
    #[error("the timestamp is too old")]
    TooOld,
    /// The message is from too far ahead.
    #[error("the timestamp is in the future")]
    TooNew,
    /// No signature matches under any secret.
    #[error("no signature matches")]
    Mismatch,
}

/// The value of `webhook-signature`: one signature per secret.
///
/// # Errors
/// [`Error::BadSecret`].
pub fn sign(message: &Signed<'_>, secrets: &[SecretString]) -> Result<String, Error> {
    let one = |secret| Ok(format!("v1,{}", STANDARD.encode(mac(message, secret)?)));
    Ok(secrets.iter().map(one).collect::<Result<Vec<_>, Error>>()?.join(" "))
}

/// Checks a message as a receiver does: any `v1` under any secret, in constant time; other versions are ignored.
///
/// # Errors
/// Whatever it is, the message is not to be acted on.
pub fn verify(message: &Signed<'_>, header: &str, secrets: &[SecretString], now: i64) -> Result<(), Error> {
    if now.saturating_sub(message.timestamp) > TOLERANCE_SECONDS {
        return Err(Error::TooOld);
    }
    if message.timestamp.saturating_sub(now) > TOLERANCE_SECONDS {
        return Err(Error::TooNew);
    }
    let mut genuine = Choice::from(0);
    for secret in secrets {
        let expected = mac(message, secret)?;
        for given in header.split(' ').filter_map(|one| one.strip_prefix("v1,")) {
            let given = STANDARD.decode(given).unwrap_or_default();
            genuine |= expected.as_slice().ct_eq(given.as_slice());
        }
    }
    if bool::from(genuine) { Ok(()) } else { Err(Error::Mismatch) }
}

fn mac(message: &Signed<'_>, secret: &SecretString) -> Result<[u8; 32], Error> {
    let text = secret.expose_secret();
    let key = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| Error::BadSecret)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(format!("{}.{}.", message.id, message.timestamp).as_bytes());
    mac.update(message.body);
    Ok(mac.finalize().into_bytes().into())
}
