//! Begins a sign-in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tollgate_connectors::oidc::{Ask, Proof};

use super::{Error, Flow, PURPOSE, redirect_uri};
use crate::engine::Engine;

/// A sign-in on its way.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What it brings back, in a cookie.
    pub flow: SecretString,
}

/// Sends a browser to the provider; afterwards it goes to `next`, a path of ours. With [`Proof::Anew`] the sign-in counts as a fresh
/// proof for what asks for one.
///
/// # Errors
/// [`Error::Off`], [`Error::Provider`].
pub async fn begin(engine: &Engine, next: &str, proof: Proof) -> Result<Begun, Error> {
    let sign_in = engine.operator_sign_in().ok_or(Error::Off)?;
    let random = || URL_SAFE_NO_PAD.encode(engine.clock().entropy.bytes::<32>());
    let flow = Flow {
        state: random(),
        nonce: random(),
        verifier: random(),
        next: own_path(next).to_owned(),
        began_at: engine.clock().wall.now().as_micros(),
        anew: proof == Proof::Anew,
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier));
    let redirect_uri = redirect_uri(engine);
    let ask = Ask { redirect_uri: &redirect_uri, state: &flow.state, nonce: &flow.nonce, challenge: &challenge, proof };
    let url = sign_in.provider.authorization_url(&ask).await?;
    let text = serde_json::to_vec(&flow).map_err(|error| crate::db::Error::Bug(error.to_string()))?;
    let sealed = engine.sealer().seal(&engine.clock().entropy, PURPOSE, "flow", &text);
    Ok(Begun { url, flow: SecretString::from(sealed) })
}

/// A path of this server; anything that could lead elsewhere leads to the default.
fn own_path(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.?=&%".contains(&byte));
    if plain && next.starts_with('/') && !next.starts_with("//") && next.len() <= 512 {
        next
    } else {
        "/api/auth/operator"
    }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn a_sign_in_leads_to_a_path_of_ours_only() {
        assert_eq!(own_path("/admin?x=1&y=%20"), "/admin?x=1&y=%20");
        for bad in ["", "admin", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nx: y", "/é"] {
            assert_eq!(own_path(bad), "/api/auth/operator", "{bad}");
        }
    }
}
