//! What a warm check of a credential costs: `cargo test --release -p tollgate-engine -- --ignored credential_speed --nocapture`.
//!
//! Beside each figure stands a baseline of the same run: the bare signature check, and the bare hash; a sign-in stands beside one bare
//! hash of a password at its floor (19 MiB, two passes).

use std::hint::black_box;

use jsonwebtoken::Algorithm;

use super::*;
use crate::keys;
use crate::secrets;

const TURNS: u32 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; run it alone in a release build"]
async fn credential_speed() {
    let Some(engine) = TestEngine::open(crate::db::Kind::Sqlite, "credential_speed").await else { return };
    engine.org("org_a").await;
    let create = keys::Create { name: "k".to_owned(), scopes: None, expires_at: None, quota: Default::default() };
    let key = keys::create(&engine, &engine.operator(), &engine.scope("org_a").await, create).await.unwrap();
    let token = mint_site(&engine, &site()).unwrap();
    for (name, credential) in [("a site's token (EdDSA)", text(&token)), ("an API key", key.secret.expose_secret())] {
        authenticate(&engine, credential).await.unwrap();
        let begin = engine.clock().monotonic.now();
        for _ in 0..TURNS {
            black_box(authenticate(&engine, credential).await.unwrap());
        }
        let each = (engine.clock().monotonic.now() - begin) / TURNS;
        println!("PROOF: a warm check of {name}: {} ns", each.as_nanos());
    }
    baselines(&engine, text(&token), key.secret.expose_secret());
}

/// Sign-ins one after the other, as one person waits for theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; run it alone in a release build"]
async fn credential_speed_of_a_sign_in() {
    let Some(engine) = TestEngine::open(crate::db::Kind::Sqlite, "sign_in_speed").await else { return };
    crate::accounts::tests::account(&engine, "ann@example.com").await;
    let mut spent = Vec::new();
    for _ in 0..SIGN_INS {
        let begin = engine.clock().monotonic.now();
        black_box(crate::accounts::tests::enter(&engine, "ann@example.com").await);
        spent.push(engine.clock().monotonic.now() - begin);
    }
    spent.sort_unstable();
    let at = |percent: usize| spent[(spent.len() * percent).div_ceil(100) - 1].as_millis();
    println!("PROOF: a sign-in ({SIGN_INS} one after the other): p50 {} ms, p95 {} ms", at(50), at(95));
}

const SIGN_INS: usize = 100;

fn baselines(engine: &TestEngine, token: &str, key: &str) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = parts_of(token);
    let public = engine.tokens().ring.public(header["kid"].as_str().unwrap()).unwrap();
    let begin = engine.clock().monotonic.now();
    for _ in 0..TURNS {
        let good = jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &public, Algorithm::EdDSA).unwrap();
        assert!(black_box(good));
    }
    let each = (engine.clock().monotonic.now() - begin) / TURNS;
    println!("PROOF: baseline, the bare signature check: {} ns", each.as_nanos());
    let begin = engine.clock().monotonic.now();
    for _ in 0..TURNS {
        black_box(secrets::fingerprint(black_box(key)));
    }
    let each = (engine.clock().monotonic.now() - begin) / TURNS;
    println!("PROOF: baseline, the bare hash of a key: {} ns", each.as_nanos());
}
