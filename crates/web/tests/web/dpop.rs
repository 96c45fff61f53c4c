//! Proofs of possession (RFC 9449) over HTTP: tokens that are worth nothing to whoever copies them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tollgate_engine::Settings;
use tollgate_engine::db::Kind;
use tollgate_engine::testing::TestEngine;
use tollgate_engine::tokens::dpop::Nonces;
use tollgate_web::Mode;

use crate::server::{Reply, Server};

/// Where the server believes to be.
const BASE: &str = "http://127.0.0.1:8787";

enum Key {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
}

fn coded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn ed(seed: u8) -> Key {
        Key::Ed(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn ec() -> Key {
        Key::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn header(&self) -> Value {
        match self {
            Key::Ed(pair) => {
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": coded(pair.public_key())});
                json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk})
            }
            Key::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let jwk = json!({"kty": "EC", "crv": "P-256", "x": coded(&point[1..33]), "y": coded(&point[33..])});
                json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", coded(header.to_string()), coded(claims.to_string()));
        let signature = match self {
            Key::Ed(pair) => coded(pair.sign(text.as_bytes())),
            Key::Ec(pair) => coded(pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap()),
        };
        format!("{text}.{signature}")
    }
}

fn claims(server: &Server, method: &str, path: &str, token: Option<&str>) -> Value {
    let now = server.engine.clock().wall.now().as_micros() / 1_000_000;
    let id = coded(server.engine.clock().entropy.bytes::<12>());
    let mut claims = json!({"htm": method, "htu": format!("{BASE}{path}"), "iat": now, "jti": id});
    if let Some(token) = token {
        claims["ath"] = json!(coded(Sha256::digest(token)));
    }
    claims
}

fn proof(server: &Server, key: &Key, (method, path): (&str, &str), token: Option<&str>) -> String {
    key.sign(&key.header(), &claims(server, method, path, token))
}

async fn ask(server: &Server, scheme: &str, token: &str, proof: Option<&str>) -> Reply {
    ask_at(server, (&server.base, "/api/quota/check", r#"{"metric":"api_call"}"#), (scheme, token), proof).await
}

/// Sends a body to a path of a node.
async fn ask_at(
    server: &Server,
    (base, path, body): (&str, &str, &str),
    (scheme, token): (&str, &str),
    proof: Option<&str>,
) -> Reply {
    let request = server.client.post(format!("{base}{path}")).body(body.to_owned());
    let mut request = request.header("content-type", "application/json");
    request = request.header("authorization", format!("{scheme} {token}"));
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    server.send(request).await
}

async fn token(server: &Server, body: &Value, proof: Option<&str>) -> Reply {
    token_at(server, &server.base, body, proof).await
}

async fn token_at(server: &Server, base: &str, body: &Value, proof: Option<&str>) -> Reply {
    let mut request = server.client.post(format!("{base}/oauth/token")).body(body.to_string());
    request = request.header("content-type", "application/json");
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    server.send(request).await
}

const TOKEN: (&str, &str) = ("POST", "/oauth/token");
const CHECK: (&str, &str) = ("POST", "/api/quota/check");
const RECORD: (&str, &str) = ("POST", "/api/usage/record");

async fn activated(server: &Server, key: &Key) -> Value {
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "u"})).await;
    let made = json!({"orgId": "org_acme", "siteDomain": "shop.example"});
    let code = server.operate("/api/activation/codes.create", &made).await["code"].clone();
    let grant = "urn:tollgate:oauth:grant-type:activation-code";
    let body = json!({"grant_type": grant, "code": code, "site_url": "shop.example"});
    let reply = token(server, &body, Some(&proof(server, key, TOKEN, None))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["token_type"], "DPoP");
    reply.json()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn a_bound_token_is_good_only_with_a_fresh_proof_of_its_key() {
    let server = Server::start("a_bound_token").await;
    for key in [Key::ed(7), Key::ec()] {
        let granted = activated(&server, &key).await;
        let access = text(&granted, "access_token");
        let fresh = || proof(&server, &key, CHECK, Some(access));
        let used = fresh();
        assert_eq!(ask(&server, "DPoP", access, Some(&used)).await.status, 402, "let in, and told there is no plan");
        assert_eq!(ask(&server, "DPoP", access, Some(&used)).await.status, 401, "each proof is good once");
        assert_eq!(ask(&server, "dpop", access, Some(&fresh())).await.status, 402);
        let refused = ask(&server, "DPoP", access, None).await;
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").unwrap().starts_with("DPoP "));
        assert_eq!(ask(&server, "Bearer", access, None).await.status, 401, "it is no bearer token");
        assert_eq!(ask(&server, "Bearer", access, Some(&fresh())).await.status, 401);
        let other = Key::ed(8);
        assert_eq!(ask(&server, "DPoP", access, Some(&proof(&server, &other, CHECK, Some(access)))).await.status, 401);
        for (method, path, of) in [
            ("GET", "/api/quota/check", Some(access)),
            ("POST", "/api/usage/record", Some(access)),
            ("POST", "/api/quota/check", None),
            ("POST", "/api/quota/check", Some("another token")),
        ] {
            let wrong = proof(&server, &key, (method, path), of);
            assert_eq!(ask(&server, "DPoP", access, Some(&wrong)).await.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_proof_that_is_not_one_is_refused() {
    let server = Server::start("a_proof_that_is_not_one").await;
    let key = Key::ed(7);
    let granted = activated(&server, &key).await;
    let access = text(&granted, "access_token");
    let good = || claims(&server, "POST", "/api/quota/check", Some(access));
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        key.sign(&key.header(), &claims)
    };
    let now = good()["iat"].as_i64().unwrap();
    let mut wrong = vec![
        with("iat", json!(now - 61)),
        with("iat", json!(now + 65)),
        with("iat", json!(i64::MIN)),
        with("iat", json!("now")),
        with("htu", json!("http://evil.example/api/quota/check")),
        with("jti", json!("")),
        with("jti", Value::Null),
    ];
    for (name, value) in
        [("typ", json!("JWT")), ("alg", json!("none")), ("alg", json!("ES256")), ("crit", json!(["b64"]))]
    {
        let mut header = key.header();
        header[name] = value;
        wrong.push(key.sign(&header, &good()));
    }
    let mut private = key.header();
    private["jwk"]["d"] = json!("AAAA");
    wrong.push(key.sign(&private, &good()));
    let mut foreign = key.header();
    foreign["jwk"] = Key::ed(8).header()["jwk"].clone();
    wrong.push(key.sign(&foreign, &good()));
    wrong.extend(["", "a.b.c", "no proof"].map(str::to_owned));
    for proof in wrong {
        assert_eq!(ask(&server, "DPoP", access, Some(&proof)).await.status, 401, "{proof}");
    }
    let both = [proof(&server, &key, CHECK, Some(access)), proof(&server, &key, CHECK, Some(access))];
    let request = server.client.post(format!("{}/api/quota/check", server.base)).body("{}");
    let request = request.header("authorization", format!("DPoP {access}")).header("content-type", "application/json");
    let twice = server.send(request.header("dpop", &both[0]).header("dpop", &both[1])).await;
    assert_eq!(twice.status, 401, "one proof, not two");
}

#[tokio::test]
async fn a_bound_refresh_token_goes_on_with_its_key_only_and_a_thief_ends_nothing() {
    let server = Server::start("a_bound_refresh_token").await;
    let (key, thief) = (Key::ed(7), Key::ed(8));
    let granted = activated(&server, &key).await;
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]});
    let own = async || token(&server, &refresh, Some(&proof(&server, &key, TOKEN, None))).await;
    for stolen in [None, Some(proof(&server, &thief, TOKEN, None))] {
        let reply = token(&server, &refresh, stolen.as_deref()).await;
        assert_eq!((reply.status, text(&reply.json(), "error")), (400, "invalid_grant"));
    }
    let next = own().await;
    assert_eq!(next.status, 200, "{}", next.text);
    assert_eq!(own().await.json()["refresh_token"], next.json()["refresh_token"], "a lost answer is asked for again");
    server.engine.set_now(tollgate_engine::testing::START.plus(std::time::Duration::from_secs(120)));
    let late = token(&server, &refresh, Some(&proof(&server, &thief, TOKEN, None))).await;
    assert_eq!(late.status, 400, "a used token without the key ends nothing");
    let next = json!({"grant_type": "refresh_token", "refresh_token": next.json()["refresh_token"]});
    let next = token(&server, &next, Some(&proof(&server, &key, TOKEN, None))).await;
    assert_eq!(next.status, 200, "{}", next.text);
    let broken = token(&server, &refresh, Some("no proof")).await;
    assert_eq!(text(&broken.json(), "error"), "invalid_dpop_proof");
    let told = server.get("/.well-known/oauth-authorization-server", None).await.json();
    assert_eq!(told["dpop_signing_alg_values_supported"], json!(["ES256", "EdDSA"]));
    let asked = json!({"token": next.json()["access_token"]});
    let asked = server.post("/oauth/introspect", Some(tollgate_engine::testing::OPERATOR_KEY), &asked).await.json();
    assert_eq!(asked["cnf"]["jkt"].as_str().map(str::len), Some(43));
}

#[tokio::test]
async fn a_nonce_is_offered_with_every_answer_to_a_proof_and_checked_where_it_comes() {
    let server = Server::start("a_nonce_is_offered").await;
    let key = Key::ed(7);
    let granted = activated(&server, &key).await;
    let access = text(&granted, "access_token");
    let with = |nonce: Value| {
        let mut claims = claims(&server, "POST", "/api/quota/check", Some(access));
        claims["nonce"] = nonce;
        key.sign(&key.header(), &claims)
    };
    let without = ask(&server, "DPoP", access, Some(&proof(&server, &key, CHECK, Some(access)))).await;
    assert_eq!(without.status, 402, "none is needed");
    let nonce = without.header("dpop-nonce").expect("a nonce for the next proof").to_owned();
    let mut other = nonce.clone();
    other.replace_range(nonce.len() - 1.., if nonce.ends_with('0') { "1" } else { "0" });
    for bad in [json!(other), json!(""), json!("0.00"), json!(7), Value::Null] {
        let refused = ask(&server, "DPoP", access, Some(&with(bad.clone()))).await;
        assert_eq!(refused.status, 401, "{bad}");
        assert!(refused.header("www-authenticate").unwrap().contains("error=\"use_dpop_nonce\""), "{bad}");
        assert!(refused.header("dpop-nonce").is_some());
    }
    assert_eq!(ask(&server, "DPoP", access, Some(&with(json!(nonce)))).await.status, 402);
    assert_eq!(server.get("/healthz", None).await.header("dpop-nonce"), None, "who proves nothing is told nothing");
}

#[tokio::test]
async fn where_a_nonce_is_required_a_proof_without_one_is_sent_again_with_it() {
    let required = |settings: &mut Settings| settings.dpop_nonces = Nonces::Required;
    let server = Server::start_on("a_nonce_is_required", required, (Mode::Serve, |_, _| {})).await;
    let key = Key::ec();
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "u"})).await;
    let made = json!({"orgId": "org_acme", "siteDomain": "shop.example"});
    let code = server.operate("/api/activation/codes.create", &made).await["code"].clone();
    let grant = "urn:tollgate:oauth:grant-type:activation-code";
    let body = json!({"grant_type": grant, "code": code, "site_url": "shop.example"});
    let refused = token(&server, &body, Some(&proof(&server, &key, TOKEN, None))).await;
    assert_eq!(
        (refused.status, text(&refused.json(), "error")),
        (400, "use_dpop_nonce"),
        "and the code is as good as before"
    );
    let again = |nonce: &str, (method, path): (&str, &str), access: Option<&str>| {
        let mut claims = claims(&server, method, path, access);
        claims["nonce"] = json!(nonce);
        key.sign(&key.header(), &claims)
    };
    let nonce = refused.header("dpop-nonce").unwrap();
    let granted = token(&server, &body, Some(&again(nonce, TOKEN, None))).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let answer = granted.json();
    let access = text(&answer, "access_token");
    let bare = ask(&server, "DPoP", access, Some(&proof(&server, &key, CHECK, Some(access)))).await;
    assert!(bare.header("www-authenticate").unwrap().contains("use_dpop_nonce"));
    let nonce = granted.header("dpop-nonce").unwrap();
    assert_eq!(ask(&server, "DPoP", access, Some(&again(nonce, CHECK, Some(access)))).await.status, 402);
}

#[tokio::test]
async fn what_changes_something_takes_a_proof_once_on_all_nodes() {
    let Some(engine) = TestEngine::open(Kind::Postgres, "a_proof_on_two_nodes").await else { return };
    let server = Server::start_at(engine, Mode::Serve, |_, _| {}).await;
    let other = server.other_node().await;
    let key = Key::ed(7);
    let granted = activated(&server, &key).await;
    let access = text(&granted, "access_token");
    let shown = proof(&server, &key, RECORD, Some(access));
    let record = r#"{"metric":"api_call","value":1,"request_id":"r"}"#;
    let mut statuses = Vec::new();
    for base in [&server.base, &other, &server.base] {
        statuses.push(ask_at(&server, (base, RECORD.1, record), ("DPoP", access), Some(&shown)).await.status);
    }
    assert_eq!(statuses, [402, 401, 401]);
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]});
    let shown = proof(&server, &key, TOKEN, None);
    assert_eq!(token(&server, &refresh, Some(&shown)).await.status, 200);
    let replayed = token_at(&server, &other, &refresh, Some(&shown)).await;
    assert_eq!(
        (replayed.status, text(&replayed.json(), "error")),
        (400, "invalid_dpop_proof"),
        "no successor for a thief"
    );
    // A check changes nothing and asks nobody: each node goes by its own memory.
    let shown = proof(&server, &key, CHECK, Some(access));
    let check = r#"{"metric":"api_call"}"#;
    for (base, status) in [(&server.base, 402), (&server.base, 401), (&other, 402), (&other, 401)] {
        let reply = ask_at(&server, (base, CHECK.1, check), ("DPoP", access), Some(&shown)).await;
        assert_eq!(reply.status, status);
    }
    let nonce = ask(&server, "DPoP", access, Some(&shown)).await.header("dpop-nonce").unwrap().to_owned();
    let mut claims = claims(&server, "POST", CHECK.1, Some(access));
    claims["nonce"] = json!(nonce);
    let with = key.sign(&key.header(), &claims);
    assert_eq!(
        ask_at(&server, (&other, CHECK.1, check), ("DPoP", access), Some(&with)).await.status,
        402,
        "a nonce is good on every node"
    );
}
