//! What is not as documented is refused as documented, and never breaks anything.

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_engine::testing::OPERATOR_KEY;

use crate::server::{Reply, Server, with_key};

async fn org(server: &Server) {
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1"})).await;
}

async fn raw(server: &Server, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = server.client.post(format!("{}{path}", server.base)).header("content-type", kind).body(body);
    server.send(with_key(request, Some(OPERATOR_KEY))).await
}

fn pointers(reply: &Reply) -> Vec<String> {
    let errors = reply.json()["error"]["details"]["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|one| one["pointer"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn every_wrong_field_is_a_422_with_its_pointer() {
    let server = Server::start("wrong_fields").await;
    org(&server).await;
    let units = ["0", "-1", "1.5", "9223372036854775808", "\"1\"", "9007199254740992"];
    for wrong in units {
        let check = format!(r#"{{"orgId":"org_acme","metric":"api_call","units":{wrong}}}"#);
        let reply = raw(&server, "/api/quota/check", "application/json", check).await;
        assert_eq!((reply.status, pointers(&reply)), (422, vec!["/units".to_owned()]), "{wrong}: {}", reply.text);
        let record = format!(r#"{{"orgId":"org_acme","metric":"api_call","value":{wrong},"request_id":"r"}}"#);
        let reply = raw(&server, "/api/usage/record", "application/json", record).await;
        assert_eq!((reply.status, pointers(&reply)), (422, vec!["/value".to_owned()]), "{wrong}: {}", reply.text);
    }
    let cases = [
        (json!({"orgId": "org_acme", "metric": "api_call", "unit": 1}), "/unit"),
        (json!({"orgId": "org_acme", "metric": "API"}), "/metric"),
        (json!({"orgId": "org_acme"}), "/metric"),
        (json!({"metric": "api_call"}), "/orgId"),
        (json!([]), ""),
    ];
    for (body, pointer) in cases {
        let reply = server.post("/api/quota/check", Some(OPERATOR_KEY), &body).await;
        assert_eq!((reply.status, pointers(&reply)), (422, vec![pointer.to_owned()]), "{body}: {}", reply.text);
    }
    let events = server.get("/api/usage/events.list?orgId=org_acme", Some(OPERATOR_KEY)).await;
    assert_eq!(events.json()["data"], json!([]), "nothing was counted");
}

#[tokio::test]
async fn unreadable_huge_and_foreign_typed_bodies_have_their_own_status() {
    let server = Server::start("unreadable").await;
    org(&server).await;
    let deep = format!(r#"{{"metric":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    for body in ["", "{", "nul", "{}{}", "\u{feff}{}", deep.as_str()] {
        let reply = raw(&server, "/api/quota/check", "application/json", body.to_owned()).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "malformed"), "{body}: {}", reply.text);
    }
    let reply = raw(&server, "/api/quota/check", "application/json", b"\xff\xfe{}".to_vec()).await;
    assert_eq!(reply.status, 400);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "nonsense"] {
        let reply = raw(&server, "/api/quota/check", kind, "{}").await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"), "{kind}");
    }
    let reply = raw(&server, "/api/quota/check", "application/json", vec![b' '; (1 << 20) + 1]).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"));
    let event = json!({"orgId": "org_acme", "metric": "api_call", "value": 1, "request_id": "r"});
    let many: Vec<&Value> = std::iter::repeat_n(&event, 10_001).collect();
    let reply = raw(&server, "/v1/usage", "application/json", serde_json::to_vec(&many).unwrap()).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"), "{}", reply.text);
    let reply = raw(&server, "/v1/usage", "application/json", "[{]").await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "malformed"));
}

#[tokio::test]
async fn a_batch_names_each_wrong_event_at_its_place() {
    let server = Server::start("batch").await;
    org(&server).await;
    let lines = concat!(
        r#"{"orgId":"org_acme","metric":"api_call","value":0,"request_id":"a"}"#,
        "\nnot json\n",
        r#"{"orgId":"org_missing","metric":"api_call","value":1,"request_id":"c"}"#,
        "\n",
        r#"{"orgId":"org_acme","metric":"api_call","value":1,"request_id":"d"}"#,
    );
    let reply = raw(&server, "/v1/usage", "application/x-ndjson", lines).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let items = reply.json()["data"]["items"].as_array().cloned().unwrap();
    let told: Vec<_> = items.iter().map(|item| (item["request_id"].clone(), item["status"].clone())).collect();
    // Acme has no subscription, so its one good event is denied.
    let expected = [(json!("a"), "invalid"), (json!(null), "invalid"), (json!("c"), "invalid"), (json!("d"), "denied")];
    assert_eq!(told, expected.map(|(id, status)| (id, json!(status))));
    let codes: Vec<_> = items.iter().map(|item| item["error"]["code"].as_str().unwrap_or_default()).collect();
    assert_eq!(codes, ["validation_failed", "malformed", "not_found", "no_subscription"]);
    let event = json!({"specversion": "1.0", "id": "1", "source": "/meter", "type": "api_call", "subject": "org_acme",
        "data": {"value": 1}, "anything": {"else": true}});
    let reply = raw(&server, "/v1/usage", "application/cloudevents+json", event.to_string()).await;
    assert_eq!(reply.json()["data"]["items"][0]["status"], "denied", "{}", reply.text);
    assert_eq!(reply.json()["data"]["items"][0]["request_id"], "/meter 1");
}

/// Paths of every route, with something in the place of parameters.
fn paths() -> Vec<(String, String)> {
    let document = tollgate_web::openapi_document();
    let mut paths = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let filled = path.replace("{*path}", "a/b").replace(['{', '}'], "");
        paths.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), filled.clone())));
    }
    paths
}

#[test]
fn no_bytes_to_any_route_break_it() {
    let cases = if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { 20_000 } else { 600 };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(async {
        let server = Server::start("fuzz").await;
        org(&server).await;
        server
    });
    let paths = paths();
    let kinds = ["application/json", "application/x-ndjson", "application/cloudevents+json", "text/plain", ""];
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::sample::select(vec![
            "{\"orgId\":\"org_acme\",\"metric\":\"api_call\",\"units\":1}",
            "{\"holdId\":\"hold_1\",\"units\":1}",
            "[{\"metric\":1}]",
            "{\"orgId\":\"org_acme\",\"name\":\"x\",\"flags\":{\"a\":[1,{}]}}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        ".{0,80}".prop_map(|text: String| serde_json::json!({ "orgId": text, "eventId": text, "receipt": text })
            .to_string()
            .into_bytes()),
    ];
    let given = (0..paths.len(), 0..kinds.len(), "[ -~]{0,40}", body);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let outcome = runner.run(&given, |(route, kind, query, body)| {
        let (method, path) = &paths[route];
        let query: String =
            query.chars().map(|c| if c.is_ascii_alphanumeric() || "=&%+-_.".contains(c) { c } else { '_' }).collect();
        let request = server.client.request(method.parse().unwrap(), format!("{}{path}?{query}", server.base));
        let request = if kinds[kind].is_empty() { request } else { request.header("content-type", kinds[kind]) };
        let reply = runtime.block_on(server.send(with_key(request.body(body), Some(OPERATOR_KEY))));
        prop_assert!(reply.status < 500 || reply.status == 503, "{} {}: {}", method, path, reply.text);
        prop_assert!(reply.header("x-request-id").is_some());
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn the_document_names_every_route_the_router_answers() {
    let server = Server::start("document").await;
    let document = server.get("/openapi.json", None).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{*path}", "x").replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let request = server.client.request(method.parse().unwrap(), format!("{}{path}", server.base));
            let reply = server.send(request).await;
            let declared = methods.get(method.to_lowercase()).is_some();
            assert_eq!(reply.status != 405, declared, "{method} {path}: {}", reply.status);
        }
    }
}

#[tokio::test]
async fn a_gate_that_there_is_not_is_refused_as_every_gate_refuses() {
    let server = Server::start("unknown_gate").await;
    for (path, key) in [
        ("/v1/gate", None),
        ("/v1/gate/strict", None),
        ("/v1/gate/strict", Some(OPERATOR_KEY)),
        ("/v1/gate/strict/a/path?x=1", Some(OPERATOR_KEY)),
    ] {
        let reply = server.get(path, key).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
        assert!(reply.header("content-type").unwrap().starts_with("application/problem+json"), "{path}");
        let problem = reply.json();
        assert_eq!((&problem["status"], problem.get("ok")), (&json!(404), None), "{path}: {problem}");
    }
    assert_eq!(server.get("/v1/gates", None).await.json()["ok"], false, "beside the gate it is enveloped");
}
