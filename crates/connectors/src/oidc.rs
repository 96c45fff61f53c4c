//! OpenID Connect, as much of it as signing an operator in takes: discovery, the address to send the browser to, the exchange of a code,
//! and the provider's keys. Whether an identity token is believed is not decided here.
//!
//! Sign-ins of operators are rare, so nothing is cached: what the provider publishes is read each time.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

/// Time for one call to the provider.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read at most.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 20;

/// Who signs operators in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The issuer, exactly as its identity tokens name it.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there; none for a public client.
    pub client_secret: Option<SecretString>,
}

/// A provider; a cheap clone.
#[derive(Clone)]
pub struct Provider(Arc<Shared>);

struct Shared {
    settings: Settings,
    http: reqwest::Client,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.0.settings.issuer).finish_non_exhaustive()
    }
}

/// A provider could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client refused its settings.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// The issuer is no address we send secrets to.
    #[error("the issuer must be an https address (http only on loopback)")]
    Issuer,
}

/// Why a sign-in cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may work later.
    #[error("the provider does not answer: {0}")]
    Passing(String),
    /// The provider says no, or something that makes no sense.
    #[error("the provider refused: {0}")]
    Refused(String),
}

/// What the browser is sent to the provider with.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// Where the provider sends it back.
    pub redirect_uri: &'a str,
    /// Comes back unchanged.
    pub state: &'a str,
    /// Comes back in the identity token.
    pub nonce: &'a str,
    /// SHA-256 of the verifier in base64url (PKCE).
    pub challenge: &'a str,
    /// Whether the person has to prove anew who they are.
    pub proof: Proof,
}

/// How a provider signs somebody in who has a session there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By that session, if it likes.
    AsItLikes,
    /// By asking again; the identity token then says when (`auth_time`).
    Anew,
}

/// A public key of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub kid: Option<String>,
    /// What it is.
    pub kind: KeyKind,
}

/// The kinds of keys we check with; coordinates in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, for RS256.
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
    /// P-256, for ES256.
    P256 {
        /// One coordinate.
        x: String,
        /// The other.
        y: String,
    },
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<WireKey>,
}

#[derive(Deserialize)]
struct WireKey {
    kid: Option<String>,
    kty: Option<String>,
    crv: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Provider {
    /// Makes a provider; nothing is sent yet.
    ///
    /// # Errors
    /// The settings cannot be used at all.
    pub fn new(settings: Settings) -> Result<Provider, SetupError> {
        trusted(&settings.issuer).ok_or(SetupError::Issuer)?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Provider(Arc::new(Shared { settings, http })))
    }

    /// The exact `iss` of its identity tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// The `aud` of identity tokens for us.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.settings.client_id
    }

    /// Where the browser is sent.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn authorization_url(&self, ask: &Ask<'_>) -> Result<String, Error> {
        let found = self.discover().await?;
        let mut url = endpoint(&found.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id())
            .append_pair("redirect_uri", ask.redirect_uri)
            .append_pair("scope", "openid email")
            .append_pair("state", ask.state)
            .append_pair("nonce", ask.nonce)
            .append_pair("code_challenge", ask.challenge)
            .append_pair("code_challenge_method", "S256");
        if ask.proof == Proof::Anew {
            // `max_age` makes `auth_time` a must in the answer (Core 3.1.2.1); some heed only `prompt`.
            url.query_pairs_mut().append_pair("max_age", "0").append_pair("prompt", "login");
        }
        Ok(url.into())
    }

    /// Exchanges a code for the identity token, as it was sent, and the keys it may be signed with.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn redeem(
        &self,
        code: &str,
        verifier: &SecretString,
        redirect_uri: &str,
    ) -> Result<(String, Vec<Key>), Error> {
        let found = self.discover().await?;
        let client_id = self.client_id();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose_secret()),
            ("client_id", client_id),
        ];
        let secret = self.0.settings.client_secret.as_ref().map(ExposeSecret::expose_secret);
        let methods = found.token_endpoint_auth_methods_supported.as_deref();
        let by_header = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let mut request = self.0.http.post(endpoint(&found.token_endpoint)?);
        match secret {
            Some(secret) if by_header => request = request.basic_auth(coded(client_id), Some(coded(secret))),
            Some(secret) => form.push(("client_secret", secret)),
            None => {}
        }
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", coded(value))).collect();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"));
        let tokens: Tokens = read(request).await?;
        let token = tokens.id_token.ok_or_else(|| Error::Refused("no identity token came".to_owned()))?;
        let keys: KeySet = read(self.0.http.get(endpoint(&found.jwks_uri)?)).await?;
        Ok((token, keys.keys.into_iter().take(KEYS_MAX).filter_map(key).collect()))
    }

    async fn discover(&self) -> Result<Discovery, Error> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer().trim_end_matches('/'));
        let found: Discovery = read(self.0.http.get(endpoint(&address)?)).await?;
        if found.issuer == self.issuer() {
            Ok(found)
        } else {
            Err(Error::Refused("its discovery document is another issuer's".to_owned()))
        }
    }
}

fn key(key: WireKey) -> Option<Key> {
    if key.used_for.is_some_and(|used_for| used_for != "sig") {
        return None;
    }
    let kind = match (key.kty.as_deref()?, key.crv.as_deref()) {
        ("RSA", _) => KeyKind::Rsa { n: key.n?, e: key.e? },
        ("EC", Some("P-256")) => KeyKind::P256 { x: key.x?, y: key.y? },
        _ => return None,
    };
    Some(Key { kid: key.kid, kind })
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    let passing = |error: reqwest::Error| Error::Passing(error.without_url().to_string());
    let mut answer = request.send().await.map_err(passing)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(passing)? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES_MAX {
            return Err(Error::Refused("its answer is too large".to_owned()));
        }
    }
    if status.is_server_error() {
        return Err(Error::Passing(format!("status {status}")));
    }
    if !status.is_success() {
        return Err(Error::Refused(format!("status {status}")));
    }
    serde_json::from_slice(&body).map_err(|_| Error::Refused("its answer cannot be read".to_owned()))
}

fn endpoint(text: &str) -> Result<Url, Error> {
    trusted(text).ok_or_else(|| Error::Refused("it names an address that is not https".to_owned()))
}

/// An address that secrets may be sent to.
fn trusted(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => IpAddr::V4(address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(address).is_loopback(),
    };
    let plain = url.username().is_empty() && url.password().is_none();
    (plain && (url.scheme() == "https" || url.scheme() == "http" && loopback)).then_some(url)
}

fn coded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::trusted;

    #[test]
    fn secrets_go_to_https_or_to_this_machine() {
        for good in ["https://id.example/", "http://127.0.0.1:9/x", "http://localhost:9", "http://[::1]:9"] {
            assert!(trusted(good).is_some(), "{good}");
        }
        for bad in ["http://id.example", "ftp://localhost", "https://u:p@id.example", "id.example", ""] {
            assert!(trusted(bad).is_none(), "{bad}");
        }
    }
}
