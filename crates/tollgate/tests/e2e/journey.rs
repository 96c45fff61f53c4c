//! The main job, by the calls of the documentation.

use serde_json::json;

use crate::database::Database;
use crate::server::Server;
use crate::tenant::{Tenant, advance, plans};

#[tokio::test]
async fn an_org_tries_is_stopped_pays_goes_on_and_starts_a_new_period() {
    for database in Database::all().await {
        let place = tempfile::tempdir().unwrap();
        let catalog = place.path().join("plans.toml");
        std::fs::write(&catalog, plans(5, 50)).unwrap();
        let words = ["--plans", catalog.to_str().unwrap(), "--clock", "2026-01-15T09:00:00Z"];
        let server = Server::dev_with(&database, &words).await;
        tries_and_is_stopped(&server).await;
    }
}

async fn tries_and_is_stopped(server: &Server) {
    let acme = Tenant::sign_up(server, "Acme").await;
    let trial = acme.entitlements().await;
    assert_eq!(
        (&trial["planCode"], &trial["trialOf"], &trial["status"]),
        (&json!("trial"), &json!("starter"), &json!("trialing"))
    );
    assert_eq!(trial["periodKey"], "2026-01");
    for n in 0..5 {
        let counted = acme.record(&format!("call-{n}"), 1).await.data();
        assert_eq!(counted, json!({"periodKey": "2026-01", "used": n + 1, "remaining": 4 - n}));
    }
    let denied = acme.record("call-5", 1).await;
    let body = denied.refused(429, "quota_exceeded");
    assert_eq!(body["data"]["allow"], false);
    assert_eq!(body["data"]["remaining"], 0);
    assert_eq!(body["error"]["details"]["used"], 5);
    assert_eq!(denied.header("X-Should-Retry"), "false");
    assert!(denied.header("RateLimit").starts_with("\"api_call\";r=0;t="), "{:?}", denied.headers);
    assert!(denied.header("Retry-After").parse::<u64>().is_ok());
    pays_and_goes_on(server, &acme).await;
}

async fn pays_and_goes_on(server: &Server, acme: &Tenant) {
    acme.add_card("pm_card_visa").await;
    acme.upgrade().await;
    let counted = acme.record("call-5", 1).await.data();
    assert_eq!(counted, json!({"periodKey": "2026-01.2", "used": 1, "remaining": 49}));
    let paid = acme.entitlements().await;
    assert_eq!(
        (&paid["planCode"], &paid["status"], &paid["included"]),
        (&json!("starter"), &json!("active"), &json!(50))
    );
    // A month, and the hour that Stripe leaves a renewal's invoice in draft.
    let moved = advance(server, "32d").await;
    let kinds: Vec<&str> = moved["happened"].as_array().unwrap().iter().filter_map(|h| h["kind"].as_str()).collect();
    assert!(kinds.contains(&"invoice.paid"), "{moved}");
    let next = acme.record("call-6", 1).await.data();
    assert_eq!(next, json!({"periodKey": "2026-02", "used": 1, "remaining": 49}));
    let invoices = acme.api.get("/api/invoices.list").await.data();
    let paid: Vec<_> =
        invoices.as_array().unwrap().iter().filter(|i| i["total"] == 4900 && i["status"] == "paid").collect();
    assert_eq!(paid.len(), 2, "the upgrade and the renewal: {invoices}");
    assert_eq!(paid[0]["currency"], "usd");
}

#[tokio::test]
async fn a_declined_card_changes_nothing() {
    let server = Server::dev(&Database::Embedded).await;
    let org = Tenant::sign_up(&server, "Globex").await;
    let refused =
        org.api.post("/api/payments/default-method.set", &json!({"paymentMethodId": "pm_card_chargeDeclined"})).await;
    refused.refused(402, "payment_failed");
    org.add_card("pm_card_chargeCustomerFail").await;
    let before = org.entitlements().await;
    let refused = org.api.post("/api/plans/upgrade.now", &json!({"newPlanCode": "starter"})).await;
    refused.refused(402, "payment_failed");
    let after = org.entitlements().await;
    assert_eq!(
        (&after["planCode"], &after["status"], &after["included"]),
        (&before["planCode"], &before["status"], &before["included"])
    );
}

#[tokio::test]
async fn a_metered_call_behind_the_gate_needs_nothing_but_the_key() {
    let server = Server::dev(&Database::Embedded).await;
    let org = Tenant::sign_up(&server, "Initech").await;
    let quote = org.api.get("/demo/quote").await;
    assert_eq!(quote.status, 200, "{}", quote.text);
    assert!(quote.header("RateLimit").starts_with("\"api_call\";r=999;"), "{:?}", quote.headers);
    assert_eq!(server.with_key("tg_test_wrong").get("/demo/quote").await.status, 401);
    let gate = org.api.get("/v1/gate/default/any/path").await;
    assert_eq!((gate.status, gate.text.as_str()), (200, ""));
    assert_eq!(gate.header("X-Tollgate-Org"), org.org_id);
    assert_eq!(org.entitlements().await["used"], 2);
}
