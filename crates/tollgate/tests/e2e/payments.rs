//! Paying on hosted pages: checkout into a new org, the portal, saved cards, and 3-D Secure.

use serde_json::{Value, json};

use crate::api::http;
use crate::database::Database;
use crate::server::Server;
use crate::tenant::{Tenant, advance, text};

/// Sends a page's form as a browser does; where it leads, or the refusal's status.
pub(crate) async fn fill_in(url: &str, form: &str) -> Result<String, u16> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let request = client.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned());
    let answer = request.send().await.unwrap();
    match answer.headers().get("location") {
        Some(location) => Ok(location.to_str().unwrap().to_owned()),
        None => Err(answer.status().as_u16()),
    }
}

async fn page(url: &str) -> (u16, String) {
    let answer = http().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(crate) fn checkout(more: &Value) -> Value {
    let mut body = json!({
        "email": "ann@example.com", "priceLookup": "plan_starter_m",
        "successUrl": "https://app.test/done?s={CHECKOUT_SESSION_ID}", "cancelUrl": "https://app.test/back",
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn somebody_unknown_subscribes_and_has_an_org_with_everything() {
    for database in Database::all().await {
        let server = Server::dev(&database).await;
        let operator = server.operator();
        let made = operator.ok("/api/payments/checkout.create", &checkout(&json!({"orgName": "Acme"}))).await;
        let url = text(&made["url"]);
        assert!(page(&url).await.1.contains("Start trial"));
        assert_eq!(operator.get("/api/admin/orgs.list").await.data().as_array().unwrap().len(), 0);
        assert_eq!(fill_in(&url, "card=chargeDeclined").await, Err(402));
        let back = fill_in(&url, "card=visa&name=Ann").await;
        assert_eq!(back, Ok(format!("https://app.test/done?s={}", text(&made["sessionId"]))));
        advance(&server, "1s").await;
        let orgs = operator.get("/api/admin/orgs.list").await.data();
        assert_eq!((orgs.as_array().unwrap().len(), &orgs[0]["name"]), (1, &json!("Acme")));
        let org_id = text(&orgs[0]["orgId"]);
        let has = operator.get(&format!("/api/me/entitlements.read?orgId={org_id}")).await.data();
        assert_eq!((&has["status"], &has["trialOf"], &has["used"]), (&json!("trialing"), &json!("starter"), &json!(0)));
        let pending = operator.get(&format!("/api/invitations/pending?orgId={org_id}")).await.data();
        assert_eq!((&pending[0]["email"], &pending[0]["role"]), (&json!("ann@example.com"), &json!("owner")));
        advance(&server, "15d").await;
        let paid = operator.get(&format!("/api/me/entitlements.read?orgId={org_id}")).await.data();
        assert_eq!((&paid["status"], &paid["planCode"]), (&json!("active"), &json!("starter")), "the card was kept");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_checkout_or_a_return_address_is_named() {
    let server = Server::dev(&Database::Embedded).await;
    let org = Tenant::sign_up(&server, "Initech").await;
    let operator = server.operator();
    for (more, pointer) in [
        (json!({"orgName": "A", "orgId": org.org_id}), "/orgName"),
        (json!({"orgName": ""}), "/orgName"),
        (json!({"orgName": "A", "email": "ann"}), "/email"),
        (json!({"orgName": "A", "priceLookup": "plan_gold_m"}), "/priceLookup"),
        (json!({"orgName": "A", "successUrl": "/done"}), "/successUrl"),
        (json!({"orgName": "A", "cancelUrl": "javascript:alert(1)"}), "/cancelUrl"),
    ] {
        let refused = operator.post("/api/payments/checkout.create", &checkout(&more)).await;
        let body = refused.refused(422, "validation_failed");
        assert_eq!(body["error"]["details"]["errors"][0]["pointer"], pointer, "{body}");
    }
    org.api.post("/api/payments/checkout.create", &checkout(&json!({"orgName": "A"}))).await.refused(403, "forbidden");
    org.api.post("/api/payments/checkout.create", &checkout(&json!({}))).await.refused(409, "conflict");
    let refused = org.api.post("/api/payments/portal.create", &json!({"returnUrl": "app.test"})).await;
    assert_eq!(refused.refused(422, "validation_failed")["error"]["details"]["errors"][0]["pointer"], "/returnUrl");
}

#[tokio::test]
async fn an_org_looks_after_its_cards_and_its_plan() {
    let server = Server::dev(&Database::Embedded).await;
    let org = Tenant::sign_up(&server, "Globex").await;
    assert_eq!(org.api.get("/api/payments/methods.list").await.data(), json!([]));
    org.add_card("pm_card_visa").await;
    let only = org.api.get("/api/payments/methods.list").await.data();
    assert_eq!(
        (&only[0]["brand"], &only[0]["last4"], &only[0]["default"]),
        (&json!("visa"), &json!("4242"), &json!(true))
    );
    let detach = |id: &Value| json!({"paymentMethodId": id});
    org.api.post("/api/payments/methods.detach", &detach(&only[0]["id"])).await.refused(409, "conflict");
    org.add_card("pm_card_mastercard").await;
    let both = org.api.get("/api/payments/methods.list").await.data();
    assert_eq!((&both[0]["brand"], &both[1]["default"]), (&json!("mastercard"), &json!(false)));
    let first = org.api.get("/api/payments/methods.list?limit=1").await;
    assert_eq!(first.data().as_array().unwrap().len(), 1);
    let cursor = text(&first.body["meta"]["nextCursor"]);
    let second = org.api.get(&format!("/api/payments/methods.list?limit=1&cursor={cursor}")).await;
    assert_eq!((&second.data()[0]["id"], &second.body["meta"]["nextCursor"]), (&both[1]["id"], &Value::Null));
    assert_eq!(org.api.ok("/api/payments/methods.detach", &detach(&both[1]["id"])).await, json!({"ok": true}));
    org.api.post("/api/payments/methods.detach", &detach(&both[1]["id"])).await.refused(422, "validation_failed");
    org.upgrade().await;
    let portal = org.api.ok("/api/payments/portal.create", &json!({"returnUrl": "https://app.test/back"})).await;
    let (status, shown) = page(&text(&portal["url"])).await;
    assert!(
        status == 200 && shown.contains("Next invoice: $49.00") && shown.contains("https://app.test/back"),
        "{shown}"
    );
    let cancel = format!("action=cancel&object={}", org.subscription_id);
    assert!(fill_in(&text(&portal["url"]), &cancel).await.is_ok());
    advance(&server, "1s").await;
    let subscription = org.api.ok("/api/subscriptions.resume", &json!({})).await;
    assert_eq!((&subscription["status"], &subscription["cancelAt"]), (&json!("active"), &Value::Null));
}

/// A tenant on starter whose new card asks for 3-D Secure, in the middle of an upgrade; the intent that waits.
async fn waiting(server: &Server) -> (Tenant, String) {
    let org = Tenant::sign_up(server, "Hooli").await;
    org.add_card("pm_card_visa").await;
    org.upgrade().await;
    org.add_card("pm_card_authenticationRequired").await;
    let asked = org.api.post("/api/plans/upgrade.now", &json!({"newPlanCode": "growth"})).await;
    let refused = asked.refused(402, "payment_action_required");
    let secret = text(&refused["error"]["details"]["clientSecret"]);
    let intent = secret.split_once("_secret_").expect("the secret of a payment intent").0.to_owned();
    assert_eq!(org.entitlements().await["planCode"], "starter", "the old plan stays until it is paid");
    (org, intent)
}

#[tokio::test]
async fn an_upgrade_that_the_bank_asks_about_happens_once_it_is_confirmed() {
    for database in Database::all().await {
        let server = Server::dev(&database).await;
        let (org, intent) = waiting(&server).await;
        let (status, shown) = page(&format!("{}/authenticate/{intent}", server.sandbox)).await;
        assert!(status == 200 && shown.contains("succeeded"), "{shown}");
        advance(&server, "1s").await;
        let has = org.entitlements().await;
        assert_eq!((&has["planCode"], &has["included"]), (&json!("growth"), &json!(100_000)));
        let invoices = org.api.get("/api/invoices.list").await.data();
        assert_eq!(invoices[0]["status"], "paid", "{invoices}");
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_confirms_within_23_hours_is_forgotten() {
    let server = Server::dev(&Database::Embedded).await;
    let (org, intent) = waiting(&server).await;
    let moved = advance(&server, "22h").await;
    let told = |moved: &Value, kind: &str| moved["happened"].as_array().unwrap().iter().any(|one| one["kind"] == kind);
    assert!(!told(&moved, "customer.subscription.pending_update_expired"), "{moved}");
    let moved = advance(&server, "2h").await;
    assert!(told(&moved, "customer.subscription.pending_update_expired"), "{moved}");
    let has = org.entitlements().await;
    assert_eq!((&has["planCode"], &has["status"]), (&json!("starter"), &json!("active")));
    let (_, shown) = page(&format!("{}/authenticate/{intent}", server.sandbox)).await;
    assert!(!shown.contains("succeeded"), "what was given up cannot be paid any more: {shown}");
    let invoices = org.api.get("/api/invoices.list").await.data();
    assert!(invoices.as_array().unwrap().iter().any(|one| one["status"] == "void"), "{invoices}");
    org.add_card("pm_card_visa").await;
    let upgraded = org.api.ok("/api/plans/upgrade.now", &json!({"newPlanCode": "growth"})).await;
    assert_eq!(upgraded["planCode"], "growth");
}
