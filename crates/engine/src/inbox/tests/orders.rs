//! Order, repeats, delays and forgeries of deliveries.

use std::time::Duration;

use secrecy::SecretString;

use tollgate_connectors::billing::ObjectKind;
use tollgate_connectors::stripe::webhook;

use crate::db::Kind;
use crate::inbox::testing::{Delivery, Life, Stage, sized};
use crate::inbox::{self, Processed};

/// Every order of `count` things (Heap's way, without recursion).
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..count).collect();
    let (mut all, mut counters, mut at) = (vec![order.clone()], vec![0; count], 0);
    while at < count {
        if counters[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { counters[at] }, at);
            all.push(order.clone());
            counters[at] += 1;
            at = 0;
        } else {
            counters[at] = 0;
            at += 1;
        }
    }
    all
}

/// The events whose order is tried: one of each kind that moves something, the newest of each.
const KEY_EVENTS: [&str; 7] = [
    "customer.subscription.created",
    "customer.subscription.updated",
    "invoice.paid",
    "customer.updated",
    "customer.created",
    "invoice.created",
    "payment_method.attached",
];

fn split(deliveries: &[Delivery], life: &Life, keys: usize) -> (Vec<Delivery>, Vec<Delivery>) {
    let own = deliveries.iter().filter(|delivery| delivery.hint.customer_id.as_ref() == Some(&life.customer_id));
    let (mut chosen, mut rest): (Vec<Delivery>, Vec<Delivery>) = (Vec::new(), Vec::new());
    for delivery in own.rev() {
        let key = KEY_EVENTS[..keys].contains(&delivery.hint.kind.as_str());
        let known = chosen.iter().any(|known| known.hint.kind == delivery.hint.kind);
        if key && !known { chosen.push(delivery.clone()) } else { rest.push(delivery.clone()) }
    }
    assert_eq!(chosen.len(), keys, "the life has one of each");
    (chosen, rest)
}

/// Each order is lived by an org of its own, so that nothing is left over from the one before.
async fn every_order_ends_the_same(kind: Kind) {
    let Some(stage) = Stage::set(kind, "every_order_ends_the_same").await else { return };
    let orders = orders(sized(5, 7));
    let mut deliveries_sent = 0;
    for (number, order) in orders.iter().enumerate() {
        let life = stage.live("pm_card_visa").await;
        let deliveries = stage.deliveries(std::slice::from_ref(&life)).await;
        let (chosen, rest) = split(&deliveries, &life, order.len());
        // What is left is told in between, each time from another place on.
        let mut between = rest.iter().cycle().skip(number).take(rest.len());
        let share = rest.len().div_ceil(order.len());
        for at in order {
            // Every third order is doubled at once, and every second is processed only when all has arrived.
            for _ in 0..if number % 3 == 0 { 2 } else { 1 } {
                stage.deliver(&chosen[*at]).await;
                deliveries_sent += 1;
            }
            for delivery in between.by_ref().take(share) {
                stage.deliver(delivery).await;
                deliveries_sent += 1;
            }
            if number % 2 == 0 {
                stage.settle().await;
            }
        }
        stage.settle().await;
        stage.agrees(&life).await.unwrap_or_else(|difference| panic!("order {order:?}: {difference}"));
        if number % 10 == 0 {
            let journal = stage.journal(&life).await;
            for delivery in &deliveries {
                stage.deliver(delivery).await;
            }
            stage.settle().await;
            assert_eq!(stage.journal(&life).await, journal, "order {order:?}: told again, nothing changes");
        }
    }
    println!(
        "PROOF: inbox {kind:?}: {} orders of {} events, {deliveries_sent} deliveries, one final state each",
        orders.len(),
        sized(5, 7),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifecycles_events_in_every_order_end_in_the_same_state_on_sqlite() {
    Box::pin(every_order_ends_the_same(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifecycles_events_in_every_order_end_in_the_same_state_on_postgres() {
    Box::pin(every_order_ends_the_same(Kind::Postgres)).await;
}

/// All events of several lives at once, doubled and shuffled, while workers run and answers are slow.
async fn a_storm_converges(kind: Kind) {
    let Some(stage) = Stage::set(kind, "a_storm_converges").await else { return };
    let workers = stage.engine.start_workers();
    let mut lives = Vec::new();
    for _ in 0..sized(4, 20) {
        lives.push(stage.live("pm_card_visa").await);
    }
    let deliveries = stage.deliveries(&lives).await;
    stage.sandbox.faults().delay_answers(Duration::from_millis(3));
    let storm = (0..2).flat_map(|_| deliveries.iter());
    let mut tasks = tokio::task::JoinSet::new();
    let started = stage.engine.clock().monotonic.now();
    for (position, delivery) in storm.enumerate() {
        let (engine, raw) = (stage.engine.engine.clone(), delivery.raw.clone());
        let header = stage.signature(&raw, stage.engine.now());
        let pause = Duration::from_millis(u64::try_from(position * 7919 % 97).unwrap());
        tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            inbox::receive(&engine, raw.as_bytes(), &header).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let received = stage.engine.clock().monotonic.now();
    while inbox::open(&stage.engine).await.unwrap() > 0 {
        assert!(stage.engine.clock().monotonic.now() - received < Duration::from_secs(30), "the storm never settles");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let settled = stage.engine.clock().monotonic.now();
    stage.sandbox.faults().clear();
    workers.drain(Duration::from_secs(5)).await;
    for life in &lives {
        stage.agrees(life).await.unwrap();
    }
    println!(
        "PROOF: inbox {kind:?}: a storm of {} deliveries of {} orgs taken in {} ms, converged {} ms later",
        deliveries.len() * 2,
        lives.len(),
        (received - started).as_millis(),
        (settled - received).as_millis(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubled_shuffled_and_delayed_storm_converges_on_sqlite() {
    Box::pin(a_storm_converges(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubled_shuffled_and_delayed_storm_converges_on_postgres() {
    Box::pin(a_storm_converges(Kind::Postgres)).await;
}

/// Two events of one second, in both orders, end alike: the second is no order.
async fn same_second(kind: Kind) {
    let Some(stage) = Stage::set(kind, "same_second").await else { return };
    for turned in [false, true] {
        let life = stage.live("pm_card_visa").await;
        let deliveries = stage.deliveries(std::slice::from_ref(&life)).await;
        let of = |object: ObjectKind| deliveries.iter().filter(move |delivery| delivery.hint.object.kind == object);
        let mut pair: Vec<&Delivery> = of(ObjectKind::Subscription).take(2).collect();
        assert_eq!(pair.len(), 2);
        if turned {
            pair.reverse();
        }
        for delivery in pair {
            // Both at the same second, whatever the clock said.
            let mut same = delivery.clone();
            let created = same.hint.created.as_seconds();
            same.raw = same.raw.replace(&format!("\"created\":{created}"), "\"created\":1768467600");
            stage.deliver(&same).await;
            stage.settle().await;
        }
        for delivery in of(ObjectKind::Invoice) {
            stage.deliver(delivery).await;
        }
        stage.settle().await;
        stage.agrees(&life).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_second_end_alike_in_both_orders() {
    Box::pin(same_second(Kind::Sqlite)).await;
    Box::pin(same_second(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_is_forged_altered_or_stale_is_refused_and_not_stored() {
    let Some(stage) = Stage::set(Kind::Sqlite, "forged").await else { return };
    let life = stage.live("pm_card_visa").await;
    let delivery = stage.deliveries(&[life]).await.remove(0);
    let (raw, now) = (delivery.raw.as_bytes(), stage.engine.now());
    let good = stage.signature(&delivery.raw, now);
    let altered = delivery.raw.replacen("evt_", "evt_x", 1);
    let foreign = webhook::sign(raw, &SecretString::from("whsec_other"), now.as_seconds());
    let stale = stage.signature(&delivery.raw, now.minus(Duration::from_secs(302)));
    for (body, header) in
        [(raw, ""), (raw, "t=1"), (raw, foreign.as_str()), (raw, stale.as_str()), (altered.as_bytes(), good.as_str())]
    {
        let refused = inbox::receive(&stage.engine, body, header).await.unwrap_err();
        assert!(matches!(refused, inbox::Error::BadSignature(_)), "{header}: {refused}");
    }
    let nonsense = "{\"id\":1}";
    let header = stage.signature(nonsense, now);
    let refused = inbox::receive(&stage.engine, nonsense.as_bytes(), &header).await.unwrap_err();
    assert!(matches!(refused, inbox::Error::Malformed(_)));
    let unknown = inbox::process(&stage.engine, &delivery.hint.event_id).await.unwrap_err();
    assert!(matches!(unknown, inbox::Error::NotFound));
    stage.deliver(&delivery).await;
    assert_eq!(inbox::process(&stage.engine, &delivery.hint.event_id).await.unwrap(), Processed::Converged);
}
