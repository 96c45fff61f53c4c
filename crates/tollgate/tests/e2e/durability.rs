//! What was acknowledged is there after kill -9, once, and the counters agree with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::Api;
use crate::database::Database;
use crate::server::Server;
use crate::tenant::{Tenant, record_of};

/// Connections that record while the server is killed.
const WRITERS: usize = 16;

/// How many kills: a few on every change, a hundred in the report.
fn rounds() -> u32 {
    crate::size::size(10, 100)
}

#[tokio::test]
async fn every_acknowledged_call_survives_kill_9_under_load_exactly_once() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let catalog = place.path().join("plans.toml");
        std::fs::write(&catalog, crate::tenant::plans(1_000_000_000, 1_000_000_000)).unwrap();
        let mut server = Server::dev_with(&database, &["--plans", catalog.to_str().unwrap()]).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        let mut acknowledged = BTreeSet::new();
        let mut slowest = Duration::ZERO;
        for round in 0..rounds() {
            let written = record_until_killed(&mut server, &org, round).await;
            assert!(!written.is_empty(), "round {round} wrote something before the kill");
            acknowledged.extend(written);
            server = server.restart().await;
            slowest = slowest.max(server.started_in);
            assert!(server.started_in <= Duration::from_secs(2), "start-up took {:?}", server.started_in);
            agrees(&server, &org, &acknowledged).await;
        }
        let (code, _, messages) = server.command(&["usage", "verify"]);
        assert_eq!(code, 0, "{messages}");
        println!(
            "PROOF: durability: {}, {} kills under load, {} acknowledged calls, none lost, none twice, slowest start-up {} ms",
            database.kind(),
            rounds(),
            acknowledged.len(),
            slowest.as_millis()
        );
    }
}

/// Records from many connections and kills the server at a moment nobody chose; the ids that were acknowledged.
async fn record_until_killed(server: &mut Server, org: &Tenant, round: u32) -> Vec<String> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (api, counter) = (org.at(server), Arc::clone(&acknowledged));
        writers.spawn(async move { record_until_refused(&api, &format!("r{round}-w{writer}"), &counter).await });
    }
    // Under load means that some calls have been acknowledged and others are on their way.
    while acknowledged.load(Ordering::Relaxed) < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(moment(round)).await;
    server.kill();
    writers.join_all().await.concat()
}

/// Up to a third of a second, different in every round and in every run: how long something small took just now.
fn moment(round: u32) -> Duration {
    let begun = Instant::now();
    let noise =
        u64::from(std::process::id()) * 31 + u64::from(round) * 7_919 + u64::from(begun.elapsed().subsec_nanos());
    Duration::from_micros(noise % 330_000)
}

async fn record_until_refused(api: &Api, prefix: &str, counter: &AtomicU64) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for call in 0..100_000 {
        let id = format!("{prefix}-{call}");
        match api.try_post("/api/usage/record", &record_of(&id, 1)).await {
            Ok(answer) if answer.status == 200 => {
                acknowledged.push(id);
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Every acknowledged id is an event, no id is two, and the counter is their sum.
async fn agrees(server: &Server, org: &Tenant, acknowledged: &BTreeSet<String>) {
    let events = all_events(&org.at(server)).await;
    let mut ids = BTreeSet::new();
    let mut units = 0;
    for event in &events {
        let id = event["request_id"].as_str().expect("an event has its id");
        assert!(ids.insert(id.to_owned()), "{id} was counted twice");
        units += event["units"].as_i64().or_else(|| event["delta"].as_i64()).expect("an event has its units");
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    let used = org.at(server).get("/api/me/entitlements.read").await.data()["used"].clone();
    assert_eq!(used, json!(units), "the counter is the sum of the events");
}

async fn all_events(api: &Api) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("/api/usage/events.list?limit=200{cursor}")).await;
        all.extend(page.data().as_array().expect("a list").iter().cloned());
        match page.body["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}
