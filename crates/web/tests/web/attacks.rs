//! Tokens that an attacker makes: none is believed, and all are refused in the same words.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};
use tollgate_engine::db::Kind;
use tollgate_engine::testing::TestEngine;
use tollgate_rules::access::Role;
use tollgate_web::Mode;

use crate::clerk::{self, Clerk, Version};
use crate::people::person;
use crate::server::Server;

/// The good token opens what none of the bad ones does; every refusal reads the same.
async fn only_the_good_one(server: &Server, good: &str, bad: Vec<(String, String)>) {
    assert_eq!(server.get("/api/auth/me", Some(good)).await.status, 200, "the token they are made of is good");
    let mut told = None;
    let count = bad.len();
    for (name, token) in bad {
        let reply = server.get("/api/auth/me", Some(&token)).await;
        assert_eq!(reply.status, 401, "{name}: {}", reply.text);
        let mut answer = reply.json();
        answer["error"]["requestId"] = json!("-");
        let first = told.get_or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "{name} is refused in other words");
    }
    println!("PROOF: forged tokens over HTTP: {count} refused, in the same words");
}

fn parts(token: &str) -> (Value, Value, String) {
    let mut parts = token.split('.');
    let read = |part: &str| serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap();
    (read(parts.next().unwrap()), read(parts.next().unwrap()), parts.next().unwrap().to_owned())
}

fn joined(header: &str, claims: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", BASE64.encode(header), BASE64.encode(claims))
}

/// Signed as HS256 with something public as the secret.
fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", BASE64.encode(hmac::sign(&key, signed.as_bytes())))
}

/// What can be done to any good token without its key.
fn altered(good: &str) -> Vec<(String, String)> {
    let (header, claims, signature) = parts(good);
    let mut bad = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "HS256", "RS512", "ES256", "EdDSA ", ""] {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        for signature in ["", signature.as_str()] {
            bad.push((
                format!("alg {alg}, signature {}", signature.len()),
                joined(&header.to_string(), &claims.to_string(), signature),
            ));
        }
    }
    for kid in ["../../../../dev/null", "/dev/null", "' OR 1=1 --", "", "a\u{0}b"] {
        let mut header = header.clone();
        header["kid"] = json!(kid);
        bad.push((format!("kid {kid:?}"), joined(&header.to_string(), &claims.to_string(), &signature)));
    }
    for name in ["jwk", "jku", "x5u", "x5c", "crit"] {
        let mut header = header.clone();
        header[name] = json!("https://evil.example/keys.json");
        bad.push((format!("a header {name}"), joined(&header.to_string(), &claims.to_string(), &signature)));
    }
    let doubled = claims.to_string().replacen('{', "{\"sub\":\"user_evil\",", 1);
    let trailing = format!("{claims}{{}}");
    for (name, text) in [
        ("a claim twice", doubled),
        ("something behind the claims", trailing),
        ("claims that are a list", "[]".to_owned()),
    ] {
        bad.push((name.to_owned(), joined(&header.to_string(), &text, &signature)));
    }
    let mut raised = claims.clone();
    raised["sub"] = json!("user_evil");
    bad.push(("another subject".to_owned(), joined(&header.to_string(), &raised.to_string(), &signature)));
    bad.push(("no signature".to_owned(), good.rsplit_once('.').unwrap().0.to_owned() + "."));
    bad.push(("a cut signature".to_owned(), good[..good.len() - 4].to_owned()));
    bad.push(("a padded signature".to_owned(), format!("{good}==")));
    bad.push(("five parts".to_owned(), format!("{good}.AAAA.AAAA")));
    bad.push((
        "huge".to_owned(),
        joined(&header.to_string(), &format!("{{\"x\":\"{}\"}}", "a".repeat(40_000)), &signature),
    ));
    bad.push((
        "deep".to_owned(),
        joined(&header.to_string(), &format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)), &signature),
    ));
    bad.push(("two tokens".to_owned(), format!("{good},{good}")));
    bad
}

#[tokio::test]
async fn tokens_of_ours_that_were_altered_or_confused_are_not_believed() {
    let server = Server::start("attacks").await;
    let (ann, bob) = (person(&server, "ann@example.com").await, person(&server, "bob@example.com").await);
    let mut bad = altered(&ann.access);
    let (header, _, signature) = parts(&ann.access);
    let (_, theirs, _) = parts(&bob.access);
    bad.push(("another's claims".to_owned(), joined(&header.to_string(), &theirs.to_string(), &signature)));
    let jwks = server.get("/.well-known/jwks.json", None).await.json();
    let public = BASE64.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let (mut header, claims, _) = parts(&ann.access);
    header["alg"] = json!("HS256");
    bad.push(("HS256 with the public key".to_owned(), hs256(&header, &claims, &public)));
    bad.push(("the refresh token".to_owned(), ann.refresh.clone()));
    server.operate("/api/orgs.create", &json!({"orgId": "org_a", "name": "A", "ownerUserId": "user_1"})).await;
    only_the_good_one(&server, &ann.access, bad).await;
    // A site's token is a token of ours too, and no session.
    let code =
        server.operate("/api/activation/codes.create", &json!({"orgId": "org_a", "siteDomain": "a.example"})).await;
    let grant = json!({"grant_type": "urn:tollgate:oauth:grant-type:activation-code", "code": code["code"], "site_url": "a.example"});
    let site = server.post("/oauth/token", None, &grant).await.json();
    let reply = server.get("/api/auth/me", site["access_token"].as_str()).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "forbidden"), "{}", reply.text);
}

#[tokio::test]
async fn tokens_that_claim_to_be_clerks_are_not_believed() {
    let clerk = Clerk::start().await;
    let identity = clerk.identity();
    let engine = TestEngine::open_with(Kind::Sqlite, "attacks_clerk", |settings| settings.identity = identity).await;
    let server = Server::start_at(engine.unwrap(), Mode::Serve, |_, _| {}).await;
    server.operate("/api/orgs.create", &json!({"orgId": "org_own", "name": "own", "ownerUserId": "user_1"})).await;
    server.engine.member("org_own", "user_owner", Role::Owner).await;
    let now = server.engine.clock().wall.now().as_micros() / 1_000_000;
    let claims = clerk::session(Version::Two, "user_owner", "org_own", now);
    let good = clerk.sign(&claims);
    let (header, ..) = parts(&good);
    let mut bad = altered(&good);
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(clerk.public_der()));
    let mut symmetric = header.clone();
    symmetric["alg"] = json!("HS256");
    for secret in [clerk.public_der(), pem.as_bytes(), b"", b"sk_test_x"] {
        if !secret.is_empty() {
            bad.push(("HS256 with what is public".to_owned(), hs256(&symmetric, &claims, secret)));
        }
    }
    for (name, value) in
        [("typ", json!("at+jwt")), ("typ", json!(1)), ("cat", json!("cl_B7d4PD333AAA")), ("crit", json!(["b64"]))]
    {
        let mut header = header.clone();
        header[name] = value.clone();
        bad.push((format!("signed, with {name} {value}"), clerk.sign_as(&header, &claims)));
    }
    for (name, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(9_999_999_999.5)),
        ("exp", Value::Null),
        ("iat", json!(now + 3_600)),
        ("nbf", json!(now + 3_600)),
        ("sub", json!(["user_owner"])),
        ("sub", json!("org_own")),
        ("iss", json!(clerk::ISSUER.to_ascii_uppercase())),
        ("iss", json!([clerk::ISSUER])),
        ("azp", json!("https://app.example.com.evil.example")),
        ("sts", json!("pending")),
        ("v", json!(3)),
        ("o", json!("org_own")),
    ] {
        let mut claims = claims.clone();
        claims[name] = value.clone();
        bad.push((format!("signed, with {name} {value}"), clerk.sign(&claims)));
    }
    only_the_good_one(&server, &good, bad).await;
}
