//! The built-in issuer's public keys, as others read them (RFC 7517): the one that signs, the next, and those that signed.

use serde_json::{Value, json};

use crate::engine::Engine;

/// The key set.
#[must_use]
pub fn jwks(engine: &Engine) -> Value {
    let keys = engine.tokens().ring.all();
    let keys: Vec<Value> = keys
        .iter()
        .rev()
        .map(|key| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.x }))
        .collect();
    json!({ "keys": keys })
}
