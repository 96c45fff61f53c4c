//! Clerk as the server sees it: the stand-in of the sandbox, and session tokens signed with a key that it publishes.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use secrecy::SecretString;
use serde_json::{Value, json};
use tollgate_connectors::Pacing;
use tollgate_connectors::clerk::{Client, Settings};
use tollgate_connectors::identity::Identity;
use tollgate_engine::tokens::{Operators, Parties};
use tollgate_engine::{IdentitySettings, WebhookSecrets};
use tollgate_sandbox::{Config, Faults, Sandbox};

/// What tokens name as their issuer.
pub(crate) const ISSUER: &str = "https://clerk.example.com";
/// The page they were asked from.
pub(crate) const PARTY: &str = "https://app.example.com";
/// The user whose operator claim counts.
pub(crate) const OPERATOR: &str = "user_operator";
const KID: &str = "ins_matrix";

/// A Clerk of a test's own.
pub(crate) struct Clerk {
    key: RsaKeyPair,
    sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

impl Clerk {
    pub(crate) async fn start() -> Clerk {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database: folder.path().join("sandbox.db"),
            start_at_micros: None,
            faults: Faults::none(),
        };
        let clerk = Clerk {
            key: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            sandbox: Sandbox::start(config).await.unwrap(),
            _folder: folder,
        };
        let (modulus, exponent) = clerk.public();
        let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID,
            "n": BASE64.encode(modulus), "e": BASE64.encode(exponent)});
        let org = |id: &str, name: &str| json!({"object": "organization", "id": id, "name": name, "created_by": "user_1", "updated_at": 1});
        let organizations = [org("org_own", "own"), org("org_acme", "Acme")];
        let state = json!({ "jwks": { "keys": [jwk] }, "organizations": organizations }).to_string();
        let put = reqwest::Client::new().put(format!("{}/clerk/state", clerk.sandbox.base_url())).body(state);
        assert_eq!(put.send().await.unwrap().status().as_u16(), 200);
        clerk
    }

    /// What a server is opened with that believes this Clerk.
    pub(crate) fn identity(&self) -> IdentitySettings {
        let client = Client::new(Settings {
            base_url: format!("{}/clerk", self.sandbox.base_url()),
            secret_key: SecretString::from("sk_test_x"),
            publishable_key: "pk_test_Y2xlcmsuZXhhbXBsZS5jb20k".to_owned(),
            pacing: Pacing { attempts_max: 1, ..Pacing::with_random(Arc::new(|| 1)) },
        });
        IdentitySettings {
            identity: Identity::Clerk(Box::new(client.unwrap())),
            webhook_secrets: WebhookSecrets::default(),
            parties: Parties { origins: vec![PARTY.to_owned()], missing_is_fine: false },
            operators: Operators { claim: "metadata.tollgate_operator".to_owned(), users: vec![OPERATOR.to_owned()] },
        }
    }

    /// A token with these claims, signed as Clerk signs.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "RS256", "typ": "JWT", "kid": KID}), claims)
    }

    /// The same under another header.
    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// The public key as a verifier would hold it in a file: what "HS256 with the public key" signs with.
    pub(crate) fn public_der(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// Modulus and exponent out of `SEQUENCE { INTEGER, INTEGER }`.
    fn public(&self) -> (Vec<u8>, Vec<u8>) {
        let (numbers, _) = content(self.public_der());
        let (modulus, rest) = content(numbers);
        let (exponent, _) = content(rest);
        let bare = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
        (bare(modulus), bare(exponent))
    }
}

/// The content of the first DER value, and what follows it.
fn content(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 0x7f);
            (der[2..2 + bytes].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + bytes)
        }
    };
    (&der[start..start + length], &der[start + length..])
}

/// Which version of the claims.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    One,
    Two,
}

/// The claims of a fresh session of this user in this org, issued at the second `now`.
pub(crate) fn session(version: Version, user_id: &str, org_id: &str, now: i64) -> Value {
    let mut claims = json!({"iss": ISSUER, "sub": user_id, "sid": format!("sess_{user_id}"), "azp": PARTY,
        "iat": now - 1, "nbf": now - 11, "exp": now + 60, "sts": "active", "fva": [0, -1]});
    let more = match version {
        Version::One => json!({"org_id": org_id, "org_role": "org:member", "org_slug": "own"}),
        Version::Two => json!({"v": 2, "jti": "j", "fea": "", "o": {"id": org_id, "rol": "member"}}),
    };
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}
