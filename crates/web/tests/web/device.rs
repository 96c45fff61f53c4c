//! The device grant over HTTP: a plugin waits, a member approves on our page, the plugin goes on.

use serde_json::{Value, json};

use crate::server::{Reply, Server};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const PASSWORD: &str = "a long walk by the sea";

async fn begin(server: &Server) -> Value {
    let reply = server.post("/oauth/device_authorization", None, &json!({"site_url": "https://shop.example"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

async fn poll(server: &Server, begun: &Value) -> Reply {
    server.post("/oauth/token", None, &json!({"grant_type": GRANT, "device_code": begun["device_code"]})).await
}

fn error(reply: &Reply) -> String {
    reply.json()["error"].as_str().unwrap_or_default().to_owned()
}

/// A form of the page, as a browser sends it.
async fn submit(server: &Server, cookie: Option<&str>, pairs: &[(&str, &str)], from: &str) -> Reply {
    let coded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let body: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", coded(value))).collect();
    let mut request = server.client.post(format!("{}/device", server.base)).body(body.join("&"));
    request = request.header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", from);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    server.send(request).await
}

async fn page(server: &Server, path: &str, cookie: &str) -> Reply {
    let request = server.client.get(format!("{}{path}", server.base)).header("cookie", cookie);
    server.send(request).await
}

/// What stands in a hidden field of the page.
fn hidden(reply: &Reply, name: &str) -> String {
    let marked = format!("name=\"{name}\" value=\"");
    let from = reply.text.find(&marked).unwrap_or_else(|| panic!("no {name} in {}", reply.text)) + marked.len();
    reply.text[from..].split('"').next().unwrap().to_owned()
}

/// Somebody with an account who owns an org; the code of their letter is read from the mail folder.
async fn owner(server: &Server) {
    let sign_up = json!({"email": "ann@acme.example", "password": PASSWORD, "name": "Ann"});
    assert_eq!(server.post("/api/auth/sign-up", None, &sign_up).await.status, 200);
    let code = server.letter_code("ann@acme.example").await;
    let verified = server.post("/api/auth/verify-email", None, &json!({"code": code})).await.json();
    let user_id = verified["data"]["userId"].as_str().unwrap().to_owned();
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme <b>", "ownerUserId": user_id})).await;
}

async fn signed_in(server: &Server, user_code: &str) -> String {
    let form = [("step", "sign-in"), ("user_code", user_code), ("email", "ann@acme.example"), ("password", PASSWORD)];
    let reply = submit(server, None, &form, "same-origin").await;
    assert_eq!(reply.status, 303, "{}", reply.text);
    assert_eq!(reply.header("location"), Some(format!("/device?user_code={user_code}").as_str()));
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_member_approves_a_plugin_on_the_page() {
    let server = Server::start("a_member_approves").await;
    owner(&server).await;
    let begun = begin(&server).await;
    let user_code = begun["user_code"].as_str().unwrap();
    assert_eq!(
        begun["verification_uri_complete"],
        format!("{}?user_code={user_code}", begun["verification_uri"].as_str().unwrap())
    );
    assert_eq!((begun["interval"].as_u64(), begun["expires_in"].as_u64()), (Some(5), Some(600)));
    assert_eq!(error(&poll(&server, &begun).await), "authorization_pending");
    assert_eq!(error(&poll(&server, &begun).await), "slow_down");
    let open = server.get(&format!("/device?user_code={user_code}"), None).await;
    assert!(open.status == 200 && open.text.contains("Sign in first"), "{}", open.text);
    assert!(!open.text.contains("shop.example"), "who is not signed in learns nothing");
    let cookie = signed_in(&server, user_code).await;
    let shown = page(&server, &format!("/device?user_code={user_code}"), &cookie).await;
    assert!(shown.text.contains("shop.example") && shown.text.contains("127.0.0.1"), "{}", shown.text);
    assert!(shown.text.contains("Acme &#60;b&#62;"), "names are escaped: {}", shown.text);
    let csrf = hidden(&shown, "csrf");
    let decide = [("csrf", csrf.as_str()), ("user_code", user_code), ("org_id", "org_acme"), ("decision", "approve")];
    let forged = [("csrf", "0"), ("user_code", user_code), ("org_id", "org_acme"), ("decision", "approve")];
    assert_eq!(submit(&server, Some(&cookie), &forged, "same-origin").await.status, 403);
    assert_eq!(submit(&server, Some(&cookie), &decide, "cross-site").await.status, 403);
    let foreign = [("csrf", csrf.as_str()), ("user_code", user_code), ("org_id", "org_other"), ("decision", "approve")];
    assert_eq!(submit(&server, Some(&cookie), &foreign, "same-origin").await.status, 404);
    let done = submit(&server, Some(&cookie), &decide, "same-origin").await;
    assert!(done.status == 200 && done.text.contains("is let in"), "{}", done.text);
    let granted = poll(&server, &begun).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let access = granted.json()["access_token"].as_str().unwrap().to_owned();
    let asked = server.post("/api/quota/check", Some(&access), &json!({"metric": "api_call"})).await;
    assert_eq!(asked.status, 402, "let in, and told that this org has no plan: {}", asked.text);
    assert_eq!(error(&poll(&server, &begun).await), "invalid_grant");
}

#[tokio::test]
async fn pages_of_ones_own_approve_by_the_api() {
    let server = Server::start("pages_of_ones_own").await;
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "u"})).await;
    let begun = begin(&server).await;
    let said = json!({"orgId": "org_acme", "userCode": begun["user_code"]});
    let found = server.operate("/api/activation/devices.find", &said).await;
    assert_eq!((found["domain"].as_str(), found["requestedFrom"].as_str()), (Some("shop.example"), Some("127.0.0.1")));
    let said = json!({"orgId": "org_acme", "userCode": begun["user_code"], "approve": false});
    assert_eq!(server.operate("/api/activation/devices.decide", &said).await["status"], "denied");
    assert_eq!(error(&poll(&server, &begun).await), "access_denied");
    let guess = json!({"orgId": "org_acme", "userCode": "BCDF-GHJK", "approve": true});
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let key = Some(tollgate_engine::testing::OPERATOR_KEY);
        statuses.push(server.post("/api/activation/devices.decide", key, &guess).await.status);
    }
    assert_eq!(statuses, [404, 404, 404, 404, 404, 429], "codes are not found by trying");
    let told = server.get("/.well-known/oauth-authorization-server", None).await.json();
    assert!(told["device_authorization_endpoint"].as_str().unwrap().ends_with("/oauth/device_authorization"));
    assert!(told["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)));
    let wrong = server.post("/oauth/device_authorization", None, &json!({"site_url": "127.0.0.1"})).await;
    assert_eq!((wrong.status, error(&wrong).as_str()), (400, "invalid_request"));
    let more =
        server.post("/oauth/device_authorization", None, &json!({"site_url": "a.example", "scope": "org:admin"})).await;
    assert_eq!((more.status, error(&more).as_str()), (400, "invalid_scope"));
}
