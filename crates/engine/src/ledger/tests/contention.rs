//! A hard stop is exact, whoever asks at the same time and wherever.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::task::JoinSet;

use tollgate_rules::ledger::Settle;

use super::stage::{new_hold, org_with, record, recorded, recount, reserved, size, units, usage, used};
use crate::access::OrgScope;
use crate::db::Kind;
use crate::engine::Engine;
use crate::ledger::{self, Outcome};
use crate::on_both;
use crate::testing::{TestDb, TestEngine, settings};

on_both! {
    async fn of_a_thousand_concurrent_records_exactly_the_one_that_fits_passes(engine: TestEngine) {
        let rounds = size(3, 20);
        let scope = org_with(&engine, i64::from(rounds)).await;
        for round in 0..rounds {
            // All but one unit is taken by holds, so that exactly one is left.
            let left = i64::from(rounds - round) - 1;
            let hold = if left > 0 { Some(reserved(&engine, &scope, &format!("hold-{round}"), left).await) } else { None };
            let accepted = concurrently(&engine, &scope, 1_000, &format!("round-{round}")).await;
            assert_eq!(accepted, 1, "round {round}");
            if let Some(hold) = hold {
                ledger::release(&engine, &scope, ledger::Release { hold_id: hold.hold_id }).await.unwrap();
            }
        }
        assert_eq!(used(&engine, &scope).await, i64::from(rounds));
        println!("PROOF: one unit left, 1000 concurrent records ({:?}): {rounds} rounds, exactly 1 accepted in each", engine.db().kind());
    }

    async fn sixty_four_clients_hammering_past_a_limit_get_exactly_that_much(engine: TestEngine) {
        let limit = size(2_000, 10_000);
        let scope = org_with(&engine, limit).await;
        let accepted = hammer(std::slice::from_ref(&engine.engine), &scope, limit).await;
        assert_eq!(accepted, limit);
        assert_eq!(used(&engine, &scope).await, limit);
        println!("PROOF: limit {limit}, 64 clients, record and reserve/settle mixed ({:?}): {accepted} accepted", engine.db().kind());
    }

    async fn a_denial_writes_nothing(engine: TestEngine) {
        let scope = org_with(&engine, 1).await;
        recorded(&engine, &scope, "first", 1).await;
        let before = recount(&engine).await;
        // One connection for both looks: SQLite counts the commits of others for each connection.
        let mut connection = engine.db().read().await.unwrap();
        let version = ledger::sql::written(&mut connection).await.unwrap();
        for n in 0..50 {
            assert!(matches!(record(&engine, &scope, &format!("late-{n}"), 1).await.unwrap(), Outcome::Denied(_)));
        }
        assert_eq!(recount(&engine).await, before);
        assert_eq!(ledger::sql::written(&mut connection).await.unwrap(), version, "something was written");
    }

    async fn a_cancelled_call_leaves_nothing_half_done(engine: TestEngine) {
        let scope = org_with(&engine, 1_000_000).await;
        let mut cut = JoinSet::new();
        for n in 0..size(200, 2_000) {
            let (engine, scope) = (engine.engine.clone(), scope.clone());
            cut.spawn(async move {
                let call = record(&engine, &scope, &format!("cut-{n}"), 1).await;
                drop(call);
            });
            if n % 3 == 0 {
                tokio::task::yield_now().await;
            }
            if n % 2 == 0 {
                cut.abort_all();
            }
        }
        while cut.join_next().await.is_some() {}
        let before = used(&engine, &scope).await;
        recorded(&engine, &scope, "after", 1).await;
        // Whatever was cut before it reached the queue or after: all that is counted is whole.
        assert!(used(&engine, &scope).await > before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_on_one_postgresql_share_one_hard_stop() {
    let Some(db) = TestDb::of(Kind::Postgres, "two nodes").await else { return };
    let first = Engine::open(settings(&db)).await.unwrap();
    let second = Engine::open(settings(&db)).await.unwrap();
    let limit = size(1_000, 10_000);
    let scope = org_with(&first, limit).await;
    second.ledger().plant(scope.org_key(), super::stage::rights(tollgate_rules::catalog::Included::Units(limit)));
    let accepted = hammer(&[first.clone(), second.clone()], &scope, limit).await;
    assert_eq!(accepted, limit);
    assert_eq!(recount(&second).await.units, limit);
    println!("PROOF: limit {limit}, 64 clients on two nodes of one PostgreSQL: {accepted} accepted");
    first.close().await;
    second.close().await;
}

/// Records one unit `count` times at once under distinct ids; answers how many passed.
async fn concurrently(engine: &Engine, scope: &OrgScope, count: usize, name: &str) -> usize {
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let (engine, scope, request_id) = (engine.clone(), scope.clone(), format!("{name}-{n}"));
        tasks.spawn(
            async move { matches!(record(&engine, &scope, &request_id, 1).await.unwrap(), Outcome::Allowed(_)) },
        );
    }
    let mut accepted = 0;
    while let Some(passed) = tasks.join_next().await {
        accepted += usize::from(passed.unwrap());
    }
    accepted
}

/// 64 clients on these nodes record, or reserve and settle, until each was denied a few times. Answers the units that were counted.
async fn hammer(nodes: &[Engine], scope: &OrgScope, limit: i64) -> i64 {
    let accepted = Arc::new(AtomicI64::new(0));
    let mut clients = JoinSet::new();
    for client in 0..64_usize {
        let engine = nodes[client % nodes.len()].clone();
        let (scope, accepted) = (scope.clone(), Arc::clone(&accepted));
        clients.spawn(async move {
            let mut denied = 0;
            for n in 0..limit {
                let name = format!("client-{client}-{n}");
                let passed =
                    if n % 3 == 0 { held(&engine, &scope, &name).await } else { counted(&engine, &scope, &name).await };
                if passed {
                    accepted.fetch_add(1, Ordering::Relaxed)
                } else {
                    denied += 1;
                    0
                };
                if denied == 3 {
                    break;
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    accepted.load(Ordering::Relaxed)
}

async fn counted(engine: &Engine, scope: &OrgScope, name: &str) -> bool {
    let answer = ledger::record(engine, scope, usage(name, 1)).await.unwrap().answer;
    matches!(answer, Outcome::Allowed(_))
}

async fn held(engine: &Engine, scope: &OrgScope, name: &str) -> bool {
    match ledger::reserve(engine, scope, new_hold(name, 1, 600)).await.unwrap().answer {
        Outcome::Denied(_) => false,
        Outcome::Allowed(hold) => {
            let settle = Settle { hold_id: hold.hold_id, units: units(1) };
            ledger::settle(engine, scope, settle).await.unwrap();
            true
        }
    }
}
