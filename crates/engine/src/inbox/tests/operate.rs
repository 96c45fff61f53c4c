//! What an operator does with the inbox, and events that mean nothing to us.

use tollgate_connectors::billing::{NewCustomer, ObjectKind};
use tollgate_rules::ids::OrgId;

use crate::db::Kind;
use crate::inbox::testing::{Delivery, Stage};
use crate::inbox::{self, Filter, Processed, Replay, State};
use crate::paging::Paging;

async fn replaying_changes_nothing(kind: Kind) {
    let Some(stage) = Stage::set(kind, "replaying_changes_nothing").await else { return };
    let life = stage.live("pm_card_visa").await;
    let deliveries = stage.deliveries(std::slice::from_ref(&life)).await;
    for delivery in &deliveries {
        stage.deliver(delivery).await;
    }
    stage.settle().await;
    let (scope, journal) = (stage.operator(), stage.journal(&life).await);
    let filter = Filter { customer_id: Some(life.customer_id.as_str().to_owned()), ..Filter::default() };
    let dry = Replay::Matching { filter: filter.clone(), dry_run: true };
    let counted = inbox::replay(&stage.engine, &scope, dry).await.unwrap().enqueued;
    let ours = deliveries.iter().filter(|delivery| delivery.hint.object.kind != ObjectKind::Other).count();
    assert_eq!(counted, u64::try_from(ours).unwrap(), "payments themselves change nothing we keep");
    assert_eq!(inbox::open(&stage.engine).await.unwrap(), 0, "a dry run only counts");
    for _ in 0..2 {
        let wet = Replay::Matching { filter: filter.clone(), dry_run: false };
        assert_eq!(inbox::replay(&stage.engine, &scope, wet).await.unwrap().enqueued, counted);
        stage.settle().await;
        stage.agrees(&life).await.unwrap();
        assert_eq!(stage.journal(&life).await, journal, "nothing changed, so that nothing is journaled");
    }
    let ids = vec![deliveries[0].hint.event_id.clone(), "evt_unknown".to_owned()];
    let replayed = inbox::replay(&stage.engine, &scope, Replay::Events(ids)).await.unwrap();
    assert_eq!((replayed.enqueued, replayed.unknown), (1, vec!["evt_unknown".to_owned()]));
    stage.settle().await;
    assert_eq!(stage.journal(&life).await, journal);
    println!("PROOF: inbox {kind:?}: {counted} events replayed twice, 0 journal entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaying_events_twice_changes_nothing() {
    Box::pin(replaying_changes_nothing(Kind::Sqlite)).await;
    Box::pin(replaying_changes_nothing(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_mean_nothing_to_us_are_stored_and_done() {
    let Some(stage) = Stage::set(Kind::Sqlite, "events_that_mean_nothing").await else { return };
    let new = NewCustomer { org_id: OrgId::parse("org_elsewhere").unwrap(), email: None, name: None };
    let stranger = stage.engine.billing().create_customer(&stage.key(), &new).await.unwrap();
    let hint = stage.engine.billing().events_page(crate::testing::START, None).await.unwrap().items.remove(0).0;
    let event = |id: &str, kind: &str, object: serde_json::Value| Delivery {
        hint: tollgate_connectors::billing::EventHint { event_id: id.to_owned(), ..hint.clone() },
        raw: serde_json::json!({"id": id, "type": kind, "created": 1, "data": {"object": object}}).to_string(),
    };
    let customer = stranger.customer_id.as_str();
    let cases = [
        (event("evt_a", "radar.new_thing", serde_json::json!({"object": "radar.thing", "id": "thing_1"})), "ignored"),
        (event("evt_b", "balance.available", serde_json::json!({"object": "balance"})), "ignored"),
        (event("evt_c", "customer.updated", serde_json::json!({"object": "customer", "id": customer})), "foreign"),
        (event("evt_d", "customer.deleted", serde_json::json!({"object": "customer", "id": "cus_gone"})), "foreign"),
        (event("evt_e", "invoice.paid", serde_json::json!({"object": "invoice", "id": "in_gone"})), "gone"),
    ];
    for (delivery, outcome) in &cases {
        stage.deliver(delivery).await;
        let processed = inbox::process(&stage.engine, &delivery.hint.event_id).await.unwrap();
        assert_eq!(processed, Processed::Converged, "{outcome}");
        let filter = Filter { event_id: Some(delivery.hint.event_id.clone()), ..Filter::default() };
        let found = inbox::list(&stage.engine, &stage.operator(), &filter, &Paging::default()).await.unwrap();
        assert_eq!(found.items[0].outcome.as_deref(), Some(*outcome), "{}", delivery.hint.event_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_is_listed_newest_first_by_pages_and_filters() {
    let Some(stage) = Stage::set(Kind::Sqlite, "the_inbox_is_listed").await else { return };
    let life = stage.live("pm_card_visa").await;
    let deliveries = stage.deliveries(std::slice::from_ref(&life)).await;
    for delivery in &deliveries {
        stage.deliver(delivery).await;
    }
    let (scope, mut seen, mut cursor) = (stage.operator(), Vec::new(), None);
    loop {
        let paging = Paging::new(Some(2), cursor.as_deref()).unwrap();
        let page = inbox::list(&stage.engine, &scope, &Filter::default(), &paging).await.unwrap();
        seen.extend(page.items.into_iter().map(|event| event.event_id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let told: Vec<String> = deliveries.iter().rev().map(|delivery| delivery.hint.event_id.clone()).collect();
    assert_eq!(seen, told);
    let paid = Filter { kind: Some("invoice.paid".to_owned()), state: Some(State::Pending), ..Filter::default() };
    let found = inbox::list(&stage.engine, &scope, &paid, &Paging::default()).await.unwrap().items;
    assert!(!found.is_empty() && found.iter().all(|event| event.kind == "invoice.paid"));
}
