//! Verifies that a delivery was signed by Stripe, over the raw bytes, before anything reads them.
//!
//! Rule (docs.stripe.com/webhooks, 2026): `Stripe-Signature: t=<unix>,v1=<hex>[,v1=…][,v0=…]`; the expected value is
//! HMAC-SHA256 over `"{t}.{raw body}"`, keyed with the whole secret (`whsec_` included). Any `v1` may match under any
//! configured secret (both are lists while secrets are rotated); other schemes are ignored. Only age is limited: a
//! time ahead of ours passes, as it does in the official libraries.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// Seconds a signature stays good.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Signatures in one header that are looked at; more than this is no delivery of Stripe's.
const SIGNATURES_MAX: usize = 16;

/// Why a delivery was not believed. The caller learns no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No header, or none of Stripe's shape.
    #[error("the signature header is missing or malformed")]
    Malformed,
    /// The signature is right or wrong, but too old to be accepted.
    #[error("the signature is older than {TOLERANCE_SECONDS} seconds")]
    Stale,
    /// No signature matches under any secret.
    #[error("no signature matches")]
    Mismatch,
}

/// Checks `header` over the raw bytes `body` at the Unix second `now`. Every secret and signature is tried, in
/// constant time.
///
/// # Errors
/// Whatever it is, nothing of the delivery may be stored or acted on.
pub fn verify(body: &[u8], header: &str, secrets: &[SecretString], now: i64) -> Result<(), Error> {
    let signed = Signed::parse(header)?;
    let age = now.checked_sub(signed.time).ok_or(Error::Stale)?;
    let mut genuine = Choice::from(0);
    for secret in secrets {
        let expected = mac(secret, signed.time_text, body);
        for signature in &signed.signatures {
            genuine |= expected.as_slice().ct_eq(signature.as_slice());
        }
    }
    match (bool::from(genuine), age > TOLERANCE_SECONDS) {
        (false, _) => Err(Error::Mismatch),
        (true, true) => Err(Error::Stale),
        (true, false) => Ok(()),
    }
}

/// Signs `body` as Stripe would at the Unix second `time`: what tests and the smoke check send.
pub fn sign(body: &[u8], secret: &SecretString, time: i64) -> String {
    let hex: String = mac(secret, &time.to_string(), body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

fn mac(secret: &SecretString, time_text: &str, body: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time_text.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The parts of the header. The time is kept as it was written, because that text is what was signed.
struct Signed<'a> {
    time: i64,
    time_text: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Result<Self, Error> {
        let mut time_text = None;
        let mut signatures = Vec::new();
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", value)) if time_text.is_none() => time_text = Some(value),
                Some(("t", _)) => return Err(Error::Malformed),
                Some(("v1", value)) if signatures.len() < SIGNATURES_MAX => signatures.extend(bytes_of(value)),
                Some(("v1", _)) => return Err(Error::Malformed),
                _ => {}
            }
        }
        let time_text = time_text.ok_or(Error::Malformed)?;
        let digits = !time_text.is_empty() && time_text.bytes().all(|byte| byte.is_ascii_digit());
        let time = time_text.parse().ok().filter(|_| digits).ok_or(Error::Malformed)?;
        if signatures.is_empty() {
            return Err(Error::Malformed);
        }
        Ok(Self { time, time_text, signatures })
    }
}

/// Reads 64 hexadecimal digits; anything else is no signature of this scheme.
fn bytes_of(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    const NOW: i64 = 1_800_000_000;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn a_signature_computed_elsewhere_is_accepted() {
        // python3: hmac.new(b"whsec_test", b'1492774577.{"id":"evt_1"}', "sha256").hexdigest()
        let header = "t=1492774577,v1=HEX,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39";
        let header = header.replace("HEX", PYTHON_HEX);
        assert_eq!(verify(BODY, &header, &[secret("whsec_test")], 1_492_774_577), Ok(()));
    }

    const PYTHON_HEX: &str = "7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2";

    #[test]
    fn any_v1_under_any_secret_is_enough() {
        let old = sign(BODY, &secret("whsec_old"), NOW);
        let new = sign(BODY, &secret("whsec_new"), NOW);
        let rolled = format!("{old},{}", new.split_once(',').unwrap().1);
        for secrets in [vec![secret("whsec_new")], vec![secret("whsec_else"), secret("whsec_old")]] {
            assert_eq!(verify(BODY, &rolled, &secrets, NOW), Ok(()));
        }
        assert_eq!(verify(BODY, &rolled, &[secret("whsec_else")], NOW), Err(Error::Mismatch));
        assert_eq!(verify(BODY, &rolled, &[], NOW), Err(Error::Mismatch));
    }

    #[test]
    fn only_age_makes_a_signature_stale() {
        let header = sign(BODY, &secret("whsec_a"), NOW);
        let at = |now| verify(BODY, &header, &[secret("whsec_a")], now);
        assert_eq!(at(NOW + 300), Ok(()));
        assert_eq!(at(NOW + 301), Err(Error::Stale));
        assert_eq!(at(NOW - 86_400), Ok(()));
    }

    #[test]
    fn headers_of_another_shape_are_malformed() {
        let hex = "a".repeat(64);
        for header in [
            "",
            "t=1",
            "v1=aa",
            "t=,v1=aa",
            &format!("t=1x,v1={hex}"),
            &format!("t=-1,v1={hex}"),
            &format!("t=1,v0={hex}"),
            &format!("t=1,t=2,v1={hex}"),
            "t=1,v1=zz",
        ] {
            assert_eq!(verify(BODY, header, &[secret("whsec_a")], 1), Err(Error::Malformed), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_bit_of_the_body_or_the_time_is_noticed(
            body in proptest::collection::vec(any::<u8>(), 1..64), place in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let header = sign(&body, &secret("whsec_a"), NOW);
            prop_assert_eq!(verify(&body, &header, &[secret("whsec_a")], NOW), Ok(()));
            let mut altered = body.clone();
            altered[place.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(verify(&altered, &header, &[secret("whsec_a")], NOW), Err(Error::Mismatch));
            let later = header.replace(&NOW.to_string(), &(NOW + 1).to_string());
            prop_assert_eq!(verify(&body, &later, &[secret("whsec_a")], NOW), Err(Error::Mismatch));
        }

        #[test]
        fn no_header_makes_the_verifier_panic(header in "(?s).{0,200}", now in any::<i64>()) {
            prop_assert!(verify(BODY, &header, &[secret("whsec_a")], now).is_err());
        }
    }
}
