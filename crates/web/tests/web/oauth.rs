//! The token endpoint as libraries of others speak to it, and what its tokens open.

use serde_json::{Value, json};
use tollgate_engine::testing::OPERATOR_KEY;

use crate::server::{Reply, Server};

const CODE_GRANT: &str = "urn:tollgate:oauth:grant-type:activation-code";

async fn org(server: &Server, name: &str) -> String {
    let org_id = format!("org_{name}");
    let body = json!({"orgId": org_id, "name": name, "ownerUserId": "user_1"});
    server.operate("/api/orgs.create", &body).await;
    org_id
}

async fn form(server: &Server, path: &str, pairs: &[(&str, &str)], key: Option<&str>) -> Reply {
    let coded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let body: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", coded(value))).collect();
    let request = server.client.post(format!("{}{path}", server.base));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"));
    server.send(crate::server::with_key(request, key)).await
}

async fn code(server: &Server, org_id: &str) -> String {
    let made =
        server.operate("/api/activation/codes.create", &json!({"orgId": org_id, "siteDomain": "Shop.example"})).await;
    made["code"].as_str().unwrap().to_owned()
}

async fn activated(server: &Server, org_id: &str) -> Value {
    let code = code(server, org_id).await;
    let pairs = [("grant_type", CODE_GRANT), ("code", &code), ("site_url", "https://shop.example/")];
    let reply = form(server, "/oauth/token", &pairs, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn a_site_activates_refreshes_and_is_shut_off() {
    let server = Server::start("a_site_activates").await;
    let org_id = org(&server, "acme").await;
    let first = activated(&server, &org_id).await;
    assert_eq!((text(&first, "token_type"), first["expires_in"].as_u64()), ("Bearer", Some(600)));
    let access = text(&first, "access_token");
    for (path, body) in [
        ("/api/quota/check", json!({"metric": "api_call"})),
        ("/api/usage/record", json!({"metric": "api_call", "value": 1, "request_id": "r1"})),
        ("/v1/gate/default", json!({})),
    ] {
        let reply = server.post(path, Some(access), &body).await;
        assert_eq!(reply.status, 402, "let in, and told that this org has no plan: {path} {}", reply.text);
    }
    assert_eq!(server.get("/api/keys.list", Some(access)).await.status, 403);
    let other =
        server.post("/api/quota/check", Some(access), &json!({"orgId": "org_other", "metric": "api_call"})).await;
    assert_eq!(other.status, 404);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", text(&first, "refresh_token"))];
    let second = form(&server, "/oauth/token", &refresh, None).await.json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let copy = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&second, "refresh_token")),
        ("site_url", "staging.example"),
    ];
    let reply = form(&server, "/oauth/token", &copy, None).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("invalid_grant")));
    let listed = server.get(&format!("/api/activation/sites.list?orgId={org_id}"), Some(OPERATOR_KEY)).await.json();
    assert_eq!(listed["data"][0]["domain"], "shop.example");
    let site = json!({"orgId": org_id, "siteId": second["site_id"]});
    server.operate("/api/activation/sites.revoke", &site).await;
    let reply =
        server.post("/api/quota/check", Some(text(&second, "access_token")), &json!({"metric": "api_call"})).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn an_org_key_gets_a_short_lived_stand_in() {
    let server = Server::start("an_org_key_gets").await;
    let org_id = org(&server, "acme").await;
    let key = server.operate("/api/keys.create", &json!({"orgId": org_id, "name": "k"})).await;
    let (secret, key_id) = (text(&key, "secret"), text(&key, "keyId"));
    let grant = ("grant_type", "client_credentials");
    let posted = [grant, ("client_id", key_id), ("client_secret", secret), ("scope", "quota:check")];
    let told = form(&server, "/oauth/token", &posted, None).await.json();
    assert_eq!((text(&told, "scope"), told.get("refresh_token")), ("quota:check", None));
    let access = text(&told, "access_token");
    assert_eq!(server.post("/api/quota/check", Some(access), &json!({"metric": "api_call"})).await.status, 402);
    let record = json!({"metric": "api_call", "value": 1, "request_id": "r"});
    assert_eq!(server.post("/api/usage/record", Some(access), &record).await.status, 403);
    assert_eq!(form(&server, "/oauth/token", &[grant], Some(secret)).await.status, 200);
    let basic = server.client.post(format!("{}/oauth/token", server.base)).basic_auth(key_id, Some(secret));
    let basic = basic.header("content-type", "application/x-www-form-urlencoded").body("grant_type=client_credentials");
    assert_eq!(server.send(basic).await.status, 200);
    for (pairs, status, error) in [
        (vec![grant], 401, "invalid_client"),
        (vec![grant, ("client_secret", "tg_test_no")], 401, "invalid_client"),
        (vec![grant, ("client_secret", access)], 400, "unauthorized_client"),
        (vec![grant, ("client_secret", secret), ("scope", "org:admin")], 400, "invalid_scope"),
        (vec![("grant_type", "password")], 400, "unsupported_grant_type"),
        (vec![], 400, "invalid_request"),
        (vec![grant, grant], 400, "invalid_request"),
        (vec![("grant_type", CODE_GRANT)], 400, "invalid_request"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "tgr_no")], 400, "invalid_grant"),
    ] {
        let reply = form(&server, "/oauth/token", &pairs, None).await;
        assert_eq!((reply.status, reply.json()["error"].as_str()), (status, Some(error)), "{pairs:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("www-authenticate").is_some(), status == 401);
    }
    server.operate("/api/keys.revoke", &json!({"orgId": org_id, "keyId": key_id})).await;
    assert_eq!(server.post("/api/quota/check", Some(access), &json!({"metric": "api_call"})).await.status, 401);
}

#[tokio::test]
async fn tokens_are_asked_about_and_revoked_in_the_words_of_the_standards() {
    let server = Server::start("tokens_are_asked_about").await;
    let org_id = org(&server, "acme").await;
    let granted = activated(&server, &org_id).await;
    let ask =
        async |token: &str| form(&server, "/oauth/introspect", &[("token", token)], Some(OPERATOR_KEY)).await.json();
    let told = ask(text(&granted, "access_token")).await;
    assert_eq!((told["active"].as_bool(), told["site"].as_str()), (Some(true), Some("shop.example")));
    assert_eq!(told["org"].as_str(), Some(org_id.as_str()));
    let told = ask(text(&granted, "refresh_token")).await;
    assert_eq!((told["active"].as_bool(), told["token_type"].as_str()), (Some(true), Some("refresh_token")));
    assert_eq!(ask("nonsense").await, json!({"active": false}));
    assert_eq!(form(&server, "/oauth/introspect", &[("token", "x")], None).await.status, 401);
    for token in [text(&granted, "refresh_token"), "nonsense"] {
        let reply = form(&server, "/oauth/revoke", &[("token", token)], None).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    }
    for name in ["refresh_token", "access_token"] {
        assert_eq!(ask(text(&granted, name)).await, json!({"active": false}), "{name}");
    }
}

#[tokio::test]
async fn a_message_of_clerk_without_its_signature_is_refused() {
    let server = Server::start("a_message_of_clerk").await;
    for path in ["/api/webhooks/clerk.receive", "/api/webhooks/clerk/receive", "/api/webhooks/clerk"] {
        let reply = server
            .post(path, None, &json!({"object": "event", "type": "user.created", "data": {"id": "user_1"}}))
            .await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_signature"), "{path}");
    }
}

#[tokio::test]
async fn the_operator_lets_the_next_key_sign() {
    let server = Server::start("the_operator_lets").await;
    let before = server.get("/.well-known/jwks.json", None).await.json();
    let told = server.operate("/api/admin/signing-keys.rotate", &json!({})).await;
    assert!(text(&told, "signsFrom").ends_with('Z'));
    assert_eq!(server.get("/.well-known/jwks.json", None).await.json(), before, "what is published stays");
    assert_eq!(server.operate("/api/admin/signing-keys.rotate", &json!({})).await, told);
}

#[tokio::test]
async fn the_server_says_what_it_can_and_shows_its_public_keys() {
    let server = Server::start("the_server_says").await;
    let told = server.get("/.well-known/oauth-authorization-server", None).await.json();
    let issuer = text(&told, "issuer");
    assert_eq!(text(&told, "jwks_uri"), format!("{issuer}/.well-known/jwks.json"));
    assert_eq!(text(&told, "token_endpoint"), format!("{issuer}/oauth/token"));
    let keys = server.get("/.well-known/jwks.json", None).await;
    assert_eq!(keys.header("cache-control"), Some("public, max-age=300"));
    let keys = keys.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!((text(key, "kty"), text(key, "alg"), text(key, "use")), ("OKP", "EdDSA", "sig"));
        assert_eq!(key.get("d"), None, "never the private half");
    }
}
