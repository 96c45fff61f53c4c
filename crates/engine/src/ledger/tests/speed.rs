//! How fast the writer alone is: `cargo test --release -p tollgate-engine -- --ignored speed --nocapture`.

use std::time::Duration;

use tokio::task::JoinSet;

use super::stage::{org_with, recount, usage};
use crate::db::Kind;
use crate::engine::Engine;
use crate::ledger;
use crate::testing::TestEngine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; run it alone in a release build"]
async fn events_per_second_of_the_writer_alone() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(engine) = TestEngine::open(kind, "speed").await else { continue };
        for clients in [1, 64, 256] {
            let (events, seconds) = singles(&engine, clients, Duration::from_secs(3)).await;
            println!("PROOF: {kind:?} writer, {clients} clients, 1 event a call: {} events/s", events * 1000 / seconds);
        }
        let (events, seconds) = batches(&engine, 4, 1_000, Duration::from_secs(3)).await;
        println!("PROOF: {kind:?} writer, 4 clients, 1000 events a call: {} events/s", events * 1000 / seconds);
        recount(&engine).await;
    }
}

async fn singles(engine: &Engine, clients: usize, length: Duration) -> (u128, u128) {
    let scope = scope(engine).await;
    let begin = engine.clock().monotonic.now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (engine, scope) = (engine.clone(), scope.clone());
        tasks.spawn(async move {
            let mut count = 0_u128;
            while engine.clock().monotonic.now() - begin < length {
                let name = format!("{:016x}-{clients}-{client}-{count}", engine.clock().entropy.up_to(u64::MAX));
                ledger::record(&engine, &scope, usage(name, 1)).await.unwrap();
                count += 1;
            }
            count
        });
    }
    let mut events = 0;
    while let Some(count) = tasks.join_next().await {
        events += count.unwrap();
    }
    (events, (engine.clock().monotonic.now() - begin).as_millis())
}

async fn batches(engine: &Engine, clients: usize, events: usize, length: Duration) -> (u128, u128) {
    let scope = scope(engine).await;
    let begin = engine.clock().monotonic.now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (engine, scope) = (engine.clone(), scope.clone());
        tasks.spawn(async move {
            let mut count = 0_u128;
            while engine.clock().monotonic.now() - begin < length {
                let name = |n: usize| format!("{:016x}-{n}", engine.clock().entropy.up_to(u64::MAX));
                let batch = (0..events).map(|n| (scope.clone(), usage(name(n), 1))).collect();
                let answers = ledger::record_batch(&engine, batch).await;
                assert!(answers.iter().all(Result::is_ok));
                count += u128::try_from(events).unwrap();
            }
            count
        });
    }
    let mut counted = 0;
    while let Some(count) = tasks.join_next().await {
        counted += count.unwrap();
    }
    (counted, (engine.clock().monotonic.now() - begin).as_millis())
}

async fn scope(engine: &Engine) -> crate::access::OrgScope {
    org_with(engine, 1 << 50).await
}
