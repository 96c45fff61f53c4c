//! The Stigg stand-in.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tollgate_sandbox::Failure;

use super::harness::Server;

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
