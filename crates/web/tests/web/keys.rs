//! Orgs and keys over HTTP, and what an `Idempotency-Key` keeps.

use serde_json::json;
use tollgate_engine::testing::OPERATOR_KEY;

use crate::server::Server;

#[tokio::test]
async fn an_org_is_made_once_and_its_key_works_until_it_is_revoked() {
    let server = Server::start("org_and_key").await;
    let body = json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1"});
    let first = server.post("/api/orgs.create", Some(OPERATOR_KEY), &body).await;
    assert_eq!(first.text, r#"{"ok":true,"data":{"orgId":"org_acme","name":"Acme","ownerUserId":"user_1"}}"#);
    let again = server.post("/api/orgs/create", Some(OPERATOR_KEY), &body).await;
    assert_eq!(again.text, first.text, "the slashed alias answers the same");
    let other = json!({"orgId": "org_acme", "name": "Other", "ownerUserId": "user_1"});
    let other = server.post("/api/orgs.create", Some(OPERATOR_KEY), &other).await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));

    let key = server.operate("/api/keys.create", &json!({"orgId": "org_acme", "name": "ci"})).await;
    let secret = key["secret"].as_str().unwrap();
    assert_eq!(key["scopes"], json!(["usage:write", "quota:check", "entitlements:read"]));
    let mine = server.get("/api/orgs.get", Some(secret)).await;
    assert_eq!(mine.json()["data"]["orgId"], "org_acme");
    server.operate("/api/keys.revoke", &json!({"orgId": "org_acme", "keyId": key["keyId"]})).await;
    assert_eq!(server.get("/api/orgs.get", Some(secret)).await.status, 401);
}

#[tokio::test]
async fn a_key_is_made_with_a_slice_of_the_allowance() {
    let server = Server::start("key_with_a_slice").await;
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "u"})).await;
    let make = |quota: serde_json::Value| json!({"orgId": "org_acme", "name": "ci", "quota": quota});
    let made = server.operate("/api/keys.create", &make(json!({"api_call": 1000}))).await;
    assert_eq!(made["quota"], json!({"api_call": 1000}));
    let listed = server.get("/api/keys.list?orgId=org_acme", Some(OPERATOR_KEY)).await.json();
    let share = json!({"units": 1000, "used": 0, "held": 0, "remaining": 1000});
    assert_eq!(listed["data"][0]["quota"], json!({ "api_call": share }));
    let plain = server.operate("/api/keys.create", &json!({"orgId": "org_acme", "name": "ci"})).await;
    assert_eq!(plain.get("quota"), None, "the answer of old stays as it was");
    let wrong = [json!({"nothing_of_ours": 1}), json!({"api_call": -1}), json!({"api_call": 1.5}), json!(["api_call"])];
    for quota in wrong {
        let reply = server.post("/api/keys.create", Some(OPERATOR_KEY), &make(quota.clone())).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "validation_failed"), "{quota}: {}", reply.text);
    }
    let twice = r#"{"orgId":"org_acme","name":"ci","quota":{"api_call":1,"api_call":2}}"#;
    let request = server.client.post(format!("{}/api/keys.create", server.base)).body(twice);
    let request = request.header("content-type", "application/json");
    assert_eq!(server.send(crate::server::with_key(request, Some(OPERATOR_KEY))).await.status, 422);
}

#[tokio::test]
async fn an_idempotency_key_replays_the_first_answer_even_when_it_holds_a_secret() {
    let server = Server::start("idempotency").await;
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "u"})).await;
    let send = |name: &str| {
        let body = json!({"orgId": "org_acme", "name": name}).to_string();
        let request = server.client.post(format!("{}/api/keys.create", server.base)).body(body);
        let request = request.header("content-type", "application/json").header("idempotency-key", "once");
        server.send(crate::server::with_key(request, Some(OPERATOR_KEY)))
    };
    let first = send("ci").await;
    let second = send("ci").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!((second.text.as_str(), second.header("idempotent-replayed")), (first.text.as_str(), Some("true")));
    let other = send("another").await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let keys = server.get("/api/keys.list?orgId=org_acme", Some(OPERATOR_KEY)).await.json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
    assert_eq!(keys["meta"]["nextCursor"], serde_json::Value::Null);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let server = Server::start("pages").await;
    for number in 0..5 {
        let body = json!({"orgId": format!("org_{number}"), "name": "Acme", "ownerUserId": "u"});
        server.operate("/api/orgs.create", &body).await;
    }
    let mut path = "/api/admin/orgs.list?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = server.get(&path, Some(OPERATOR_KEY)).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|org| org["orgId"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["meta"]["nextCursor"].as_str() else { break };
        path = format!("/api/admin/orgs.list?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["org_4", "org_3", "org_2", "org_1", "org_0"]);
    for wrong in ["limit=0", "limit=201", "limit=x", "cursor=%25", "other=1"] {
        let reply = server.get(&format!("/api/admin/orgs.list?{wrong}"), Some(OPERATOR_KEY)).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "validation_failed"), "{wrong}: {}", reply.text);
    }
}
