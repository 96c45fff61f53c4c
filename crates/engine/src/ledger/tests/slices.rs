//! A key's slice of the org's allowance: a hard stop of its own, exact whoever asks at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::ledger::Settle;

use super::stage::{at, calls, new_hold, org_with, record, recorded, recount, reserved, size, units, usage, used};
use crate::access::{Caller, OrgScope, authenticate};
use crate::engine::Engine;
use crate::keys::{self, Create, Created, Share};
use crate::ledger::{self, Check, Outcome};
use crate::on_both;
use crate::paging::Paging;
use crate::testing::TestEngine;

async fn key(engine: &TestEngine, scope: &OrgScope, quota: i64) -> Created {
    let quota = BTreeMap::from([("api_call".to_owned(), quota)]);
    let scopes = Some(vec![Scope::UsageWrite, Scope::UsageForce, Scope::QuotaCheck, Scope::OrgAdmin]);
    let create = Create { name: "k".to_owned(), scopes, quota, ..Create::default() };
    keys::create(engine, &engine.operator(), scope, create).await.unwrap()
}

async fn caller(engine: &Engine, key: &Created) -> Caller {
    authenticate(engine, key.secret.expose_secret()).await.unwrap()
}

async fn scope_of(engine: &Engine, key: &Created) -> OrgScope {
    caller(engine, key).await.require(engine, Permission::UsageWrite, None).await.unwrap()
}

async fn share(engine: &TestEngine, scope: &OrgScope, key: &Created) -> Share {
    let listed = keys::list(engine, scope, &Paging::default()).await.unwrap().items;
    listed.into_iter().find(|one| one.key_id == key.key.key_id).unwrap().quota[&calls()]
}

async fn checked(engine: &Engine, scope: &OrgScope, of: i64) -> bool {
    let asked = Check { metric: calls(), units: units(of) };
    matches!(ledger::check(engine, scope, asked).await.unwrap().answer, Outcome::Allowed(_))
}

on_both! {
    async fn a_key_uses_no_more_than_its_slice_and_the_denial_says_so(engine: TestEngine) {
        let org = org_with(&engine, 100).await;
        let key = key(&engine, &org, 10).await;
        let own = scope_of(&engine, &key).await;
        recorded(&engine, &own, "a", 7).await;
        assert!(checked(&engine, &own, 3).await && !checked(&engine, &own, 4).await);
        let signed = ledger::record(&engine, &own, usage("b", 4)).await.unwrap();
        let Outcome::Denied(denial) = signed.answer else { panic!("four more do not fit") };
        let slice = denial.rule.slice().unwrap().clone();
        assert_eq!((&slice.key_id, slice.units, slice.used), (&key.key.key_id, 10, 7));
        let told = ledger::explain(&engine, &org, &signed.receipt).unwrap();
        assert!(told.rule.contains(key.key.key_id.as_str()) && told.rule.contains("7 used and 0 held of 10"), "{}", told.rule);
        recorded(&engine, &own, "b", 3).await;
        recorded(&engine, &own, "a", 7).await;
        recorded(&engine, &org, "c", 90).await;
        assert_eq!(used(&engine, &org).await, 100);
        assert_eq!(share(&engine, &org, &key).await, Share { units: 10, used: 10, held: 0 });
        engine.set_now(at(32));
        assert!(checked(&engine, &own, 10).await, "a new period, a new slice");
        assert_eq!(share(&engine, &org, &key).await, Share { units: 10, used: 0, held: 0 });
    }

    async fn holds_take_from_the_slice_until_they_end_whoever_ends_them(engine: TestEngine) {
        let org = org_with(&engine, 100).await;
        let key = key(&engine, &org, 10).await;
        let own = scope_of(&engine, &key).await;
        let hold = reserved(&engine, &own, "a", 6).await;
        assert!(!checked(&engine, &own, 5).await);
        assert_eq!(share(&engine, &org, &key).await, Share { units: 10, used: 0, held: 6 });
        ledger::settle(&engine, &org, Settle { hold_id: hold.hold_id, units: units(2) }).await.unwrap();
        assert_eq!(share(&engine, &org, &key).await, Share { units: 10, used: 2, held: 0 });
        let freed = reserved(&engine, &own, "b", 8).await;
        ledger::release(&engine, &org, ledger::Release { hold_id: freed.hold_id }).await.unwrap();
        let late = reserved(&engine, &own, "c", 8).await;
        engine.set_now(crate::testing::START.plus(Duration::from_secs(61)));
        recorded(&engine, &own, "d", 8).await;
        assert_eq!(share(&engine, &org, &key).await, Share { units: 10, used: 10, held: 0 });
        ledger::settle(&engine, &own, Settle { hold_id: late.hold_id, units: units(1) }).await.unwrap();
        assert_eq!(share(&engine, &org, &key).await.used, 11, "the work was done");
    }

    async fn sixty_four_clients_with_one_key_get_exactly_its_slice(engine: TestEngine) {
        let limit = size(500, 10_000);
        let org = org_with(&engine, limit * 4).await;
        let key = key(&engine, &org, limit).await;
        let own = scope_of(&engine, &key).await;
        let accepted = Arc::new(AtomicI64::new(0));
        let mut clients = JoinSet::new();
        for client in 0..64 {
            let (engine, own, org, accepted) = (engine.engine.clone(), own.clone(), org.clone(), Arc::clone(&accepted));
            clients.spawn(async move {
                for n in 0..limit {
                    let name = format!("client-{client}-{n}");
                    if !passed(&engine, &own, &name, n % 3 == 0).await {
                        break;
                    }
                    accepted.fetch_add(1, Ordering::Relaxed);
                    // Others of the org are not bound by the slice.
                    assert!(matches!(record(&engine, &org, &format!("{name}-free"), 1).await.unwrap(), Outcome::Allowed(_)));
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        let accepted = accepted.load(Ordering::Relaxed);
        assert_eq!(accepted, limit);
        assert_eq!(share(&engine, &org, &key).await.used, limit);
        assert_eq!(recount(&engine).await.units, limit * 2);
        println!("PROOF: a slice of {limit}, 64 clients with one key ({:?}): {accepted} accepted", engine.db().kind());
    }

    async fn keys_that_follow_each_other_and_their_tokens_share_one_slice(engine: TestEngine) {
        let org = org_with(&engine, 100).await;
        let old = key(&engine, &org, 10).await;
        recorded(&engine, &scope_of(&engine, &old).await, "a", 4).await;
        let new = keys::rotate(&engine, &engine.operator(), &org, &old.key.key_id).await.unwrap();
        recorded(&engine, &scope_of(&engine, &new).await, "b", 4).await;
        let token = crate::activation::client_credentials(&engine, &new.secret, None, Some("usage:write")).await.unwrap();
        let token = authenticate(&engine, token.access.token.expose_secret()).await.unwrap();
        let token = token.require(&engine, Permission::UsageWrite, None).await.unwrap();
        recorded(&engine, &token, "c", 2).await;
        for scope in [scope_of(&engine, &old).await, scope_of(&engine, &new).await, token] {
            assert!(matches!(record(&engine, &scope, "d", 1).await.unwrap(), Outcome::Denied(_)));
        }
        assert_eq!(share(&engine, &org, &new).await, Share { units: 10, used: 10, held: 0 });
    }

    async fn who_may_use_a_slice_only_makes_nothing_without_one(engine: TestEngine) {
        let org = org_with(&engine, 100).await;
        let sliced = key(&engine, &org, 10).await;
        let own = caller(&engine, &sliced).await;
        let scope = own.require(&engine, Permission::KeysWrite, None).await.unwrap();
        let plain = || Create { name: "more".to_owned(), ..Create::default() };
        assert!(matches!(keys::create(&engine, &own, &scope, plain()).await, Err(keys::Error::Escalation)));
        let other = keys::create(&engine, &engine.operator(), &org, plain()).await.unwrap();
        let taken = keys::rotate(&engine, &own, &scope, &other.key.key_id).await;
        assert!(matches!(taken, Err(keys::Error::Escalation)), "{taken:?}");
        keys::rotate(&engine, &own, &scope, &sliced.key.key_id).await.unwrap();
        let code = crate::activation::create_code(&engine, &own, &scope, "shop.example").await;
        assert!(matches!(code, Err(crate::activation::Error::Escalation)), "{code:?}");
        let unknown = Create { quota: BTreeMap::from([("nothing_of_ours".to_owned(), 1)]), ..plain() };
        let unknown = keys::create(&engine, &engine.operator(), &org, unknown).await;
        assert!(matches!(unknown, Err(keys::Error::Invalid { field: "quota", .. })), "{unknown:?}");
        let negative = Create { quota: BTreeMap::from([("api_call".to_owned(), -1)]), ..plain() };
        let negative = keys::create(&engine, &engine.operator(), &org, negative).await;
        assert!(matches!(negative, Err(keys::Error::Invalid { field: "quota", .. })), "{negative:?}");
    }
}

async fn passed(engine: &Engine, scope: &OrgScope, name: &str, by_hold: bool) -> bool {
    if !by_hold {
        return matches!(record(engine, scope, name, 1).await.unwrap(), Outcome::Allowed(_));
    }
    match ledger::reserve(engine, scope, new_hold(name, 1, 600)).await.unwrap().answer {
        Outcome::Denied(_) => false,
        Outcome::Allowed(hold) => {
            let settle = Settle { hold_id: hold.hold_id, units: units(1) };
            ledger::settle(engine, scope, settle).await.unwrap();
            true
        }
    }
}
