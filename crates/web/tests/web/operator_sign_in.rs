//! Operators who sign in as people, against a provider that checks what real ones check.

use serde_json::{Value, json};
use tollgate_connectors::oidc::{Provider, Settings};
use tollgate_engine::operators::SignIn;
use tollgate_engine::testing::OPERATOR_KEY;
use tollgate_sandbox::oidc::{CLIENT_ID, CLIENT_SECRET, Provider as StandIn};
use tollgate_web::Mode;

use crate::server::{Reply, Server};

/// A server whose operators sign in at a stand-in.
async fn start(test: &str) -> (Server, StandIn) {
    start_with(test, |_| {}).await
}

async fn start_with(test: &str, change: impl FnOnce(&mut tollgate_engine::Settings)) -> (Server, StandIn) {
    let now = tollgate_engine::clock::WallClock::system().now().as_micros() / 1_000_000;
    let stand_in = StandIn::start(now).await.unwrap();
    // The client is made where the TLS provider is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = Settings {
        issuer: stand_in.issuer().to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.into()),
    };
    let provider = Provider::new(settings).unwrap();
    let sign_in = SignIn { provider, emails: vec!["ops@gate.example".to_owned()], claim: "roles.tollgate".to_owned() };
    let settings = |settings: &mut tollgate_engine::Settings| {
        settings.operator_sign_in = Some(sign_in);
        change(settings);
    };
    (Server::start_on(test, settings, (Mode::Serve, |_, _| {})).await, stand_in)
}

fn cookies(reply: &Reply) -> Vec<String> {
    let lines = reply.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned());
    lines.collect()
}

fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

async fn get(server: &Server, path: &str, cookie: Option<&str>) -> Reply {
    let mut request = server.client.get(format!("{}{path}", server.base));
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    server.send(request).await
}

/// To the provider and back: the address the browser is sent back to, and the cookie it carries.
async fn there_and_back(server: &Server, next: &str) -> (String, String) {
    let begun = get(server, &format!("/auth/operator/sign-in?next={next}"), None).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let flow = cookies(&begun).remove(0);
    assert!(flow.contains("HttpOnly") && flow.contains("SameSite=Lax") && flow.contains("Max-Age=600"), "{flow}");
    let back = server.send(server.client.get(begun.header("location").unwrap())).await;
    assert_eq!(back.status, 302, "{}", back.text);
    let back = back.header("location").unwrap().to_owned();
    let path = back.strip_prefix("http://127.0.0.1:8787").expect("the address that was registered").to_owned();
    (path, pair(&flow))
}

fn ops() -> Value {
    json!({"sub": "1", "email": "Ops@gate.example", "email_verified": true})
}

#[tokio::test]
async fn an_operator_signs_in_works_and_signs_out() {
    let (server, stand_in) = start("an_operator_signs_in").await;
    stand_in.sign_in(ops());
    let (back, flow) = there_and_back(&server, "/api/auth/operator").await;
    let signed_in = get(&server, &back, Some(&flow)).await;
    assert_eq!(
        (signed_in.status, signed_in.header("location")),
        (303, Some("/api/auth/operator")),
        "{}",
        signed_in.text
    );
    let session = cookies(&signed_in).remove(0);
    assert!(session.starts_with("tollgate_operator=tgp_") && session.contains("HttpOnly"), "{session}");
    let session = pair(&session);
    let me = get(&server, "/api/auth/operator", Some(&session)).await.json();
    assert_eq!(me["data"]["email"], "ops@gate.example");
    assert!(me["data"]["actor"].as_str().unwrap().starts_with("operator:oidc-"), "{me}");
    assert_eq!(get(&server, "/api/admin/orgs.list", Some(&session)).await.status, 200);
    let post = |path: &str, from: &str| {
        let request = server.client.post(format!("{}{path}", server.base)).header("cookie", &session);
        let request = request.header("sec-fetch-site", from).header("content-type", "application/json");
        server.send(request.body(json!({"name": "Acme", "ownerUserId": "user_1"}).to_string()))
    };
    assert_eq!(post("/api/orgs.create", "cross-site").await.code(), "cross_site", "other sites change nothing");
    assert_eq!(post("/api/orgs.create", "same-origin").await.status, 200);
    let audit = server.get("/api/admin/audit.list", Some(OPERATOR_KEY)).await.text;
    assert!(
        audit.contains("operators.sign_in") && audit.contains("operator:oidc-") && !audit.contains("@gate.example")
    );
    assert_eq!(post("/api/auth/operator/sign-out", "same-origin").await.status, 200);
    assert_eq!(get(&server, "/api/auth/operator", Some(&session)).await.status, 401);
}

#[tokio::test]
async fn a_sign_in_of_another_browser_or_person_or_answer_is_refused() {
    let (server, stand_in) = start("a_sign_in_of_another_browser").await;
    stand_in.sign_in(ops());
    let (back, flow) = there_and_back(&server, "//evil.example").await;
    assert_eq!(get(&server, &back, None).await.status, 403, "without the cookie of this sign-in");
    let (_, other) = there_and_back(&server, "").await;
    assert_eq!(get(&server, &back, Some(&other)).await.status, 403, "with the cookie of another");
    let first = get(&server, &back, Some(&flow)).await;
    assert_eq!((first.status, first.header("location")), (303, Some("/api/auth/operator")), "never to another site");
    assert_ne!(get(&server, &back, Some(&flow)).await.status, 303, "a code is good once");
    assert_eq!(get(&server, "/auth/operator/callback?error=access_denied&state=x", Some(&flow)).await.status, 403);
    for person in [
        json!({"sub": "2", "email": "eve@gate.example", "email_verified": true}),
        json!({"sub": "2", "email": "ops@gate.example", "email_verified": false}),
        json!({"sub": "2", "email": "ops@gate.example"}),
        json!({"sub": "2", "email": "ops@gate.example", "email_verified": "true"}),
        json!({"sub": "2", "roles": {"tollgate": "true"}}),
    ] {
        stand_in.sign_in(person.clone());
        let (back, flow) = there_and_back(&server, "").await;
        let refused = get(&server, &back, Some(&flow)).await;
        assert_eq!((refused.status, cookies(&refused).len()), (403, 0), "{person}");
    }
    stand_in.sign_in(json!({"sub": "3", "roles": {"tollgate": true}}));
    let (back, flow) = there_and_back(&server, "").await;
    assert_eq!(get(&server, &back, Some(&flow)).await.status, 303, "by the claim");
    stand_in.sign_in(ops());
    for forged in [
        json!({"iss": "https://evil.example"}),
        json!({"aud": "another client"}),
        json!({"aud": [CLIENT_ID, "another"]}),
        json!({"azp": "another client"}),
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"exp": 1}),
        json!({"iat": 1}),
        json!({"iat": 99_999_999_999_i64, "exp": 99_999_999_999_i64}),
        json!({"sub": ""}),
    ] {
        stand_in.forge(forged.clone());
        let (back, flow) = there_and_back(&server, "").await;
        assert_eq!(get(&server, &back, Some(&flow)).await.status, 403, "{forged}");
    }
}

#[tokio::test]
async fn without_a_provider_nobody_signs_in_as_operator() {
    let server = Server::start("without_a_provider").await;
    assert_eq!(get(&server, "/auth/operator/sign-in", None).await.status, 404);
    let secret = format!("tollgate_operator=tgp_{}", "0".repeat(70));
    assert_eq!(get(&server, "/api/auth/operator", Some(&secret)).await.status, 401);
    let told = server.get("/api/auth/operator", Some(OPERATOR_KEY)).await.json();
    assert_eq!(
        told["data"],
        json!({"actor": "operator:configured", "email": null, "authenticatedAt": null, "expiresAt": null, "formToken": null})
    );
}

/// Signs in with what follows the path; the session's cookie, or the status that refused it.
async fn signed_in(server: &Server, with: &str) -> Result<String, u16> {
    let (back, flow) = there_and_back(server, with).await;
    let reply = get(server, &back, Some(&flow)).await;
    if reply.status == 303 { Ok(pair(&cookies(&reply).remove(0))) } else { Err(reply.status) }
}

/// What an attempt to give money away comes to: refused for want of a fresh proof, or let in (and told that the body is wrong).
async fn money(server: &Server, session: &str) -> (u16, String) {
    let request = server.client.post(format!("{}/api/admin/credits.grant", server.base)).header("cookie", session);
    let request = request.header("sec-fetch-site", "same-origin").header("content-type", "application/json");
    let reply = server.send(request.body(json!({"nothing": 1}).to_string())).await;
    (reply.status, reply.code())
}

#[tokio::test]
async fn money_is_moved_only_by_whom_the_provider_has_just_asked_for_a_proof() {
    let (server, stand_in) = start("money_by_oidc").await;
    let step_up = || (403, "step_up_required".to_owned());
    let let_in = || (422, "validation_failed".to_owned());
    let now = server.engine.clock().wall.now().as_micros() / 1_000_000;
    stand_in.sign_in(ops());
    let session = signed_in(&server, "").await.unwrap();
    assert_eq!(money(&server, &session).await, step_up(), "a provider that does not say when it asked proves nothing");
    assert_eq!(get(&server, "/api/admin/orgs.list", Some(&session)).await.status, 200, "who is stale may read");
    // It has a session of an hour ago, and tells so without being asked.
    let told = |at: i64| json!({"sub": "1", "email": "ops@gate.example", "email_verified": true, "auth_time": at});
    stand_in.sign_in(told(now - 3_600));
    let session = signed_in(&server, "").await.unwrap();
    assert_eq!(money(&server, &session).await, step_up(), "signing in here is no proof by itself");
    stand_in.sign_in(told(now));
    let session = signed_in(&server, "").await.unwrap();
    assert_eq!(money(&server, &session).await, let_in());
    // Sent there to prove it anew: the session of an hour ago does not do.
    stand_in.sign_in(ops());
    stand_in.set_asked(now - 3_600);
    let session = signed_in(&server, "&fresh=true").await.unwrap();
    assert_eq!(money(&server, &session).await, let_in());
    let me = get(&server, "/api/auth/operator", Some(&session)).await.json();
    assert!(me["data"]["authenticatedAt"].is_string(), "{me}");
    for forged in [json!({"auth_time": now - 3_600}), json!({"auth_time": null}), json!({"auth_time": "now"})] {
        stand_in.forge(forged.clone());
        assert_eq!(signed_in(&server, "&fresh=true").await, Err(403), "{forged}");
    }
}

#[tokio::test]
async fn a_proof_of_an_operator_is_fresh_for_a_while_only() {
    let stale =
        |settings: &mut tollgate_engine::Settings| settings.limits.people.step_up_within = std::time::Duration::ZERO;
    let (server, stand_in) = start_with("a_proof_is_fresh_for_a_while", stale).await;
    stand_in.sign_in(ops());
    let session = signed_in(&server, "&fresh=true").await.unwrap();
    assert_eq!(money(&server, &session).await, (403, "step_up_required".to_owned()));
}
