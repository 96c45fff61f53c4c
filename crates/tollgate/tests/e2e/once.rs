//! The same `request_id` is counted once and answered the same for ever.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use crate::database::Database;
use crate::server::Server;
use crate::tenant::{Tenant, record_of};

#[tokio::test]
async fn a_hundred_concurrent_repeats_are_one_event_and_one_answer_also_when_the_quota_is_exhausted() {
    for database in Database::all().await {
        let server = Server::dev(&database).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        let body = record_of("the-same", 7);
        let calls = (0..100).map(|_| org.api.post("/api/usage/record", &body));
        let answers = join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers.first());
        let bodies: BTreeSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert_eq!(org.entitlements().await["used"], 7);
        org.record("the-rest", 993).await.data();
        org.record("too-much", 1).await.refused(429, "quota_exceeded");
        let again = org.api.post("/api/usage/record", &body).await;
        assert_eq!(again.text, answers[0].text);
        println!("PROOF: once: {}, 100 concurrent repeats, 1 event, 100 byte-identical bodies", database.kind());
    }
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused_and_in_another_org_is_another_event() {
    for database in Database::all().await {
        let server = Server::dev(&database).await;
        let (acme, globex) = (Tenant::sign_up(&server, "Acme").await, Tenant::sign_up(&server, "Globex").await);
        acme.record("shared", 1).await.data();
        let other_value = acme.record("shared", 2).await;
        assert_eq!(other_value.status, 422, "{}", other_value.text);
        let other_verb = json!({"metric": "api_call", "units": 1, "ttlSeconds": 60, "request_id": "shared"});
        assert_eq!(acme.api.post("/api/usage/reserve", &other_verb).await.status, 422);
        globex.record("shared", 1).await.data();
        assert_eq!((&acme.entitlements().await["used"], &globex.entitlements().await["used"]), (&json!(1), &json!(1)));
    }
}

#[tokio::test]
async fn a_foreign_org_looks_exactly_like_a_missing_one() {
    let server = Server::dev(&Database::Embedded).await;
    let (acme, globex) = (Tenant::sign_up(&server, "Acme").await, Tenant::sign_up(&server, "Globex").await);
    let mut body = record_of("probe", 1);
    body["orgId"] = json!(globex.org_id);
    let foreign = acme.api.post("/api/usage/record", &body).await;
    body["orgId"] = json!("org_doesnotexist");
    let missing = acme.api.post("/api/usage/record", &body).await;
    let (foreign, missing) = (foreign.refused(404, "not_found"), missing.refused(404, "not_found"));
    let without_ids = |body: &serde_json::Value, id: &str| {
        let mut error = body["error"].clone();
        error["requestId"] = json!(null);
        error.to_string().replace(id, "ORG")
    };
    assert_eq!(without_ids(&foreign, &globex.org_id), without_ids(&missing, "org_doesnotexist"));
    assert_eq!(globex.entitlements().await["used"], 0);
}
