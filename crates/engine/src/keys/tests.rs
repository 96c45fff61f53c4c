//! What holds for keys, and for who they let in.

use std::time::Duration;

use secrecy::ExposeSecret;

use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::ids::OrgId;

use super::{
    Create, CreateOperator, Created, Error, create, create_operator, list, list_operators, revoke, revoke_operator,
    rotate, write_uses,
};
use crate::access::{AuthError, Caller, Refused, authenticate};
use crate::db::Statement;
use crate::on_both;
use crate::paging::Paging;
use crate::testing::{OPERATOR_KEY, START, TestEngine};

fn plain(name: &str) -> Create {
    Create { name: name.to_owned(), scopes: None, expires_at: None, quota: Default::default() }
}

async fn key_of(engine: &TestEngine, org_id: &str) -> Created {
    engine.org(org_id).await;
    create(engine, &engine.operator(), &engine.scope(org_id).await, plain("k")).await.unwrap()
}

async fn create_as_operator(engine: &TestEngine, scope: &crate::access::OrgScope, wanted: Create) -> Created {
    create(engine, &engine.operator(), scope, wanted).await.unwrap()
}

async fn let_in(engine: &TestEngine, created: &Created) -> Result<Caller, AuthError> {
    authenticate(engine, created.secret.expose_secret()).await
}

on_both! {
    async fn a_key_acts_for_its_own_org_and_a_foreign_org_looks_missing(engine: TestEngine) {
        let created = key_of(&engine, "org_a").await;
        engine.org("org_b").await;
        let caller = let_in(&engine, &created).await.unwrap();
        let scope = caller.require(&engine, Permission::UsageWrite, None).await.unwrap();
        assert_eq!(scope.org_id().as_str(), "org_a");
        let foreign = OrgId::parse("org_b").unwrap();
        let missing = OrgId::parse("org_nowhere").unwrap();
        let answers = [
            caller.require(&engine, Permission::UsageWrite, Some(&foreign)).await,
            caller.require(&engine, Permission::UsageWrite, Some(&missing)).await,
        ];
        assert_eq!(answers, [Err(Refused::NotFound), Err(Refused::NotFound)]);
        let more = caller.require(&engine, Permission::UsageForce, None).await;
        assert_eq!(more, Err(Refused::Forbidden(Permission::UsageForce)));
        assert!(caller.require_operator(Permission::OrgsList).is_err());
    }

    async fn altered_unknown_and_foreign_credentials_are_refused_alike(engine: TestEngine) {
        let created = key_of(&engine, "org_a").await;
        let secret = created.secret.expose_secret();
        let altered = secret.replace("tg_test_", "tg_live_");
        let cut = &secret[..secret.len() - 1];
        for bad in ["", "tgo_", "tg_test_", &altered, cut, "tgo_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(matches!(authenticate(&engine, bad).await, Err(AuthError::Invalid)), "{bad}");
        }
        assert!(authenticate(&engine, OPERATOR_KEY).await.unwrap().is_operator());
    }

    async fn a_revoked_key_is_refused_at_once(engine: TestEngine) {
        let created = key_of(&engine, "org_a").await;
        let_in(&engine, &created).await.unwrap();
        let scope = engine.scope("org_a").await;
        let revoked = revoke(&engine, &scope, &created.key.key_id).await.unwrap();
        assert!(revoked.revoked_at.is_some());
        assert!(matches!(let_in(&engine, &created).await, Err(AuthError::Invalid)));
        assert_eq!(revoke(&engine, &scope, &created.key.key_id).await.unwrap(), revoked, "the same again answers the same");
        engine.org("org_b").await;
        let foreign = revoke(&engine, &engine.scope("org_b").await, &created.key.key_id).await;
        assert!(matches!(foreign, Err(Error::NotFound)), "{foreign:?}");
    }

    async fn a_rotated_key_lives_on_for_a_day_beside_its_successor(engine: TestEngine) {
        let old = key_of(&engine, "org_a").await;
        let_in(&engine, &old).await.unwrap();
        let scope = engine.scope("org_a").await;
        let new = rotate(&engine, &engine.operator(), &scope, &old.key.key_id).await.unwrap();
        assert_eq!(new.key.scopes, old.key.scopes);
        let_in(&engine, &old).await.unwrap();
        let_in(&engine, &new).await.unwrap();
        let third = rotate(&engine, &engine.operator(), &scope, &old.key.key_id).await;
        assert!(matches!(third, Err(Error::Ended("rotated already"))), "{third:?}");
        engine.set_now(START.plus(super::rotate::OVERLAP));
        assert!(matches!(let_in(&engine, &old).await, Err(AuthError::Invalid)));
        let_in(&engine, &new).await.unwrap();
    }

    async fn of_one_line_two_secrets_live_never_three(engine: TestEngine) {
        let first = key_of(&engine, "org_a").await;
        let scope = engine.scope("org_a").await;
        let second = rotate(&engine, &engine.operator(), &scope, &first.key.key_id).await.unwrap();
        let_in(&engine, &first).await.unwrap();
        let third = rotate(&engine, &engine.operator(), &scope, &second.key.key_id).await.unwrap();
        assert!(matches!(let_in(&engine, &first).await, Err(AuthError::Invalid)), "the oldest ends at once");
        let_in(&engine, &second).await.unwrap();
        let_in(&engine, &third).await.unwrap();
        let listed = list(&engine, &scope, &Paging::default()).await.unwrap().items;
        assert!(listed.iter().all(|key| key.line == first.key.key_id), "one line, named by its first key");
    }

    async fn nobody_takes_a_stronger_key_by_rotating_it(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let make = async |scopes: &[Scope]| {
            let create = Create { scopes: Some(scopes.to_vec()), ..plain("k") };
            create_as_operator(&engine, &scope, create).await
        };
        let (admin, stronger) = (make(&[Scope::OrgAdmin]).await, make(&[Scope::UsageForce]).await);
        let caller = let_in(&engine, &admin).await.unwrap();
        let own = caller.require(&engine, Permission::KeysWrite, None).await.unwrap();
        let taken = rotate(&engine, &caller, &own, &stronger.key.key_id).await;
        assert!(matches!(taken, Err(Error::Escalation)), "{taken:?}");
        let_in(&engine, &stronger).await.unwrap();
        rotate(&engine, &caller, &own, &admin.key.key_id).await.unwrap();
    }

    async fn a_key_ends_at_its_time_also_when_it_is_known_already(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let end = START.plus(Duration::from_secs(60));
        let created = create(&engine, &engine.operator(), &scope, Create { expires_at: Some(end), ..plain("k") }).await.unwrap();
        let_in(&engine, &created).await.unwrap();
        engine.set_now(end);
        assert!(matches!(let_in(&engine, &created).await, Err(AuthError::Invalid)));
        let past = create(&engine, &engine.operator(), &scope, Create { expires_at: Some(START), ..plain("k") }).await;
        assert!(matches!(past, Err(Error::Invalid { field: "expiresAt", .. })), "{past:?}");
    }

    async fn nobody_grants_more_than_they_hold(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let admin = Create { scopes: Some(vec![Scope::OrgAdmin, Scope::UsageWrite]), ..plain("admin") };
        let admin = create(&engine, &engine.operator(), &scope, admin).await.unwrap();
        let caller = let_in(&engine, &admin).await.unwrap();
        let own = caller.require(&engine, Permission::KeysWrite, None).await.unwrap();
        let more = Create { scopes: Some(vec![Scope::UsageForce]), ..plain("more") };
        assert!(matches!(create(&engine, &caller, &own, more).await, Err(Error::Escalation)));
        let less = Create { scopes: Some(vec![Scope::UsageWrite]), ..plain("less") };
        create(&engine, &caller, &own, less).await.unwrap();
    }

    async fn only_the_hash_of_a_secret_is_stored(engine: TestEngine) {
        const STORED: Statement = Statement::new(
            "test.stored_keys",
            "SELECT key_id || name || secret_hash || secret_hint || scopes || created_by AS line FROM api_keys LIMIT 10",
        );
        let created = key_of(&engine, "org_a").await;
        let mut read = engine.engine.db().read().await.unwrap();
        let line = read.one(&STORED, &[]).await.unwrap().text("line").unwrap();
        let secret = created.secret.expose_secret();
        assert!(!line.contains(&secret[8..40]), "{line}");
        assert!(line.contains(&created.key.hint));
        assert!(!format!("{created:?}").contains(secret));
    }

    async fn uses_are_written_behind(engine: TestEngine) {
        let created = key_of(&engine, "org_a").await;
        let_in(&engine, &created).await.unwrap();
        let scope = engine.scope("org_a").await;
        let used = async || list(&engine, &scope, &Paging::default()).await.unwrap().items[0].last_used_at;
        assert_eq!(used().await, None);
        write_uses(&engine).await.unwrap();
        assert_eq!(used().await, Some(START));
    }

    async fn operator_keys_are_made_shown_once_and_revoked(engine: TestEngine) {
        let server = engine.server();
        let made = create_operator(&engine, &server, CreateOperator { label: "ci".to_owned(), expires_at: None }).await.unwrap();
        let caller = authenticate(&engine, made.secret.expose_secret()).await.unwrap();
        assert_eq!(caller.actor(), "operator:ci");
        revoke_operator(&engine, &server, &made.key.key_id).await.unwrap();
        assert!(authenticate(&engine, made.secret.expose_secret()).await.is_err());
        assert!(list_operators(&engine, &server).await.unwrap()[0].revoked_at.is_some());
        assert!(matches!(revoke_operator(&engine, &server, "key_none").await, Err(Error::NotFound)));
    }
}

/// Two nodes on one PostgreSQL: what one revokes, the other hears within the time a key is remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_on_another_node_is_heard() {
    let name = "a_revocation_on_another_node_is_heard";
    let ttl = Duration::from_millis(300);
    let Some(one) =
        TestEngine::open_with(crate::db::Kind::Postgres, name, |settings| settings.limits.key_cache_ttl = ttl).await
    else {
        return;
    };
    let mut settings = crate::testing::settings(&one.db);
    settings.limits.key_cache_ttl = ttl;
    let two = crate::Engine::open(settings).await.unwrap();
    let created = key_of(&one, "org_a").await;
    let secret = created.secret.expose_secret();
    authenticate(&two, secret).await.unwrap();
    revoke(&one, &one.scope("org_a").await, &created.key.key_id).await.unwrap();
    let deadline = two.clock().monotonic.now() + ttl * 4;
    while authenticate(&two, secret).await.is_ok() {
        assert!(two.clock().monotonic.now() < deadline, "still let in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    two.close().await;
}
