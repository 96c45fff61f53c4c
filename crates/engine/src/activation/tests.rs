//! What holds for activation: codes once, refreshes one after the other, and what a theft costs.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::time::Timestamp;

use super::*;
use crate::access::{AuthError, Caller, authenticate};
use crate::fault::Manner;
use crate::keys;
use crate::on_both;
use crate::paging::Paging;
use crate::testing::{START, TestEngine};

mod machine;

const SITE: &str = "shop.example";

async fn code(engine: &TestEngine, org_id: &str) -> String {
    let scope = engine.scope(org_id).await;
    create_code(engine, &engine.operator(), &scope, SITE).await.unwrap().code.expose_secret().to_owned()
}

fn typed(code: &str, site_url: &str) -> Redeem {
    Redeem { code: code.to_owned(), site_url: site_url.to_owned(), address: None, proof: None }
}

async fn activated(engine: &TestEngine, org_id: &str) -> Granted {
    engine.org(org_id).await;
    let code = code(engine, org_id).await;
    redeem(engine, typed(&code, "https://shop.example/")).await.unwrap()
}

fn with(token: &SecretString) -> Refresh {
    Refresh { token: token.clone(), site_url: None, proof: None }
}

async fn let_in(engine: &TestEngine, granted: &Granted) -> Result<Caller, AuthError> {
    authenticate(engine, granted.access.token.expose_secret()).await
}

async fn actions(engine: &TestEngine, org_id: &str) -> Vec<String> {
    let filter =
        crate::audit::Filter { org_id: Some(engine.scope(org_id).await.org_id().clone()), ..Default::default() };
    let page = crate::audit::list(engine, &engine.server(), &filter, &Paging::default()).await.unwrap();
    page.items.into_iter().map(|entry| entry.action).collect()
}

on_both! {
    async fn a_code_activates_one_site_whose_token_counts_for_the_org(engine: TestEngine) {
        engine.org("org_a").await;
        let code = code(&engine, "org_a").await;
        assert!(code.len() == 9 && code.chars().all(|c| "BCDFGHJKLMNPQRSTVWXZ-".contains(c)), "{code}");
        let sloppy = code.to_lowercase().replace('-', " ");
        let granted = redeem(&engine, typed(&sloppy, "https://SHOP.example:443/wp-admin/")).await.unwrap();
        assert_eq!((granted.site.as_str(), granted.org_id.as_str()), (SITE, "org_a"));
        assert_eq!(granted.scopes, Scope::DEFAULT);
        assert_eq!(granted.access.lifetime, Duration::from_secs(600));
        let caller = let_in(&engine, &granted).await.unwrap();
        for permission in [Permission::UsageWrite, Permission::QuotaCheck, Permission::GatePass] {
            assert!(caller.require(&engine, permission, None).await.is_ok(), "{permission}");
        }
        let sites = list_sites(&engine, &engine.scope("org_a").await, &Paging::default()).await.unwrap().items;
        assert_eq!((sites.len(), sites[0].active, sites[0].verified_at), (1, true, None));
    }

    async fn whatever_is_wrong_with_a_code_the_answer_is_the_same(engine: TestEngine) {
        engine.org("org_a").await;
        let used = code(&engine, "org_a").await;
        redeem(&engine, typed(&used, SITE)).await.unwrap();
        let replaced = code(&engine, "org_a").await;
        let live = code(&engine, "org_a").await;
        let wrong = [(used.as_str(), SITE), (replaced.as_str(), SITE), ("BCDF-GHJK", SITE), (live.as_str(), "www.shop.example"), (live.as_str(), "?"), ("", "")];
        for (code, site) in wrong {
            let refused = redeem(&engine, typed(code, site)).await;
            assert!(matches!(refused, Err(Error::InvalidGrant)), "{code} {site}: {refused:?}");
        }
        engine.set_now(START.plus(Duration::from_secs(600)));
        assert!(matches!(redeem(&engine, typed(&live, SITE)).await, Err(Error::InvalidGrant)));
    }

    async fn a_code_used_by_a_hundred_callers_lets_one_in(engine: TestEngine) {
        engine.org("org_a").await;
        let code = code(&engine, "org_a").await;
        let calls = (0..100).map(|_| {
            let (engine, redeem_this) = (engine.engine.clone(), typed(&code, SITE));
            tokio::spawn(async move { redeem(&engine, redeem_this).await.is_ok() })
        });
        let mut let_in = 0;
        for call in calls.collect::<Vec<_>>() {
            let_in += i32::from(call.await.unwrap());
        }
        assert_eq!(let_in, 1);
    }

    async fn fifty_refreshes_at_once_give_one_successor_and_end_nothing(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        let calls = (0..50).map(|_| {
            let (engine, refresh_this) = (engine.engine.clone(), with(&granted.refresh));
            tokio::spawn(async move { refresh(&engine, refresh_this).await.unwrap().refresh.expose_secret().to_owned() })
        });
        let mut successors = std::collections::BTreeSet::new();
        for call in calls.collect::<Vec<_>>() {
            successors.insert(call.await.unwrap());
        }
        assert_eq!(successors.len(), 1);
        let next = SecretString::from(successors.pop_first().unwrap());
        refresh(&engine, with(&next)).await.unwrap();
    }

    async fn a_lost_answer_can_be_asked_for_again(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        for point in ["activation.refresh.before_commit", "activation.refresh.after_commit"] {
            engine.faults().plan(point, Manner::Fail, 1);
            assert!(matches!(refresh(&engine, with(&granted.refresh)).await, Err(Error::Database(_))), "{point}");
        }
        let one = refresh(&engine, with(&granted.refresh)).await.unwrap();
        engine.set_now(START.plus(Duration::from_secs(59)));
        let two = refresh(&engine, with(&granted.refresh)).await.unwrap();
        assert_eq!(one.refresh.expose_secret(), two.refresh.expose_secret());
        refresh(&engine, with(&one.refresh)).await.unwrap();
    }

    async fn a_used_token_used_again_after_the_grace_ends_its_family_and_no_other(engine: TestEngine) {
        let stolen = activated(&engine, "org_a").await;
        let other = activated(&engine, "org_b").await;
        let next = refresh(&engine, with(&stolen.refresh)).await.unwrap();
        engine.set_now(START.plus(Duration::from_secs(60)));
        assert!(matches!(refresh(&engine, with(&stolen.refresh)).await, Err(Error::InvalidGrant)));
        assert!(matches!(refresh(&engine, with(&next.refresh)).await, Err(Error::InvalidGrant)), "the thief's too");
        assert!(matches!(let_in(&engine, &next).await, Err(AuthError::Invalid)), "and what it got");
        assert!(let_in(&engine, &other).await.is_ok());
        refresh(&engine, with(&other.refresh)).await.unwrap();
        assert!(actions(&engine, "org_a").await.contains(&"site.token_reuse_detected".to_owned()));
        let again = redeem(&engine, typed(&code(&engine, "org_a").await, SITE)).await.unwrap();
        assert_eq!(again.site_id, stolen.site_id, "the site is activated again with a new code");
    }

    async fn within_the_grace_a_token_whose_successor_was_used_ends_the_family(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        let next = refresh(&engine, with(&granted.refresh)).await.unwrap();
        refresh(&engine, with(&next.refresh)).await.unwrap();
        assert!(matches!(refresh(&engine, with(&granted.refresh)).await, Err(Error::InvalidGrant)));
        assert!(matches!(refresh(&engine, with(&next.refresh)).await, Err(Error::InvalidGrant)));
    }

    async fn a_copy_of_a_site_is_refused_and_the_site_goes_on(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        let copied = Refresh { site_url: Some("https://staging.shop.example".to_owned()), ..with(&granted.refresh) };
        assert!(matches!(refresh(&engine, copied).await, Err(Error::OtherSite)));
        let own = Refresh { site_url: Some("https://shop.example/blog".to_owned()), ..with(&granted.refresh) };
        refresh(&engine, own).await.unwrap();
    }

    async fn a_refresh_token_ends_when_nobody_uses_it_and_its_family_after_a_year(engine: TestEngine) {
        let idle = activated(&engine, "org_a").await;
        let mut busy = activated(&engine, "org_b").await;
        for month in 1..=12_u64 {
            engine.set_now(START.plus(Duration::from_secs(month * 30 * 24 * 3600)));
            busy = refresh(&engine, with(&busy.refresh)).await.unwrap();
        }
        assert!(matches!(refresh(&engine, with(&idle.refresh)).await, Err(Error::InvalidGrant)));
        engine.set_now(START.plus(Duration::from_secs(365 * 24 * 3600)));
        assert!(matches!(refresh(&engine, with(&busy.refresh)).await, Err(Error::InvalidGrant)));
    }

    async fn what_is_revoked_is_over_at_once(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        assert!(introspect(&engine, &engine.operator(), granted.refresh.expose_secret()).await.unwrap().is_some());
        revoke(&engine, granted.refresh.expose_secret()).await.unwrap();
        assert!(matches!(refresh(&engine, with(&granted.refresh)).await, Err(Error::InvalidGrant)));
        assert!(matches!(let_in(&engine, &granted).await, Err(AuthError::Invalid)));
        assert!(introspect(&engine, &engine.operator(), granted.refresh.expose_secret()).await.unwrap().is_none());
        revoke(&engine, granted.refresh.expose_secret()).await.unwrap();
        revoke(&engine, "nonsense").await.unwrap();
        let other = activated(&engine, "org_b").await;
        revoke(&engine, other.access.token.expose_secret()).await.unwrap();
        assert!(matches!(let_in(&engine, &other).await, Err(AuthError::Invalid)));
        let next = refresh(&engine, with(&other.refresh)).await.unwrap();
        assert!(let_in(&engine, &next).await.is_ok(), "an access token ends alone");
        let scope = engine.scope("org_b").await;
        assert!(!revoke_site(&engine, &scope, &other.site_id).await.unwrap().active);
        assert!(matches!(let_in(&engine, &next).await, Err(AuthError::Invalid)));
        assert!(matches!(revoke_site(&engine, &engine.scope("org_a").await, &other.site_id).await, Err(Error::NotFound)));
    }

    async fn an_org_key_gets_a_stand_in_with_no_more_than_its_own_rights(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let end = START.plus(Duration::from_secs(120));
        let key = keys::Create { name: "k".to_owned(), scopes: None, expires_at: Some(end), quota: Default::default() };
        let key = keys::create(&engine, &engine.operator(), &scope, key).await.unwrap();
        let all = client_credentials(&engine, &key.secret, None, None).await.unwrap();
        assert_eq!((all.scopes.as_slice(), all.access.lifetime), (Scope::DEFAULT, Duration::from_secs(120)));
        let id = Some(key.key.key_id.as_str());
        let less = client_credentials(&engine, &key.secret, id, Some("quota:check")).await.unwrap();
        let caller = authenticate(&engine, less.access.token.expose_secret()).await.unwrap();
        assert!(caller.require(&engine, Permission::QuotaCheck, None).await.is_ok());
        assert!(caller.require(&engine, Permission::UsageWrite, None).await.is_err());
        let more = client_credentials(&engine, &key.secret, None, Some("quota:check usage:force")).await;
        assert!(matches!(more, Err(Error::InvalidScope(_))), "{more:?}");
        assert!(matches!(client_credentials(&engine, &key.secret, Some("key_other"), None).await, Err(Error::InvalidClient)));
        let again = client_credentials(&engine, &less.access.token, None, None).await;
        assert!(matches!(again, Err(Error::UnauthorizedClient)), "a stand-in gets no stand-in");
        let operator = SecretString::from(crate::testing::OPERATOR_KEY);
        assert!(matches!(client_credentials(&engine, &operator, None, None).await, Err(Error::UnauthorizedClient)));
        keys::revoke(&engine, &scope, &key.key.key_id).await.unwrap();
        assert!(matches!(authenticate(&engine, less.access.token.expose_secret()).await, Err(AuthError::Invalid)));
        assert!(matches!(client_credentials(&engine, &key.secret, None, None).await, Err(Error::InvalidClient)));
    }

    async fn a_closed_orgs_sites_are_shut_off(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        let scope = engine.scope("org_a").await;
        let waiting = create_code(&engine, &engine.operator(), &scope, "other.example").await.unwrap();
        crate::orgs::delete(&engine, &scope).await.unwrap();
        assert!(matches!(let_in(&engine, &granted).await, Err(AuthError::Invalid)));
        assert!(matches!(refresh(&engine, with(&granted.refresh)).await, Err(Error::InvalidGrant)));
        let late = redeem(&engine, typed(waiting.code.expose_secret(), "other.example")).await;
        assert!(matches!(late, Err(Error::InvalidGrant)));
        assert!(matches!(create_code(&engine, &engine.operator(), &scope, SITE).await, Err(Error::Closed)));
    }

    async fn a_domain_is_proven_by_what_only_its_owner_can_put_there(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let inside = create_code(&engine, &engine.operator(), &scope, "localhost").await.unwrap();
        let granted = redeem(&engine, typed(inside.code.expose_secret(), "localhost")).await.unwrap();
        let refused = verify_site(&engine, &scope, &granted.site_id, Some(Proof::File)).await;
        assert!(matches!(refused, Err(Error::NotProven(_))), "nothing inside is asked: {refused:?}");
        assert!(matches!(verify_site(&engine, &scope, "site_none", None).await, Err(Error::NotFound)));
        let site = list_sites(&engine, &scope, &Paging::default()).await.unwrap().items.remove(0);
        assert_eq!((site.verified_at, site.challenge.len()), (None, 32));
        verify_site::proven(&engine, &scope, site, Proof::File).await.unwrap();
        assert_eq!(verify_site(&engine, &scope, &granted.site_id, None).await.unwrap().verified_at, Some(START));
        assert!(actions(&engine, "org_a").await.contains(&"site.verify".to_owned()));
    }

    async fn nobody_guesses_codes_for_long(engine: TestEngine) {
        let guess = |address: &str| Redeem { address: Some(address.to_owned()), ..typed("BCDF-GHJK", SITE) };
        for _ in 0..5 {
            assert!(matches!(redeem(&engine, guess("192.0.2.1")).await, Err(Error::InvalidGrant)));
        }
        assert!(matches!(redeem(&engine, guess("192.0.2.1")).await, Err(Error::TooManyGuesses(_))));
        assert!(matches!(redeem(&engine, guess("192.0.2.2")).await, Err(Error::InvalidGrant)));
    }

    async fn an_org_asks_about_its_own_tokens_only(engine: TestEngine) {
        let granted = activated(&engine, "org_a").await;
        engine.org("org_b").await;
        let key = async |org: &str| {
            let create = keys::Create { name: "k".to_owned(), scopes: Some(vec![Scope::OrgAdmin]), expires_at: None, quota: Default::default() };
            let made = keys::create(&engine, &engine.operator(), &engine.scope(org).await, create).await.unwrap();
            authenticate(&engine, made.secret.expose_secret()).await.unwrap()
        };
        let (own, foreign) = (key("org_a").await, key("org_b").await);
        for token in [&granted.access.token, &granted.refresh] {
            let told = introspect(&engine, &own, token.expose_secret()).await.unwrap().unwrap();
            assert_eq!((told.subject.as_str(), told.site.as_deref()), (granted.site_id.as_str(), Some(SITE)));
            assert_eq!(introspect(&engine, &foreign, token.expose_secret()).await.unwrap(), None);
        }
        assert!(matches!(create_code(&engine, &own, &engine.scope("org_a").await, SITE).await, Err(Error::Escalation)));
    }
}

/// A text record that only the domain's owner can write.
#[tokio::test]
async fn a_domain_is_proven_by_a_text_record() {
    let names = tollgate_sandbox::dns::NameServer::start().await.unwrap();
    let resolver = tollgate_connectors::dns::Resolver::At(names.address());
    let name = "a_domain_is_proven_by_a_text_record";
    let opened = TestEngine::open_with(crate::db::Kind::Sqlite, name, |settings| settings.resolver = resolver).await;
    let Some(engine) = opened else { return };
    let granted = activated(&engine, "org_a").await;
    let scope = engine.scope("org_a").await;
    let verify = async || verify_site(&engine, &scope, &granted.site_id, Some(Proof::Dns)).await;
    assert!(matches!(verify().await, Err(Error::NotProven(_))), "there is no such record");
    names.set("_tollgate-activation.shop.example", &["v=spf1 -all", "another challenge"]);
    assert!(matches!(verify().await, Err(Error::NotProven(_))), "another challenge");
    let site = list_sites(&engine, &scope, &Paging::default()).await.unwrap().items.remove(0);
    names.set("_tollgate-activation.shop.example", &["v=spf1 -all", &site.challenge]);
    assert_eq!(verify().await.unwrap().verified_at, Some(START));
    assert!(actions(&engine, "org_a").await.contains(&"site.verify".to_owned()));
}

/// What a stolen copy of the tables holds opens nothing.
#[tokio::test]
async fn no_code_and_no_token_is_stored_as_it_is_shown() {
    let Some(engine) = TestEngine::open(crate::db::Kind::Sqlite, "no_code_and_no_token_is_stored").await else {
        return;
    };
    engine.org("org_a").await;
    let waiting = code(&engine, "org_a").await;
    let granted = redeem(&engine, typed(&waiting, SITE)).await.unwrap();
    let next = refresh(&engine, with(&granted.refresh)).await.unwrap();
    let path = engine.engine.db().path().unwrap().to_owned();
    let mut stored = Vec::new();
    for name in [path.clone(), path.with_extension("db-wal")] {
        stored.extend(std::fs::read(name).unwrap_or_default());
    }
    for secret in
        [waiting.as_str(), &waiting.replace('-', ""), granted.refresh.expose_secret(), next.refresh.expose_secret()]
    {
        let found = stored.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "a secret is in the file");
    }
    assert!(stored.windows(SITE.len()).any(|window| window == SITE.as_bytes()), "the file was read");
}

/// A moment some seconds after the start.
fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}
