//! Stigg beside a preview: shown where it answers, counted where it differs, and never waited for.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::database::Database;
use crate::server::Server;
use crate::tenant::Tenant;

/// Adds to what is counted under a name at `/metrics`; 0 where it never was.
async fn counted(server: &Server, name: &str) -> u64 {
    let text = server.operator().get("/metrics").await.text;
    let found = text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    found.sum()
}

async fn preview(org: &Tenant) -> Value {
    let answer = org.api.post("/api/plans/preview", &json!({"newPlanCode": "growth"})).await;
    assert!(answer.data()["amount"].as_i64() > Some(0), "{}", answer.text);
    answer.body
}

#[tokio::test]
async fn a_preview_shows_what_stigg_thinks_and_answers_all_the_same_without_it() {
    for database in Database::all().await {
        let server = Server::dev(&database).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.add_card("pm_card_visa").await;
        org.upgrade().await;
        let shown = preview(&org).await;
        assert_eq!(shown["meta"]["stigg"], json!({"amount": shown["data"]["amount"], "agrees": true}), "{shown}");
        assert_eq!(counted(&server, "tollgate_mirror_preview_differs_total").await, 0);
        server.faults(&json!({"stiggSurcharge": 250})).await;
        let shown = preview(&org).await;
        let theirs = shown["data"]["amount"].as_i64().unwrap() + 250;
        assert_eq!(shown["meta"]["stigg"], json!({"amount": theirs, "agrees": false}), "{shown}");
        assert_eq!(counted(&server, "tollgate_mirror_preview_differs_total").await, 1, "the difference is counted");
        assert_eq!(counted(&server, "tollgate_mirror_previews_compared_total").await, 2);
        let path = "/stigg/api/v1/subscriptions/preview";
        for (how, wait) in [("429", 0), ("bad_gateway", 0), ("timeout_after_commit", 0), ("slow", 20_000)] {
            server.faults(&json!({"fail": [{"path": path, "how": how, "waitMs": wait}]})).await;
            let begun = Instant::now();
            let shown = preview(&org).await;
            assert_eq!(shown["meta"].get("stigg"), None, "{how}: {shown}");
            assert!(begun.elapsed() < Duration::from_secs(8), "{how}: {:?}", begun.elapsed());
        }
        assert_eq!(counted(&server, "tollgate_mirror_previews_unanswered_total").await, 4);
    }
}
