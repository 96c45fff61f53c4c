//! Under a hard stop not one unit passes beyond the limit, under any concurrency, on any number of processes.

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::{Tenant, plans, record_of, text};

#[tokio::test]
async fn one_unit_left_and_a_thousand_concurrent_calls_pass_exactly_one() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let server = limited(&database, place.path(), 10).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.record("all-but-one", 9).await.data();
        let bodies: Vec<_> = (0..1_000).map(|n| record_of(&format!("race-{n}"), 1)).collect();
        let calls = bodies.iter().map(|body| org.api.post("/api/usage/record", body));
        let statuses: Vec<u16> = join_all(calls).await.into_iter().map(|answer| answer.status).collect();
        let accepted = statuses.iter().filter(|status| **status == 200).count();
        let denied = statuses.iter().filter(|status| **status == 429).count();
        // Above 512 concurrent requests the door may answer 503; nothing else, and never a second 200.
        let at_the_door = statuses.iter().filter(|status| **status == 503).count();
        assert_eq!((accepted, accepted + denied + at_the_door), (1, 1_000), "{statuses:?}");
        assert_eq!(org.entitlements().await["used"], 10);
        println!(
            "PROOF: hard stop, one unit left: {}, 1,000 concurrent calls, 1 accepted, {denied} denied",
            database.kind()
        );
    }
}

#[tokio::test]
async fn sixty_four_connections_past_ten_thousand_accept_exactly_ten_thousand() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let server = limited(&database, place.path(), 10_000).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        let accepted = hammer(&[&server], &org, 10_000).await;
        assert_eq!(accepted, 10_000);
        settled_at(&org, 10_000).await;
        println!("PROOF: hard stop, 64 connections: {}, limit 10,000, 10,000 accepted", database.kind());
    }
}

#[tokio::test]
async fn two_processes_on_one_postgresql_stop_at_the_same_unit() {
    let Some(database) = Database::postgres().await else {
        println!("SKIPPED: TOLLGATE_TEST_POSTGRES is not set; two processes need a shared database");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let first = limited(&database, place.path(), 10_000).await;
    // The second is a node of its own: it neither knows the first nor shares a file with it.
    let data = place.path().join("second");
    let options = Options::serve(&data, &database)
        .arguments(&["--allow-sandbox", "--plans", place.path().join("plans.toml").to_str().unwrap()])
        .variable("STRIPE_SECRET_KEY", "sk_test_second")
        .variable("STRIPE_API_BASE", &first.sandbox)
        .variable("TOLLGATE_OPERATOR_KEY", &first.operator_key);
    let second = Server::start(options).await;
    let org = Tenant::sign_up(&first, "Acme").await;
    let key = second.operator().ok("/api/keys.create", &json!({"orgId": org.org_id, "name": "second"})).await;
    let live = text(&key["secret"]);
    let accepted = hammer_with(&[(&first, &org.secret), (&second, &live)], 10_000).await;
    assert_eq!(accepted, 10_000);
    settled_at(&org, 10_000).await;
    println!("PROOF: hard stop, two processes on one PostgreSQL: limit 10,000, 10,000 accepted");
}

/// A server whose trial includes so many calls.
async fn limited(database: &Database, place: &std::path::Path, limit: u64) -> Server {
    let catalog = place.join("plans.toml");
    std::fs::write(&catalog, plans(limit, limit)).unwrap();
    Server::start(Options::dev(&place.join("data"), database).arguments(&["--plans", catalog.to_str().unwrap()])).await
}

async fn hammer(servers: &[&Server], org: &Tenant, limit: u64) -> u64 {
    let nodes: Vec<(&Server, &String)> = servers.iter().map(|server| (*server, &org.secret)).collect();
    hammer_with(&nodes, limit).await
}

/// 64 connections, evenly over the nodes, calling until everyone has been denied; every fourth call is a reservation that is
/// settled or released. How many units were charged.
async fn hammer_with(nodes: &[(&Server, &String)], limit: u64) -> u64 {
    let connections = stream::iter(0..64_usize).map(|connection| {
        let (server, secret) = nodes[connection % nodes.len()];
        let api = server.with_key(secret);
        async move {
            let mut charged = 0;
            for call in 0..limit {
                let name = format!("c{connection}-{call}");
                let answer = match call % 4 {
                    3 => {
                        api.post(
                            "/api/usage/reserve",
                            &json!({"metric": "api_call", "units": 1, "ttlSeconds": 600, "request_id": name}),
                        )
                        .await
                    }
                    _ => api.post("/api/usage/record", &record_of(&name, 1)).await,
                };
                match (answer.status, call % 8) {
                    (200, 3) => {
                        let hold = json!({"holdId": answer.body["data"]["holdId"], "units": 1});
                        api.ok("/api/usage/settle", &hold).await;
                        charged += 1;
                    }
                    (200, 7) => {
                        api.ok("/api/usage/release", &json!({"holdId": answer.body["data"]["holdId"]})).await;
                    }
                    (200, _) => charged += 1,
                    (429, _) => {
                        // Others may still hold units they will release: stop only when everything is charged.
                        if answer.body["error"]["details"]["held"] == 0 {
                            break;
                        }
                    }
                    (503, _) => {}
                    _ => panic!("{}", answer.text),
                }
            }
            charged
        }
    });
    connections.buffer_unordered(64).fold(0, |sum, charged: u64| async move { sum + charged }).await
}

/// The counter says so, and every counter is the sum of its events.
async fn settled_at(org: &Tenant, units: u64) {
    let left = org.entitlements().await;
    assert_eq!(
        (&left["used"], &left["remaining"], &left["metrics"][0]["held"]),
        (&json!(units), &json!(0), &json!(0)),
        "{left}"
    );
    let refused = org.record("one-more", 1).await;
    refused.refused(429, "quota_exceeded");
}
