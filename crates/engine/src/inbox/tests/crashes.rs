//! Handlers that fail or vanish in the middle, and fetches that are overtaken.

use std::time::Duration;

use tollgate_sandbox::Failure;

use crate::db::{Kind, Lane};
use crate::fault::Manner;
use crate::inbox::testing::{Life, Stage, sized};
use crate::inbox::{self, Lease, Lost, Processed};

/// Every place where processing may end early.
const POINTS: [&str; 8] = [
    "inbox.process.before_fetch",
    "inbox.process.after_fetch",
    "inbox.process.before_apply",
    "inbox.apply.after_customer",
    "inbox.apply.after_subscription",
    "inbox.process.after_apply",
    "inbox.process.before_commit",
    "inbox.process.after_commit",
];

async fn failing_at_every_point(kind: Kind) {
    let bounds = |limits: &mut crate::limits::Limits| {
        limits.customer_lease = Duration::from_millis(150);
        limits.clock_skew = Duration::from_millis(10);
    };
    let Some(stage) = Stage::set_with(kind, "failing_at_every_point", bounds).await else { return };
    for point in POINTS {
        for manner in [Manner::Fail, Manner::Vanish] {
            let life = stage.live("pm_card_visa").await;
            one_struck_life(&stage, &life, point, manner).await;
        }
    }
    println!("PROOF: inbox {kind:?}: {} crash points, failed and vanished, all converged", POINTS.len());
}

/// The first event of each object strikes the point once; redelivery and the worker complete it.
async fn one_struck_life(stage: &Stage, life: &Life, point: &'static str, manner: Manner) {
    let deliveries = stage.deliveries(std::slice::from_ref(life)).await;
    stage.engine.faults().plan(point, manner, 1);
    for delivery in &deliveries {
        stage.deliver(delivery).await;
        let struck_before = stage.engine.faults().spent();
        let (engine, event_id) = (stage.engine.engine.clone(), delivery.hint.event_id.clone());
        let processed = tokio::spawn(async move { inbox::process(&engine, &event_id).await }).await;
        let struck = stage.engine.faults().spent() && !struck_before;
        let committed = point == "inbox.process.after_commit";
        match (struck, manner) {
            (true, Manner::Fail) if !committed => assert!(
                matches!(processed, Ok(Ok(Processed::Failed { .. }))),
                "{point}: an event is not done before its effect is"
            ),
            (true, Manner::Vanish) => assert!(!matches!(processed, Ok(Ok(Processed::Failed { .. }))), "{point}"),
            _ => assert!(matches!(processed, Ok(Ok(Processed::Converged))), "{point}: {processed:?}"),
        }
        if struck {
            // Stripe delivers again; the event is stored already.
            stage.deliver(delivery).await;
            stage.settle().await;
        }
    }
    assert!(stage.engine.faults().spent(), "{point} was never reached");
    stage.agrees(life).await.unwrap_or_else(|difference| panic!("{point} {manner:?}: {difference}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_fails_at_any_point_converges_on_redelivery_on_sqlite() {
    Box::pin(failing_at_every_point(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_fails_at_any_point_converges_on_redelivery_on_postgres() {
    Box::pin(failing_at_every_point(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_a_delivery_is_stored_loses_nothing_that_was_acknowledged() {
    let Some(stage) = Stage::set(Kind::Sqlite, "a_crash_while_stored").await else { return };
    let life = stage.live("pm_card_visa").await;
    for (delivery, point) in stage
        .deliveries(std::slice::from_ref(&life))
        .await
        .iter()
        .zip(["inbox.receive.before_insert", "inbox.receive.before_answer"].into_iter().cycle())
    {
        stage.engine.faults().plan(point, Manner::Fail, 1);
        let header = stage.signature(&delivery.raw, stage.engine.now());
        assert!(inbox::receive(&stage.engine, delivery.raw.as_bytes(), &header).await.is_err(), "not acknowledged");
        stage.deliver(delivery).await;
    }
    stage.settle().await;
    stage.agrees(&life).await.unwrap();
}

async fn an_older_fetch_is_never_written(kind: Kind) {
    let bounds = |limits: &mut crate::limits::Limits| {
        limits.customer_lease = Duration::from_millis(1);
        limits.clock_skew = Duration::ZERO;
    };
    let Some(stage) = Stage::set_with(kind, "an_older_fetch", bounds).await else { return };
    // Two nodes have two queues; within one process the second would wait for the first.
    let slow = Lease::acquire(&stage.engine, "cus_contended").await.unwrap();
    let overtaking = Lease::acquire_beside(&stage.engine, "cus_contended").await.unwrap();
    let mut tx = stage.engine.db().begin(Lane::Control).await.unwrap();
    assert!(matches!(slow.hold(&mut tx).await, Err(Lost::Overtaken)), "what it fetched is old by now");
    overtaking.hold(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    slow.release(&stage.engine).await;
    let mut tx = stage.engine.db().begin(Lane::Control).await.unwrap();
    overtaking.hold(&mut tx).await.expect("who was overtaken cannot give away what is another's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_fetch_never_overwrites_a_newer_one() {
    Box::pin(an_older_fetch_is_never_written(Kind::Sqlite)).await;
    Box::pin(an_older_fetch_is_never_written(Kind::Postgres)).await;
}

/// Slow, randomly late answers while the object keeps changing and every change is told at once.
async fn changes_under_slow_fetches(kind: Kind) {
    let Some(stage) = Stage::set(kind, "changes_under_slow_fetches").await else { return };
    let workers = stage.engine.start_workers();
    let life = stage.live("pm_card_visa").await;
    let mut told = 0;
    for round in 0..sized(12, 100) {
        stage.sandbox.faults().delay_answers(Duration::from_millis(u64::try_from(round * 7 % 11).unwrap()));
        stage.toggle_cancel(&life, round % 2 == 0).await;
        let deliveries = stage.deliveries(std::slice::from_ref(&life)).await;
        for delivery in &deliveries[told..] {
            stage.deliver(delivery).await;
        }
        told = deliveries.len();
    }
    stage.sandbox.faults().clear();
    stage.settle().await;
    workers.drain(Duration::from_secs(5)).await;
    stage.agrees(&life).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_changes_under_slow_fetches_ends_as_it_is() {
    Box::pin(changes_under_slow_fetches(Kind::Sqlite)).await;
    Box::pin(changes_under_slow_fetches(Kind::Postgres)).await;
}

/// Billing fails for one subscription only, for good; everybody else goes on, and a replay completes it later.
async fn a_poison_event(kind: Kind) {
    let Some(stage) = Stage::set_with(kind, "a_poison_event", |limits| limits.inbox_attempts_max = 4).await else {
        return;
    };
    let (sick, well) = (stage.live("pm_card_visa").await, stage.live("pm_card_visa").await);
    let path = format!("/v1/subscriptions/{}", sick.subscription_id);
    stage.sandbox.faults().fail_next(&path, 1_000, Failure::Status(500));
    for delivery in stage.deliveries(&[sick.clone(), well.clone()]).await {
        stage.deliver(&delivery).await;
    }
    stage.settle().await;
    stage.agrees(&well).await.unwrap();
    let dead = stage.listed(inbox::State::Dead).await;
    assert!(
        !dead.is_empty() && dead.iter().all(|event| event.customer_id.as_deref() == Some(sick.customer_id.as_str()))
    );
    assert!(dead.iter().all(|event| event.attempts == 4 && event.last_error.is_some()));
    let failed = inbox::process(&stage.engine, &dead[0].event_id).await.unwrap();
    assert!(matches!(failed, Processed::Failed { .. }), "{failed:?}");
    stage.settle().await;
    stage.sandbox.faults().clear();
    let ids = dead.iter().map(|event| event.event_id.clone()).collect();
    let scope = stage.operator();
    let replayed = inbox::replay(&stage.engine, &scope, inbox::Replay::Events(ids)).await.unwrap();
    assert_eq!(replayed.enqueued, u64::try_from(dead.len()).unwrap());
    stage.settle().await;
    stage.agrees(&sick).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_holds_up_only_its_own_object() {
    Box::pin(a_poison_event(Kind::Sqlite)).await;
    Box::pin(a_poison_event(Kind::Postgres)).await;
}
