//! The Stigg stand-in.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tollgate_sandbox::Failure;

use super::harness::{Server, id};

async fn call(server: &Server, method: Method, path: &str, body: Value, headers: &[(&str, &str)]) -> (u16, Value) {
    let url = format!("{}/stigg/api/v1{path}", server.sandbox.base_url());
    let mut request = Client::new().request(method, url).header("content-type", "application/json");
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

const KEY: (&str, &str) = ("x-api-key", "server-test");

#[tokio::test]
async fn customers_and_subscriptions_are_provisioned_once() {
    let server = Server::start().await;
    let acme =
        json!({"id": "org_acme", "name": "Acme", "billingId": "cus_1", "metadata": {"tollgate_org_id": "org_acme"}});
    let (status, made) = call(&server, Method::POST, "/customers", acme.clone(), &[KEY]).await;
    assert_eq!((status, &made["data"]["billingId"]), (200, &json!("cus_1")));
    for member in ["id", "archivedAt", "createdAt", "updatedAt"] {
        assert!(made["data"].get(member).is_some(), "{member}");
    }
    assert_eq!(call(&server, Method::POST, "/customers", acme, &[KEY]).await.0, 409);
    let (_, renamed) = call(&server, Method::PATCH, "/customers/org_acme", json!({"name": "Acme Ltd"}), &[KEY]).await;
    assert_eq!(renamed["data"]["name"], "Acme Ltd");

    let wanted = json!({"id": "sub_1", "customerId": "org_acme", "planId": "plan-starter", "billingId": "sub_stripe"});
    let (status, made) = call(&server, Method::POST, "/subscriptions", wanted.clone(), &[KEY]).await;
    assert_eq!((status, &made["data"]["status"]), (200, &json!("SUCCESS")));
    assert_eq!(call(&server, Method::POST, "/subscriptions", wanted, &[KEY]).await.0, 409);
    let server = server.restart().await;
    let (_, read) = call(&server, Method::GET, "/subscriptions/sub_1", Value::Null, &[KEY]).await;
    assert_eq!(read["data"], made["data"]["subscription"]);
    let foreign = json!({"customerId": "org_nobody", "planId": "plan-starter"});
    assert_eq!(call(&server, Method::POST, "/subscriptions", foreign, &[KEY]).await.0, 404);
    assert_eq!(call(&server, Method::POST, "/customers", json!({}), &[KEY]).await.0, 400);
}

#[tokio::test]
async fn a_key_is_required_and_idempotency_honoured() {
    let server = Server::start().await;
    assert_eq!(call(&server, Method::GET, "/customers/a", Value::Null, &[]).await.0, 401);
    let headers = [KEY, ("idempotency-key", "op_1")];
    let first = call(&server, Method::POST, "/customers", json!({"id": "org_1"}), &headers).await;
    assert_eq!(call(&server, Method::POST, "/customers", json!({"id": "org_1"}), &headers).await, first);
    assert_eq!(call(&server, Method::POST, "/customers", json!({"id": "org_2"}), &headers).await.0, 422);
}

#[tokio::test]
async fn it_fails_in_the_ways_it_is_told_to() {
    let server = Server::start().await;
    let faults = server.sandbox.faults();
    for status in [401, 409, 429] {
        faults.fail_next("/stigg/", 1, Failure::Status(status));
        let (got, body) = call(&server, Method::POST, "/customers", json!({"id": "org_1"}), &[KEY]).await;
        assert_eq!(got, status);
        assert!(body["message"].is_string());
    }
    faults.fail_next("/stigg/", 1, Failure::BadGateway);
    let (got, body) = call(&server, Method::POST, "/customers", json!({"id": "org_1"}), &[KEY]).await;
    assert!(got == 502 && body.as_str().unwrap().starts_with("<html>"));
    assert_eq!(call(&server, Method::POST, "/customers", json!({"id": "org_1"}), &[KEY]).await.0, 200);
}

/// What the contract says about a preview's invoice; nothing where it is not at hand.
fn described() -> Option<Value> {
    let folder = tollgate_sandbox::contract::folder()?;
    let text = std::fs::read_to_string(folder.join("stigg/rest-operations.json")).ok()?;
    let document: Value = serde_json::from_str(&text).unwrap();
    Some(document["$defs"]["PreviewInvoice"].clone())
}

fn fits(invoice: &Value) {
    let Some(described) = described() else {
        println!("skipped: no contract data beside the repository");
        return;
    };
    for member in described["required"].as_array().unwrap() {
        assert!(invoice.get(member.as_str().unwrap()).is_some(), "{member} {invoice}");
    }
    for (member, value) in invoice.as_object().unwrap() {
        let known = described["properties"].get(member);
        assert!(known.is_some() && !value.is_null(), "{member} {invoice}");
    }
}

#[tokio::test]
async fn a_preview_comes_to_what_billing_says_and_keeps_nothing() {
    let server = Server::start_at("2026-01-15T09:00:00Z").await;
    let customer = id(&server.post("/v1/customers", "").await);
    server.give_card(&customer, "visa").await;
    let lookup = async |amount: i64, key: &str| {
        let price = server.price(amount, "month").await;
        server.post(&format!("/v1/prices/{price}"), &format!("lookup_key={key}")).await;
        price
    };
    let starter = lookup(4_900, "plan_starter_m").await;
    lookup(39_900, "plan_growth_m").await;
    let form = format!("customer={customer}&items[0][price]={starter}");
    let subscription = id(&server.post("/v1/subscriptions", &form).await);
    let acme = json!({"id": "org_acme", "billingId": customer});
    call(&server, Method::POST, "/customers", acme, &[KEY]).await;
    let preview = json!({"customerId": "org_acme", "planId": "growth", "billingPeriod": "MONTHLY", "unitQuantity": 1,
        "scheduleStrategy": "IMMEDIATE", "startDate": "2026-01-31T09:00:00Z"});
    let ask = async |body: &Value| call(&server, Method::POST, "/subscriptions/preview", body.clone(), &[KEY]).await;
    assert_eq!(ask(&preview).await.0, 404, "it knows of no subscription");
    let told = json!({"id": subscription, "customerId": "org_acme", "planId": "starter", "billingId": subscription});
    call(&server, Method::POST, "/subscriptions", told, &[KEY]).await;
    server.move_to("2026-01-31T09:00:00Z").await;
    let (status, shown) = ask(&preview).await;
    assert_eq!(status, 200, "{shown}");
    // 15 of 31 days are left: -2,370.97 and +19,306.45 cents, each rounded on its own.
    assert_eq!(shown["data"]["immediateInvoice"]["total"].to_string(), "169.35", "{shown}");
    assert_eq!(
        (&shown["data"]["recurringInvoice"]["total"].to_string()[..], &shown["data"]["isPlanDowngrade"]),
        ("399.0", &json!(false))
    );
    fits(&shown["data"]["immediateInvoice"]);
    fits(&shown["data"]["recurringInvoice"]);
    server.sandbox.faults().stigg_surcharge(-35);
    assert_eq!(ask(&preview).await.1["data"]["immediateInvoice"]["total"].to_string(), "169.0");
    let later = json!({"customerId": "org_acme", "planId": "growth", "scheduleStrategy": "END_OF_BILLING_PERIOD"});
    assert_eq!(ask(&later).await.1["data"]["immediateInvoice"]["total"].to_string(), "0.0");
    let (status, refused) = ask(&json!({"customerId": "org_acme", "planId": "gold"})).await;
    assert_eq!((status, &refused["message"]), (404, &json!("Plan not found")));
    let still = server.get(&format!("/v1/subscriptions/{subscription}")).await;
    assert_eq!(still["items"]["data"][0]["price"]["id"], starter);
    assert_eq!(server.find("/v1/invoices", &format!("customer={customer}")).await["data"].as_array().unwrap().len(), 1);
}
