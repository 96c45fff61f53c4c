//! Random histories: orders, doubles, gaps, seconds shared, slow answers. All of them end as Stripe says.

use std::time::Duration;

use tollgate_connectors::billing::{ItemChange, NewCredit, Proration, SubscriptionChange};
use tollgate_rules::money::{Currency, Money};

use crate::clock::Entropy;
use crate::db::Kind;
use crate::inbox::reconcile::reconcile;
use crate::inbox::testing::{Delivery, Life, Stage, sized};

/// Histories that share a sandbox and its orgs; its list of events is read in each, so it must stay short.
const PER_STAGE: usize = 50;
/// Orgs of one sandbox.
const LIVES: usize = 5;
/// How long a history may take to converge.
const CONVERGES_WITHIN: Duration = Duration::from_secs(5);

/// What was done in all histories.
#[derive(Default)]
struct Tally {
    deliveries: usize,
    lost: usize,
    slowest: Duration,
}

/// Something that happens at Stripe.
async fn happens(stage: &Stage, life: &Life, random: &Entropy) {
    let billing = stage.engine.billing();
    match random.up_to(3) {
        0 => stage.toggle_cancel(life, random.up_to(1) == 0).await,
        1 => {
            let amount = Money::new(i64::try_from(random.up_to(500)).unwrap() + 1, Currency::USD);
            let new = NewCredit { customer_id: life.customer_id.clone(), amount };
            billing.create_credit(&stage.key(), "op_history", &new).await.unwrap();
        }
        _ => {
            let fact = billing.subscription(&life.subscription_id).await.unwrap().unwrap();
            let quantity = i64::try_from(random.up_to(4)).unwrap() + 1;
            let change = SubscriptionChange {
                item: Some(ItemChange { item_id: fact.item_id, price_id: fact.price_id, quantity }),
                proration: Some(Proration::InvoiceNow),
                ..SubscriptionChange::default()
            };
            billing.update_subscription(&stage.key(), &life.subscription_id, &change).await.unwrap();
        }
    }
}

/// The same event, told to have happened in a second that it shares with others.
fn in_one_second(delivery: &Delivery) -> Delivery {
    let created = delivery.hint.created.as_seconds();
    let raw = delivery.raw.replace(&format!("\"created\":{created}"), "\"created\":1768467600");
    Delivery { raw, hint: delivery.hint.clone() }
}

/// Delivers events in a random order: some lost, some doubled, some in one second; says how many were lost.
async fn tell(stage: &Stage, events: Vec<Delivery>, random: &Entropy, tally: &mut Tally) {
    let gaps = random.up_to(3);
    let mut order = Vec::new();
    for event in &events {
        let lost = match gaps {
            0 => true,
            1 => random.up_to(2) == 0,
            _ => false,
        };
        if lost {
            tally.lost += 1;
            continue;
        }
        let event = if random.up_to(3) == 0 { in_one_second(event) } else { event.clone() };
        for _ in 0..=random.up_to(1) {
            let place = usize::try_from(random.up_to(u64::try_from(order.len()).unwrap())).unwrap();
            order.insert(place, event.clone());
        }
    }
    stage.sandbox.faults().delay_answers(Duration::from_millis(random.up_to(2)));
    for event in &order {
        stage.deliver(event).await;
        tally.deliveries += 1;
        if random.up_to(2) == 0 {
            stage.settle().await;
        }
    }
    stage.sandbox.faults().clear();
}

async fn history(stage: &Stage, life: &Life, random: &Entropy, tally: &mut Tally) -> Result<(), String> {
    let known = stage.deliveries(std::slice::from_ref(life)).await.len();
    for _ in 0..=random.up_to(2) {
        happens(stage, life, random).await;
    }
    let events = stage.deliveries(std::slice::from_ref(life)).await.split_off(known);
    let lost_before = tally.lost;
    tell(stage, events, random, tally).await;
    let started = stage.engine.clock().monotonic.now();
    stage.settle().await;
    if tally.lost > lost_before {
        reconcile(&stage.engine).await.map_err(|error| error.to_string())?;
    }
    let took = stage.engine.clock().monotonic.now() - started;
    tally.slowest = tally.slowest.max(took);
    stage.agrees(life).await
}

async fn every_history_converges(kind: Kind, histories: usize) {
    let (mut tally, mut done) = (Tally::default(), 0);
    while done < histories {
        let Some(stage) = Stage::set(kind, "every_history_converges").await else { return };
        let mut lives = Vec::new();
        for _ in 0..LIVES {
            lives.push(stage.live("pm_card_visa").await);
        }
        reconcile(&stage.engine).await.unwrap();
        for number in (done..histories).take(PER_STAGE) {
            let random = Entropy::seeded(u64::try_from(number).unwrap());
            let told = history(&stage, &lives[number % LIVES], &random, &mut tally).await;
            told.unwrap_or_else(|difference| panic!("history {number}: {difference}"));
            done += 1;
        }
    }
    assert!(tally.slowest <= CONVERGES_WITHIN, "the slowest took {} ms", tally.slowest.as_millis());
    println!(
        "PROOF: inbox {kind:?}: {histories} shuffled histories, {} deliveries, {} events lost: all end as Stripe says, the slowest after {} ms",
        tally.deliveries,
        tally.lost,
        tally.slowest.as_millis(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shuffled_doubled_and_lossy_histories_end_as_stripe_says_on_sqlite() {
    Box::pin(every_history_converges(Kind::Sqlite, sized(120, 8_000))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shuffled_doubled_and_lossy_histories_end_as_stripe_says_on_postgres() {
    Box::pin(every_history_converges(Kind::Postgres, sized(80, 2_000))).await;
}
