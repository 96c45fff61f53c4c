//! Plans as code and what hangs on the catalog, from outside: saved plans, pull, what-if, top-ups, spend caps, credit pools.

use serde_json::{Value, json};

use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::Tenant;

/// Calls draw on credits; tokens are charged by the block beyond 10; credits can be bought.
fn catalog(credits: u64, amount: u64) -> String {
    format!(
        r#"{}
[plan.allowance.credit]
included = {credits}
[plan.allowance.token]
included = 10
overage = {{ amount = 300, per = 10 }}
[plan.pool.credit]
image = 5

[[metric]]
code = "credit"
[[metric]]
code = "image"
[[metric]]
code = "token"

[[topup]]
code = "credits_100"
name = "100 credits"
metric = "credit"
units = 100
amount = {amount}
currency = "usd"
lasts = "period"
"#,
        crate::tenant::plans(50, 100)
    )
}

async fn serving(place: &std::path::Path, text: &str) -> (Server, String) {
    let file = place.join("plans.toml");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let options = Options::dev(&place.join("data"), &Database::Embedded).arguments(&["--plans", &path]);
    (Server::start(options).await, path)
}

fn record(metric: &str, value: u64, id: &str) -> Value {
    json!({"metric": metric, "value": value, "request_id": id})
}

#[tokio::test]
async fn packs_pools_and_caps_work_together_through_the_api() {
    let place = tempfile::tempdir().unwrap();
    let (server, _) = serving(place.path(), &catalog(20, 900)).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    org.add_card("pm_card_visa").await;
    org.upgrade().await;
    let api = &org.api;
    let first = api.ok("/api/usage/record", &record("image", 3, "i1")).await;
    assert_eq!(first["remaining"], 1, "5 of 20 credits are left: {first}");
    let denied = api.post("/api/usage/record", &record("image", 2, "i2")).await;
    assert_eq!(denied.status, 429);
    let details = &denied.body["error"]["details"];
    assert_eq!((&details["rule"], &details["drawnBy"]), (&json!("credit_pool"), &json!("image")), "{}", denied.body);
    let bought = api.ok("/api/topups.buy", &json!({"topup": "credits_100"})).await;
    assert_eq!((&bought["units"], &bought["amount"], &bought["status"]), (&json!(100), &json!(900), &json!("paid")));
    api.ok("/api/usage/record", &record("image", 2, "i2")).await;
    api.ok("/api/usage/record", &record("token", 25, "t1")).await;
    let cap = api.ok("/api/spend-cap.set", &json!({"amount": 600})).await;
    assert_eq!((&cap["amount"], &cap["spent"], &cap["currency"]), (&json!(600), &json!(600), &json!("usd")));
    let denied = api.post("/api/usage/record", &record("token", 6, "t2")).await;
    assert_eq!(
        (denied.status, &denied.body["error"]["details"]["rule"]),
        (429, &json!("spend_cap")),
        "{}",
        denied.body
    );
    assert_eq!(denied.body["error"]["details"]["options"][0]["action"], "raise_cap");
    api.ok("/api/usage/record", &record("token", 5, "t2")).await;
    api.ok("/api/spend-cap.clear", &json!({})).await;
    api.ok("/api/usage/record", &record("token", 1, "t3")).await;
    org.add_card("pm_card_chargeCustomerFail").await;
    let declined = api.post("/api/topups.buy", &json!({"topup": "credits_100"})).await;
    assert_eq!(
        (declined.status, &declined.body["error"]["code"]),
        (402, &json!("payment_failed")),
        "{}",
        declined.body
    );
    let listed = api.get("/api/topups.list").await.data();
    let states: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(states, ["declined", "paid"]);
    let credit = org.entitlements().await;
    let credit = credit["metrics"].as_array().unwrap().iter().find(|one| one["metric"] == "credit").unwrap().clone();
    assert_eq!((&credit["used"], &credit["granted"], &credit["remaining"]), (&json!(25), &json!(100), &json!(95)));
}

#[tokio::test]
async fn a_saved_plan_is_applied_as_it_was_shown_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let (server, path) = serving(place.path(), &catalog(20, 900)).await;
    let saved = place.path().join("saved.json");
    let saved = saved.to_str().unwrap();
    std::fs::write(&path, catalog(30, 900)).unwrap();
    let (code, told, messages) =
        server.command(&["plans", "plan", "--plans", &path, "--out", saved, "--format", "markdown"]);
    assert_eq!(code, 2, "{messages}");
    assert!(told.contains("| `starter` | edited, version 2 |") && told.contains("**Impact**"), "{told}");
    std::fs::write(&path, catalog(40, 1_900)).unwrap();
    let (code, _, messages) = server.command(&["plans", "apply", "--plans", &path]);
    assert_eq!(code, 0, "{messages}");
    let (code, _, messages) = server.command(&["plans", "apply", saved]);
    assert_eq!(code, 4, "{messages}");
    assert!(messages.contains("plan starter: was version 1") && messages.contains("top-up credits_100"), "{messages}");
    std::fs::write(&path, catalog(30, 1_900)).unwrap();
    let (code, _, messages) = server.command(&["plans", "plan", "--plans", &path, "--out", saved]);
    assert_eq!(code, 2, "{messages}");
    let (code, told, messages) = server.command(&["plans", "apply", saved]);
    assert_eq!(code, 0, "{messages}");
    assert!(told.contains("starter is now version 3") && told.contains("1 prices taken off sale"), "{told}");
    let (code, pulled, messages) = server.command(&["plans", "pull"]);
    assert_eq!(code, 0, "{messages}");
    std::fs::write(&path, pulled).unwrap();
    let (code, told, messages) = server.command(&["plans", "plan", "--plans", &path]);
    assert_eq!(code, 0, "what was pulled is what is published: {told} {messages}");
}

#[tokio::test]
async fn what_if_folds_the_real_ledger_through_another_catalog() {
    let place = tempfile::tempdir().unwrap();
    let (server, _) = serving(place.path(), &crate::tenant::plans(50, 100)).await;
    let org = Tenant::sign_up(&server, "Acme").await;
    org.add_card("pm_card_visa").await;
    org.upgrade().await;
    for (id, value) in [("a", 40), ("b", 30), ("c", 20)] {
        assert_eq!(org.record(id, value).await.status, 200);
    }
    let other = place.path().join("other.toml");
    std::fs::write(&other, crate::tenant::plans(50, 60).replace("amount = 4900", "amount = 5900")).unwrap();
    let (code, told, messages) =
        server.command(&["plans", "what-if", other.to_str().unwrap(), "--last", "90d", "--json"]);
    assert_eq!(code, 0, "{messages}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["orgsStopped"], &told["callsRefused"], &told["unitsRefused"]),
        (&json!(1), &json!(1), &json!(30)),
        "{told}"
    );
    let mrr = |of: &Value| of["mrrAfter"].as_i64().unwrap() - of["mrrBefore"].as_i64().unwrap();
    let differing = told["differing"].as_array().unwrap().iter().find(|one| one["orgId"] == json!(org.org_id)).unwrap();
    assert_eq!(mrr(&differing["money"]), 1_000, "{told}");
    assert_eq!((&differing["stops"][0]["used"], &differing["stops"][0]["included"]), (&json!(90), &json!(60)));
}
