//! Webhooks: signatures, repeats, faults, and the list of what was not delivered.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::harness::{Arrival, Receiver, Server, id};

/// The signature as a receiver works it out, independently of the sender's code.
fn signed(secret: &str, arrival: &Arrival) -> bool {
    let (at, v1) = arrival.signature.split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(at.strip_prefix("t=").unwrap().as_bytes());
    mac.update(b".");
    mac.update(arrival.body.as_bytes());
    let bytes: Vec<u8> = (0..32).map(|n| u8::from_str_radix(&v1[2 * n..2 * n + 2], 16).unwrap()).collect();
    v1.len() == 64 && mac.verify_slice(&bytes).is_ok()
}

#[tokio::test]
async fn every_event_arrives_signed_with_the_endpoints_secret() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let secret = server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap(), secret);
    let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
    server.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}")).await;
    assert!(server.sandbox.deliveries_settled(Duration::from_secs(10)).await);
    let events = server.events().await;
    let arrivals = receiver.wait_for(events.len()).await;
    assert_eq!(arrivals.len(), events.len());
    for arrival in &arrivals {
        assert!(signed(&secret, arrival));
        let at: i64 = arrival.signature[2..].split(',').next().unwrap().parse().unwrap();
        assert!((server.now() - at).abs() < 60, "signed at the sandbox's time");
        let event = arrival.event();
        let stored = events.iter().find(|stored| stored["id"] == event["id"]).unwrap();
        assert_eq!(stored["data"], event["data"]);
    }
}

#[tokio::test]
async fn an_endpoint_gets_what_it_asked_for_and_shows_its_secret_once() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let url = receiver.url().replace(':', "%3A");
    let form = format!("url={url}&enabled_events[]=customer.created&api_version=2026-10-28.endive");
    let endpoint = server.post("/v1/webhook_endpoints", &form).await;
    let secret = endpoint["secret"].as_str().unwrap();
    let path = format!("/v1/webhook_endpoints/{}", id(&endpoint));
    assert!(server.get(&path).await.get("secret").is_none());
    server.post("/v1/products", "name=unheard").await;
    server.customer(None).await;
    let arrivals = receiver.wait_for(1).await;
    assert!(signed(secret, &arrivals[0]));
    assert_eq!(arrivals[0].event()["type"], "customer.created");
    server.post(&path, "disabled=true").await;
    server.customer(None).await;
    server.delete(&path).await;
    assert!(server.sandbox.deliveries_settled(Duration::from_secs(5)).await);
    assert_eq!(receiver.arrivals().len(), 1);
    assert_eq!(server.refused("POST", "/v1/webhook_endpoints", "url=nowhere&enabled_events[]=*").await.0, 400);
}

#[tokio::test]
async fn a_receiver_that_comes_back_within_seconds_misses_nothing() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    receiver.answer(503);
    let secret = server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap();
    server.customer(None).await;
    receiver.wait_for(1).await;
    assert!(server.sandbox.deliveries_settled(Duration::from_secs(5)).await, "a failed attempt is an answer");
    let open = server.find("/v1/events", "delivery_success=false").await;
    assert_eq!((open["data"].as_array().unwrap().len(), &open["data"][0]["pending_webhooks"]), (1, &1.into()));
    receiver.answer(200);
    let arrivals = receiver.wait_for(2).await;
    assert_eq!(arrivals[0].event()["id"], arrivals[1].event()["id"]);
    assert!(arrivals.iter().all(|arrival| signed(&secret, arrival)));
    while server.find("/v1/events", "delivery_success=false").await["data"] != serde_json::json!([]) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_receiver_that_stays_away_is_asked_again_on_the_sandboxes_clock() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap();
    receiver.answer(500);
    server.customer(None).await;
    receiver.wait_for(6).await;
    let due = server.sandbox.next_due_micros().await.unwrap();
    let wait = due / 1_000_000 - server.now();
    assert!((1..=310).contains(&wait), "{wait}");
    receiver.answer(200);
    server.sandbox.move_to(due + 1_000_000).await.unwrap();
    receiver.wait_for(7).await;
}

#[tokio::test]
async fn repeats_begin_anew_when_the_receiver_announces_itself_after_a_restart() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap();
    receiver.answer(500);
    server.customer(None).await;
    receiver.wait_for(6).await;
    receiver.answer(200);
    let server = server.restart().await;
    server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap();
    receiver.wait_for(7).await;
}

#[tokio::test]
async fn a_receiver_that_moves_to_another_port_with_a_restart_takes_its_endpoint_along() {
    let (server, old, other) = (Server::start().await, Receiver::start().await, Receiver::start().await);
    let secret = server.sandbox.ensure_webhook_endpoint(&old.url()).await.unwrap();
    assert_ne!(server.sandbox.ensure_webhook_endpoint(&other.url()).await.unwrap(), secret, "two in one run are two");
    old.answer(500);
    server.customer(None).await;
    old.wait_for(6).await;
    other.wait_for(1).await;
    let server = server.restart().await;
    let new = Receiver::start().await;
    assert_eq!(
        server.sandbox.ensure_webhook_endpoint(&other.url()).await.unwrap(),
        server.sandbox.ensure_webhook_endpoint(&other.url()).await.unwrap()
    );
    assert_eq!(server.sandbox.ensure_webhook_endpoint(&new.url()).await.unwrap(), secret);
    server.customer(None).await;
    let arrivals = new.wait_for(1).await;
    assert!(arrivals.iter().all(|arrival| signed(&secret, arrival)));
    assert_eq!(server.find("/v1/webhook_endpoints", "").await["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn webhooks_are_dropped_doubled_and_shuffled_on_request() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    server.sandbox.ensure_webhook_endpoint(&receiver.url()).await.unwrap();
    let faults = server.sandbox.faults();
    faults.drop_webhooks(true);
    server.customer(None).await;
    assert!(server.sandbox.deliveries_settled(Duration::from_secs(5)).await);
    assert_eq!(receiver.arrivals().len(), 0);
    assert_eq!(server.find("/v1/events", "delivery_success=false").await["data"].as_array().unwrap().len(), 1);

    faults.clear();
    faults.duplicate_webhooks(true);
    server.customer(None).await;
    let twice = receiver.wait_for(2).await;
    assert_eq!(twice[0].event()["id"], twice[1].event()["id"]);

    faults.clear();
    faults.reorder_webhooks(Some(7));
    let calls = (0..12).map(|_| server.customer(None));
    futures::future::join_all(calls).await;
    let arrived: Vec<_> = receiver.wait_for(14).await[2..].iter().map(|one| one.event()["id"].clone()).collect();
    let events = server.find("/v1/events", "limit=12").await;
    let mut emitted: Vec<_> = events["data"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect();
    emitted.reverse();
    assert_ne!(arrived, emitted);
    emitted.sort_by_key(ToString::to_string);
    let mut sorted = arrived.clone();
    sorted.sort_by_key(ToString::to_string);
    assert_eq!(sorted, emitted, "nothing is lost by shuffling");
}
