//! The envelope, the headers of every answer, and the documentation.

use tollgate_engine::testing::OPERATOR_KEY;

use crate::server::Server;

#[tokio::test]
async fn an_unmatched_route_is_an_enveloped_404() {
    let server = Server::start("an_unmatched_route").await;
    for path in ["/nothing", "/api/", "/api/orgs.create/x", "/docs/errors/none", "/%ff"] {
        let reply = server.get(path, None).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{path}");
        assert!(reply.header("x-request-id").unwrap().starts_with("req_"));
        assert!(reply.header("server-timing").unwrap().starts_with("auth;dur="));
    }
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let server = Server::start("a_wrong_method").await;
    let reply = server.get("/api/quota/deny-envelope.example", Some(OPERATOR_KEY)).await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(reply.header("allow"), Some("POST"));
}

#[tokio::test]
async fn the_callers_request_id_comes_back_in_header_and_body() {
    let server = Server::start("request_id").await;
    let request = server.client.get(format!("{}/metrics", server.base)).header("x-request-id", "mine-1");
    let reply = server.send(request).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("x-request-id"), Some("mine-1"));
    assert_eq!(reply.json()["error"]["requestId"], "mine-1");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"tollgate\""));
}

#[tokio::test]
async fn an_error_can_be_asked_for_as_a_problem_document() {
    let server = Server::start("problem").await;
    let request = server.client.get(format!("{}/metrics", server.base)).header("accept", "application/problem+json");
    let reply = server.send(request).await;
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["code"], "unauthorized");
    assert_eq!(reply.json()["status"], 401);
}

#[tokio::test]
async fn every_error_code_has_a_page() {
    let server = Server::start("error_pages").await;
    let list = server.get("/docs/errors", None).await;
    for doc in tollgate_web::errors::CATALOG {
        let reply = server.get(&format!("/docs/errors/{}", doc.code), None).await;
        assert_eq!(reply.status, 200, "{}", doc.code);
        assert!(
            reply.text.contains("<h2>Cause</h2>") && reply.text.contains(&format!("<code>{}</code>", doc.code)),
            "{}",
            doc.code
        );
        assert!(list.text.contains(doc.code));
    }
}

#[tokio::test]
async fn the_api_browser_needs_nothing_from_elsewhere() {
    let server = Server::start("docs").await;
    let reply = server.get("/docs", None).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text.contains("/api/quota/deny-envelope.example"));
    assert!(!reply.text.contains("<script") && !reply.text.contains("src=\"http"));
    assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn the_example_denial_is_the_contracts() {
    let server = Server::start("deny_example").await;
    let request =
        server.client.post(format!("{}/api/quota/deny-envelope.example", server.base)).header("x-request-id", "r");
    let reply = server.send(request).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.header("retry-after"), Some("86400"));
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert_eq!(reply.header("ratelimit-policy"), Some("\"api_call\";q=10000;w=2678400"));
    assert_eq!(reply.header("ratelimit"), Some("\"api_call\";r=0;t=86400"));
    let expected = concat!(
        r#"{"ok":false,"data":{"allow":false,"remaining":0,"metric":"api_call","periodKey":"2026-01","resetAt":"2026-02-15T09:00:00Z"},"#,
        r#""error":{"code":"quota_exceeded","message":"Acme used 10000 of 10000 api_call. Resets 2026-02-15T09:00:00Z.","#,
        r#""details":{"included":10000,"granted":0,"used":10000,"held":0,"requested":1,"options":["#,
        r#"{"action":"upgrade","planCode":"growth","amount":39900,"currency":"usd","url":"http://tollgate.test/docs#post-api-plans-upgrade.now"},"#,
        r#"{"action":"wait","at":"2026-02-15T09:00:00Z"}]},"docUrl":"/docs/errors/quota_exceeded","requestId":"r"}}"#,
    );
    assert_eq!(reply.text, expected);
}
