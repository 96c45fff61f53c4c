//! Webhooks that never come.

use std::time::Duration;

use crate::db::Kind;
use crate::inbox::reconcile::{Reconciled, reconcile};
use crate::inbox::testing::{Stage, sized};

/// Nothing is delivered at all: a life, its renewal a month later, and a cancellation are found all the same.
async fn without_any_webhook(kind: Kind) {
    let Some(stage) = Stage::set(kind, "without_any_webhook").await else { return };
    let mut lives = Vec::new();
    for _ in 0..sized(3, 30) {
        lives.push(stage.live("pm_card_visa").await);
    }
    let started = stage.engine.clock().monotonic.now();
    let found = reconcile(&stage.engine).await.unwrap();
    let took = stage.engine.clock().monotonic.now() - started;
    assert!(found.events > 0);
    for life in &lives {
        stage.agrees(life).await.unwrap();
    }
    assert_eq!(reconcile(&stage.engine).await.unwrap(), Reconciled::default(), "a second look finds nothing");
    stage.advance(Duration::from_secs(32 * 24 * 3600)).await;
    stage.toggle_cancel(&lives[0], true).await;
    reconcile(&stage.engine).await.unwrap();
    for life in &lives {
        stage.agrees(life).await.unwrap();
    }
    println!(
        "PROOF: inbox {kind:?}: {} orgs, no webhook at all: {} events found, converged in {} ms",
        lives.len(),
        found.events,
        took.as_millis()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_webhook_lost_reconciliation_alone_converges() {
    Box::pin(without_any_webhook(Kind::Sqlite)).await;
    Box::pin(without_any_webhook(Kind::Postgres)).await;
}

/// The list of events is cut off (Stripe keeps 30 days): comparing subscriptions still finds the difference.
async fn beyond_the_list(kind: Kind) {
    let Some(stage) = Stage::set(kind, "beyond_the_list").await else { return };
    let life = stage.live("pm_card_visa").await;
    reconcile(&stage.engine).await.unwrap();
    stage.toggle_cancel(&life, true).await;
    stage.skip_events().await;
    assert!(stage.agrees(&life).await.is_err(), "nobody told the cancellation");
    let found = reconcile(&stage.engine).await.unwrap();
    assert_eq!(found, Reconciled { events: 0, subscriptions: 1 });
    stage.agrees(&life).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_that_no_event_tells_is_found_by_comparing() {
    Box::pin(beyond_the_list(Kind::Sqlite)).await;
    Box::pin(beyond_the_list(Kind::Postgres)).await;
}
