//! Webhooks are hints: a bad one changes nothing, and without any the state still ends at what Stripe says.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::Instant;

use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::{Tenant, advance};

const SECRET: &str = "whsec_for_these_tests_only";

#[tokio::test]
async fn a_webhook_with_a_bad_or_stale_signature_is_refused_and_not_stored() {
    let place = tempfile::tempdir().unwrap();
    let options =
        Options::dev(&place.path().join("data"), &Database::Embedded).variable("STRIPE_WEBHOOK_SECRET", SECRET);
    let server = Server::start(options).await;
    let body = json!({"id": "evt_forged", "object": "event", "type": "customer.updated", "created": now_seconds(&server).await,
        "api_version": null, "livemode": false, "pending_webhooks": 1, "request": null,
        "data": {"object": {"id": "cus_none", "object": "customer"}}}).to_string();
    let now = now_seconds(&server).await;
    for header in [
        signature(&body, "whsec_somebody_elses", now),
        signature(&body, SECRET, now - 3_600),
        signature("another body", SECRET, now),
        String::from("t=1,v1=00"),
        String::new(),
    ] {
        for path in ["/api/webhooks/stripe.receive", "/api/webhooks/stripe"] {
            server
                .operator()
                .raw(path, &[("Stripe-Signature", &header)], body.clone().into_bytes())
                .await
                .refused(400, "bad_signature");
        }
    }
    let stored = server.operator().get("/api/admin/webhooks.list?limit=200").await.text;
    assert!(!stored.contains("evt_forged"), "nothing was stored: {stored}");
    let good = signature(&body, SECRET, now);
    for _ in 0..2 {
        let taken = server
            .operator()
            .raw("/api/webhooks/stripe.receive", &[("Stripe-Signature", &good)], body.clone().into_bytes())
            .await;
        assert_eq!(taken.status, 202, "{}", taken.text);
        assert_eq!(taken.body["data"], json!({"queued": true, "eventId": "evt_forged"}));
    }
    let processed = server.operator().ok("/api/jobs/stripe.process", &json!({"eventId": "evt_forged"})).await;
    assert_eq!(processed, json!({"converged": true}), "an object that is gone at Stripe is converged");
    server
        .operator()
        .post("/api/jobs/stripe.process", &json!({"eventId": "evt_unknown"}))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn without_a_single_webhook_reconciliation_alone_arrives_at_what_stripe_says() {
    for database in Database::all().await {
        let server = Server::dev_with(&database, &["--clock", "2026-01-15T09:00:00Z"]).await;
        let org = Tenant::sign_up(&server, "Acme").await;
        org.add_card("pm_card_visa").await;
        org.upgrade().await;
        drop_all_webhooks(&server).await;
        let cancelled =
            server.stripe(reqwest::Method::DELETE, &format!("/v1/subscriptions/{}", org.subscription_id), "").await;
        assert_eq!(cancelled["status"], "canceled");
        let begun = Instant::now();
        let status = loop {
            run_reconciliation(&server).await;
            let status = org.entitlements().await["status"].clone();
            if status == "canceled" || begun.elapsed() > Duration::from_secs(20) {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status, "canceled");
        org.record("after", 1).await.refused(402, "no_subscription");
        println!(
            "PROOF: webhooks, all dropped: {}, converged {} ms after reconciliation began",
            database.kind(),
            begun.elapsed().as_millis()
        );
    }
}

#[tokio::test]
async fn a_replayed_webhook_changes_nothing() {
    let server = Server::dev_with(&Database::Embedded, &["--clock", "2026-01-15T09:00:00Z"]).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    org.add_card("pm_card_visa").await;
    org.upgrade().await;
    advance(&server, "1d").await;
    let before = org.entitlements().await;
    let stored = server.operator().get("/api/admin/webhooks.list?limit=200").await.data();
    let ids: Vec<Value> = stored.as_array().unwrap().iter().map(|event| event["eventId"].clone()).collect();
    assert!(ids.iter().any(Value::is_string), "the sandbox delivered webhooks: {stored}");
    for _ in 0..2 {
        let replayed = server.operator().ok("/api/admin/webhooks.replay", &json!({"eventIds": ids})).await;
        assert!(replayed["enqueued"].as_u64() > Some(0), "{replayed}");
        advance(&server, "1m").await;
        assert_eq!(org.entitlements().await, before);
    }
}

/// Disables every endpoint at the sandbox, over Stripe's own API.
async fn drop_all_webhooks(server: &Server) {
    let listed = server.stripe(reqwest::Method::GET, "/v1/webhook_endpoints?limit=100", "").await;
    let endpoints = listed["data"].as_array().cloned().unwrap_or_default();
    assert!(!endpoints.is_empty(), "{listed}");
    for endpoint in endpoints {
        let path = format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap_or_default());
        let updated = server.stripe(reqwest::Method::POST, &path, "disabled=true").await;
        assert_eq!(updated["status"], "disabled", "{updated}");
    }
}

async fn run_reconciliation(server: &Server) {
    let jobs = server.operator().get("/api/admin/jobs.list?kind=reconcile").await.data();
    let job = jobs.as_array().and_then(|jobs| jobs.first()).cloned().unwrap_or_default();
    let run = server.operator().post("/api/admin/jobs.run", &json!({"jobId": job["jobId"]})).await;
    // 409: the server's own worker has it in hand just now.
    assert!(matches!(run.status, 200 | 409), "{jobs} {}", run.text);
}

async fn now_seconds(server: &Server) -> i64 {
    let clock = server.operator().get("/sandbox/clock").await.data();
    let now = tollgate_rules::time::Timestamp::parse_rfc3339(clock["now"].as_str().expect("a time")).expect("RFC 3339");
    now.as_micros() / 1_000_000
}

fn signature(body: &str, secret: &str, time: i64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(format!("{time}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}
