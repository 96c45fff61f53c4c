//! Clerk's session tokens: the contract's vectors, and keys that cannot be had.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tollgate_connectors::Pacing;
use tollgate_connectors::clerk::{Client, Settings};
use tollgate_connectors::identity::{Identity, PublicKey};

use super::*;
use crate::settings::{IdentitySettings, WebhookSecrets};
use crate::tokens::claims;

/// One file of contract data; none, with the reason printed, where there is none.
fn contract(file: &str) -> Option<Value> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/contracts"));
    let path = std::env::var_os("TOLLGATE_CONTRACTS").map_or_else(beside, PathBuf::from).join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("contract data is JSON")),
        Err(error) => {
            println!("SKIPPED: no contract data {file}: {error}");
            None
        }
    }
}

/// Clerk with this issuer, at an address where nobody answers.
fn clerk(issuer: &str, parties: Parties) -> IdentitySettings {
    use base64::engine::general_purpose::STANDARD;
    let host = issuer.strip_prefix("https://").unwrap();
    let client = Client::new(Settings {
        base_url: "http://127.0.0.1:9".to_owned(),
        secret_key: SecretString::from("sk_test_x"),
        publishable_key: format!("pk_test_{}", STANDARD.encode(format!("{host}$"))),
        pacing: Pacing { attempts_max: 1, ..Pacing::with_random(Arc::new(|| 1)) },
    });
    IdentitySettings {
        identity: Identity::Clerk(Box::new(client.unwrap())),
        webhook_secrets: WebhookSecrets::default(),
        parties,
        operators: Operators::default(),
    }
}

async fn open(issuer: &str, parties: Parties) -> TestEngine {
    let identity = clerk(issuer, parties);
    let change = |settings: &mut crate::Settings| settings.identity = identity;
    TestEngine::open_with(crate::db::Kind::Sqlite, "clerk", change).await.unwrap()
}

fn hold(engine: &TestEngine, jwks: &Value) {
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let keys = jwks["keys"].as_array().unwrap().iter();
    let keys = keys.map(|key| PublicKey { kid: text(key, "kid"), modulus: text(key, "n"), exponent: text(key, "e") });
    engine.tokens().foreign().unwrap().keys.set(keys.collect(), engine.clock().monotonic.now());
}

/// The word the vectors have for a verdict.
fn verdict(outcome: &Result<Verified, Refusal>) -> String {
    match outcome {
        Ok(_) => "accept".to_owned(),
        Err(Refusal::Claim(_)) => "reject:claim".to_owned(),
        Err(refusal) => format!("reject:{refusal}"),
    }
}

#[tokio::test]
async fn every_token_vector_of_the_contract_is_judged_as_clerk_judges_it() {
    let Some(data) = contract("clerk/session-token-vectors.json") else { return };
    let origins = vec!["https://app.example.com".to_owned()];
    let engine = open("https://clerk.example.com", Parties { origins: origins.clone(), missing_is_fine: false }).await;
    hold(&engine, &data["jwks"]);
    let vectors = data["vectors"].as_array().unwrap();
    for vector in vectors {
        let (name, token) = (vector["name"].as_str().unwrap(), vector["token"].as_str().unwrap());
        let now = Timestamp::from_seconds(vector["now"].as_i64().unwrap());
        let expected = match vector["expect"].as_str().unwrap() {
            "policy:azp_missing" => "reject:azp",
            "policy:typ_missing" => "accept",
            other => other,
        };
        let found = verify_at(&engine, token, now).await;
        assert_eq!(verdict(&found), expected, "{name}");
    }
    assert!(vectors.len() >= 28);
    let lenient = open("https://clerk.example.com", Parties { origins, missing_is_fine: true }).await;
    hold(&lenient, &data["jwks"]);
    let missing = vectors.iter().find(|vector| vector["name"] == "azp_missing").unwrap();
    let now = Timestamp::from_seconds(missing["now"].as_i64().unwrap());
    assert!(verify_at(&lenient, missing["token"].as_str().unwrap(), now).await.is_ok(), "native apps, by setting");
}

#[test]
fn every_claim_set_of_the_contract_is_read_as_clerk_reads_it() {
    let Some(data) = contract("clerk/session-token-claims.json") else { return };
    for case in data.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let read = claims::read(case["claims"].as_object().unwrap()).unwrap();
        let org = read.org.as_ref();
        let found = json!({
            "user_id": case["claims"]["sub"],
            "session_id": read.session_id,
            "session_status": read.status,
            "org_id": org.map(|org| org.id.as_str()),
            "org_role": org.and_then(|org| org.role.clone()),
            "org_slug": org.and_then(|org| org.slug.clone()),
            "org_permissions": org.map(|org| org.permissions.clone()),
            "actor": case["expect"]["actor"],
            "factor_verification_age": read.factor_minutes.map(|(first, second)| json!([first, second])),
        });
        assert_eq!(found, case["expect"], "{name}");
        assert_eq!(read.impersonator.as_deref(), case["expect"]["actor"]["sub"].as_str(), "{name}");
    }
}

#[tokio::test]
async fn the_upstream_fixture_token_is_believed_and_its_altered_twin_is_not() {
    let Some(data) = contract("clerk/upstream-fixture-tokens.json") else { return };
    let origins = data["authorized_parties"].as_array().unwrap().iter().map(|party| party.as_str().unwrap().to_owned());
    let parties = Parties { origins: origins.collect(), missing_is_fine: false };
    let engine = open(data["issuer"].as_str().unwrap(), parties).await;
    hold(&engine, &data["jwks"]);
    let now = Timestamp::from_seconds(data["now"].as_i64().unwrap());
    let Ok(Verified::Session(session)) = verify_at(&engine, data["valid"].as_str().unwrap(), now).await else {
        panic!("a session")
    };
    assert_eq!((session.provider, session.operator), (Provider::Clerk, false));
    let altered = verify_at(&engine, data["invalid_signature"].as_str().unwrap(), now).await;
    assert_eq!(altered.unwrap_err(), Refusal::Signature);
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_keys_and_strangers_cause_no_flood() {
    let Some(data) = contract("clerk/session-token-vectors.json") else { return };
    let engine = open("https://clerk.example.com", Parties::default()).await;
    let find = |name: &str| data["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap();
    let (good, unknown) = (find("valid_v2"), find("wrong_kid"));
    let now = Timestamp::from_seconds(good["now"].as_i64().unwrap());
    let first = verify_at(&engine, good["token"].as_str().unwrap(), now).await;
    assert!(matches!(first, Err(Refusal::Unavailable(_))), "nobody answers, nothing is known: {first:?}");
    hold(&engine, &data["jwks"]);
    assert!(verify_at(&engine, good["token"].as_str().unwrap(), now).await.is_ok());
    for _ in 0..100 {
        let refused = verify_at(&engine, unknown["token"].as_str().unwrap(), now).await;
        assert_eq!(refused.unwrap_err(), Refusal::UnknownKey, "asked once, thirty seconds ago at least");
    }
}
