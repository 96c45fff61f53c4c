//! What holds for orgs.

use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::entitlement::OrgStatus;
use tollgate_rules::ids::{OrgId, UserId};

use super::{Create, Error, Filter, Update, create, delete, get, list, relink, update};
use crate::access::{AuthError, Caller, Refused, authenticate};
use crate::audit;
use crate::keys;
use crate::on_both;
use crate::paging::Paging;
use crate::testing::TestEngine;

fn named(name: &str) -> Create {
    Create {
        name: name.to_owned(),
        owner_user_id: UserId::parse("user_1").unwrap(),
        org_id: None,
        email: None,
        timezone: None,
        idempotency_key: None,
    }
}

fn with_id(name: &str, id: &str) -> Create {
    Create { org_id: Some(OrgId::parse(id).unwrap()), ..named(name) }
}

on_both! {
    async fn the_same_id_answers_the_same_org_and_another_name_is_a_conflict(engine: TestEngine) {
        let first = create(&engine, &engine.operator(), with_id("Acme", "org_a")).await.unwrap();
        let again = create(&engine, &engine.operator(), with_id("Acme", "org_a")).await.unwrap();
        assert_eq!(first.org_key, again.org_key);
        let other = create(&engine, &engine.operator(), with_id("Bolt", "org_a")).await;
        assert!(matches!(other, Err(Error::Taken)), "{other:?}");
    }

    async fn without_an_id_each_call_makes_an_org_unless_it_carries_the_same_key(engine: TestEngine) {
        let one = create(&engine, &engine.operator(), named("Acme")).await.unwrap();
        let two = create(&engine, &engine.operator(), named("Acme")).await.unwrap();
        assert_ne!(one.org_id, two.org_id);
        let keyed = Create { idempotency_key: Some("k1".to_owned()), ..named("Acme") };
        let three = create(&engine, &engine.operator(), keyed.clone()).await.unwrap();
        let four = create(&engine, &engine.operator(), keyed).await.unwrap();
        assert_eq!(three.org_id, four.org_id);
    }

    async fn fields_that_break_their_rule_change_nothing(engine: TestEngine) {
        let bad = [
            Create { timezone: Some("Mars/Olympus".to_owned()), ..named("Acme") },
            Create { email: Some("nobody".to_owned()), ..named("Acme") },
            named("  "),
            named(&"x".repeat(201)),
        ];
        for create_bad in bad {
            let refused = create(&engine, &engine.operator(), create_bad).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        }
        let page = list(&engine, &engine.server(), &Filter::default(), &Paging::default()).await.unwrap();
        assert!(page.items.is_empty());
    }

    async fn only_the_operator_suspends_and_every_change_has_one_audit_entry(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let secret = keys::create(&engine, &engine.operator(), &scope, keys::Create {
            name: "admin".to_owned(), scopes: Some(vec![Scope::OrgAdmin]), expires_at: None, quota: Default::default(),
        }).await.unwrap().secret;
        let caller = authenticate(&engine, secrecy::ExposeSecret::expose_secret(&secret)).await.unwrap();
        let own = caller.require(&engine, Permission::OrgWrite, None).await.unwrap();
        let suspend = Update { status: Some(OrgStatus::Suspended), ..Update::default() };
        assert!(matches!(update(&engine, &own, suspend.clone()).await, Err(Error::OperatorOnly("status"))));
        let zone = Update { timezone: Some("europe/berlin".to_owned()), ..Update::default() };
        assert_eq!(update(&engine, &own, zone.clone()).await.unwrap().timezone, "Europe/Berlin");
        update(&engine, &own, zone).await.unwrap();
        assert_eq!(update(&engine, &scope, suspend).await.unwrap().status, OrgStatus::Suspended);
        let filter = audit::Filter { action: Some("orgs.update".to_owned()), ..audit::Filter::default() };
        let entries = audit::list(&engine, &engine.server(), &filter, &Paging::default()).await.unwrap().items;
        assert_eq!(entries.len(), 2, "a change that changes nothing has no entry");
        assert_eq!(entries[0].after.as_ref().unwrap()["status"], "suspended");
        assert_eq!(entries[1].before.as_ref().unwrap()["timezone"], "UTC");
    }

    async fn a_relinked_org_keeps_everything_and_its_old_id_is_gone(engine: TestEngine) {
        engine.org("org_a").await;
        engine.org("org_b").await;
        let scope = engine.scope("org_a").await;
        let taken = relink(&engine, &scope, OrgId::parse("org_b").unwrap()).await;
        assert!(matches!(taken, Err(Error::Taken)), "{taken:?}");
        let moved = relink(&engine, &scope, OrgId::parse("org_c").unwrap()).await.unwrap();
        assert_eq!(moved.org_key, scope.org_key());
        let old = OrgId::parse("org_a").unwrap();
        let gone = engine.operator().require(&engine, Permission::OrgRead, Some(&old)).await;
        assert_eq!(gone, Err(Refused::NotFound));
        assert_eq!(get(&engine, &engine.scope("org_c").await).await.unwrap().org_key, scope.org_key());
    }

    async fn a_closed_orgs_keys_end_at_once_and_it_stays_closed(engine: TestEngine) {
        engine.org("org_a").await;
        let scope = engine.scope("org_a").await;
        let created = keys::create(&engine, &engine.operator(), &scope, keys::Create {
            name: "k".to_owned(), scopes: None, expires_at: None, quota: Default::default(),
        }).await.unwrap();
        let secret = secrecy::ExposeSecret::expose_secret(&created.secret).to_owned();
        authenticate(&engine, &secret).await.unwrap();
        assert_eq!(delete(&engine, &scope).await.unwrap().status, OrgStatus::Closed);
        assert_eq!(delete(&engine, &scope).await.unwrap().status, OrgStatus::Closed);
        assert!(matches!(authenticate(&engine, &secret).await, Err(AuthError::Invalid)));
        let renamed = update(&engine, &scope, Update { name: Some("B".to_owned()), ..Update::default() }).await;
        assert!(matches!(renamed, Err(Error::Closed)), "{renamed:?}");
    }

    async fn orgs_are_listed_newest_first_page_by_page(engine: TestEngine) {
        for number in 0..5 {
            create(&engine, &engine.operator(), with_id(&format!("Org 100% {number}"), &format!("org_{number}"))).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let paging = Paging::new(Some(2), cursor.as_deref()).unwrap();
            let page = list(&engine, &engine.server(), &Filter::default(), &paging).await.unwrap();
            seen.extend(page.items.iter().map(|org| org.org_id.as_str().to_owned()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["org_4", "org_3", "org_2", "org_1", "org_0"]);
        let found = |search: &str| Filter { search: Some(search.to_owned()), status: None };
        let hits = list(&engine, &engine.server(), &found("100% 3"), &Paging::default()).await.unwrap();
        assert_eq!(hits.items.len(), 1);
        let none = list(&engine, &engine.server(), &found("%%"), &Paging::default()).await.unwrap();
        assert!(none.items.is_empty(), "a wildcard is only a character");
    }

    async fn nobody_and_keys_cannot_make_orgs(engine: TestEngine) {
        let nobody = create(&engine, &Caller::nobody(), named("Acme")).await;
        assert!(matches!(nobody, Err(Error::Refused(Refused::Unauthenticated))), "{nobody:?}");
    }
}
