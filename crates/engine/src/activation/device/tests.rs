//! What holds for plugins that wait: one approval, one activation, and no faster than told.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use tollgate_rules::access::{Permission, Scope};

use super::*;
use crate::access::authenticate;
use crate::activation::Error;
use crate::keys;
use crate::on_both;
use crate::testing::{START, TestEngine};

async fn begun(engine: &TestEngine) -> Begun {
    let begin_with =
        Begin { site_url: "https://Shop.example/".to_owned(), scope: None, address: Some("192.0.2.7".to_owned()) };
    begin(engine, begin_with).await.unwrap()
}

async fn say(engine: &TestEngine, org: &str, code: &SecretString, decision: Decision) -> Result<Device, Error> {
    let scope = engine.scope(org).await;
    decide(engine, (&engine.operator(), &scope), (code.expose_secret(), decision), Some("192.0.2.1")).await
}

fn after(engine: &TestEngine, seconds: u64) {
    engine.set_now(START.plus(Duration::from_secs(seconds)));
}

on_both! {
    async fn an_approved_plugin_gets_tokens_once(engine: TestEngine) {
        engine.org("org_a").await;
        let begun = begun(&engine).await;
        assert_eq!((begun.lifetime.as_secs(), begun.interval.as_secs()), (600, 5));
        assert!(matches!(poll(&engine, &begun.device_code, None).await, Err(Error::Pending)));
        let typed = SecretString::from(begun.user_code.expose_secret().to_lowercase().replace('-', " "));
        let shown = find(&engine, &engine.scope("org_a").await, typed.expose_secret(), None).await.unwrap();
        assert_eq!((shown.domain.as_str(), shown.asked_from.as_deref()), ("shop.example", Some("192.0.2.7")));
        say(&engine, "org_a", &typed, Decision::Approve).await.unwrap();
        after(&engine, 5);
        let granted = poll(&engine, &begun.device_code, None).await.unwrap();
        assert_eq!((granted.site.as_str(), granted.org_id.as_str()), ("shop.example", "org_a"));
        let caller = authenticate(&engine, granted.access.token.expose_secret()).await.unwrap();
        caller.require(&engine, Permission::UsageWrite, None).await.unwrap();
        assert!(matches!(poll(&engine, &begun.device_code, None).await, Err(Error::InvalidGrant)), "once");
        assert!(matches!(say(&engine, "org_a", &typed, Decision::Deny).await, Err(Error::NotFound)), "decided once");
    }

    async fn whoever_asks_too_fast_waits_longer_each_time(engine: TestEngine) {
        let begun = begun(&engine).await;
        assert!(matches!(poll(&engine, &begun.device_code, None).await, Err(Error::Pending)));
        after(&engine, 4);
        assert!(matches!(poll(&engine, &begun.device_code, None).await, Err(Error::SlowDown(10))));
        after(&engine, 12);
        assert!(matches!(poll(&engine, &begun.device_code, None).await, Err(Error::SlowDown(15))));
        after(&engine, 27);
        assert!(matches!(poll(&engine, &begun.device_code, None).await, Err(Error::Pending)));
    }

    async fn what_is_turned_away_over_or_unknown_gets_nothing(engine: TestEngine) {
        engine.org("org_a").await;
        let denied = begun(&engine).await;
        say(&engine, "org_a", &denied.user_code, Decision::Deny).await.unwrap();
        assert!(matches!(poll(&engine, &denied.device_code, None).await, Err(Error::Denied)));
        let late = begun(&engine).await;
        after(&engine, 600);
        assert!(matches!(poll(&engine, &late.device_code, None).await, Err(Error::CodeExpired)));
        assert!(matches!(say(&engine, "org_a", &late.user_code, Decision::Approve).await, Err(Error::NotFound)));
        for unknown in ["", "tgd_", "nonsense"] {
            assert!(matches!(poll(&engine, &SecretString::from(unknown), None).await, Err(Error::InvalidGrant)));
        }
        let other = SecretString::from("BCDF-GHJK");
        for _ in 0..4 {
            assert!(matches!(say(&engine, "org_a", &other, Decision::Approve).await, Err(Error::NotFound)));
        }
        assert!(matches!(say(&engine, "org_a", &other, Decision::Approve).await, Err(Error::TooManyGuesses(_))));
    }

    async fn of_a_hundred_who_decide_one_does(engine: TestEngine) {
        engine.org("org_a").await;
        let begun = begun(&engine).await;
        let scope = engine.scope("org_a").await;
        let calls = (0..100).map(|n| {
            let (engine, who, scope, code) = (engine.engine.clone(), engine.operator(), scope.clone(), begun.user_code.clone());
            let decision = if n % 2 == 0 { Decision::Approve } else { Decision::Deny };
            tokio::spawn(async move { decide(&engine, (&who, &scope), (code.expose_secret(), decision), None).await.is_ok() })
        });
        let mut decided = 0;
        for call in calls.collect::<Vec<_>>() {
            decided += i32::from(call.await.unwrap());
        }
        assert_eq!(decided, 1);
    }

    async fn nobody_approves_more_than_they_may_themselves(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let create = keys::Create { name: "k".to_owned(), scopes: Some(vec![Scope::OrgAdmin]), ..keys::Create::default() };
        let key = keys::create(&engine, &engine.operator(), &scope, create).await.unwrap();
        let caller = authenticate(&engine, key.secret.expose_secret()).await.unwrap();
        let begun = begun(&engine).await;
        let code = begun.user_code.expose_secret();
        let approved = decide(&engine, (&caller, &scope), (code, Decision::Approve), None).await;
        assert!(matches!(approved, Err(Error::Escalation)), "{approved:?}");
        decide(&engine, (&caller, &scope), (code, Decision::Deny), None).await.unwrap();
        let more = Begin { scope: Some("usage:force".to_owned()), site_url: "shop.example".to_owned(), address: None };
        assert!(matches!(begin(&engine, more).await, Err(Error::InvalidScope(_))));
        let nowhere = Begin { scope: None, site_url: "127.0.0.1".to_owned(), address: None };
        assert!(matches!(begin(&engine, nowhere).await, Err(Error::BadDomain)));
    }
}

/// The codes are stored as hashes only.
#[tokio::test]
async fn no_code_of_a_waiting_plugin_is_stored_as_it_is_shown() {
    let Some(engine) = TestEngine::open(crate::db::Kind::Sqlite, "no_code_of_a_waiting_plugin").await else { return };
    let begun = begun(&engine).await;
    let path = engine.engine.db().path().unwrap().to_owned();
    let mut stored = Vec::new();
    for name in [path.clone(), path.with_extension("db-wal")] {
        stored.extend(std::fs::read(name).unwrap_or_default());
    }
    let letters = begun.user_code.expose_secret().replace('-', "");
    for secret in [begun.device_code.expose_secret(), begun.user_code.expose_secret(), letters.as_str()] {
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()), "a code is in the file");
    }
    assert!(stored.windows(12).any(|window| window == b"shop.example"), "the file was read");
}
