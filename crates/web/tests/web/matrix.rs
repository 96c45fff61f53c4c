//! Every route of the OpenAPI document with every kind of credential: who may, is as declared; a foreign org looks like a missing one.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_engine::testing::{OPERATOR_KEY, START};
use tollgate_rules::access::{Permission, Scope, scopes_grant};

use crate::server::{Reply, Server, with_key};

struct Operation {
    method: String,
    path: String,
    permission: String,
    operator_only: bool,
}

fn operations() -> Vec<Operation> {
    let document = tollgate_web::openapi_document();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let credential = operation["x-credential"].as_str().expect("every route declares its credential");
            if operation["x-dev-only"] == true || method == "head" || method == "trace" {
                continue;
            }
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.replace("{orgId}", "org_missing").replace("{code}", "not_found").replace("{*path}", "x"),
                permission: operation["x-permission"].as_str().expect("every route declares its permission").to_owned(),
                operator_only: credential.starts_with("operator key") && !credential.contains("API key"),
            });
        }
    }
    operations
}

impl Operation {
    fn public(&self) -> bool {
        matches!(self.permission.as_str(), "public" | "signature" | "local")
    }

    async fn call(&self, server: &Server, key: Option<&str>, query: &str, body: &Value) -> Reply {
        let method = self.method.parse().unwrap();
        let request = server.client.request(method, format!("{}{}{query}", server.base, self.path));
        let request = request.header("content-type", "application/json").body(body.to_string());
        server.send(with_key(request, key)).await
    }
}

async fn org(server: &Server, name: &str) {
    let body = json!({"orgId": format!("org_{name}"), "name": name, "ownerUserId": "user_1"});
    server.operate("/api/orgs.create", &body).await;
}

async fn key(server: &Server, org: &str, scopes: &[Scope]) -> (String, String) {
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let body = json!({"orgId": org, "name": "matrix", "scopes": scopes});
    let made = server.operate("/api/keys.create", &body).await;
    (made["secret"].as_str().unwrap().to_owned(), made["keyId"].as_str().unwrap().to_owned())
}

/// `{"alg":"none"}` for this server, and a token of another issuer and audience.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiYSJ9.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjg3ODciLCJzdWIiOiJzaXRlXzEifQ.";
const FOREIGN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUiLCJhdWQiOiJ4Iiwic3ViIjoidXNlcl8xIn0.AAAA";

/// What a site got: its access token, a refresh token (which is no access token), and an access token that was revoked.
struct SiteTokens {
    access: String,
    refresh: String,
    revoked: String,
}

async fn site_tokens(server: &Server, org: &str) -> SiteTokens {
    let mut granted = Vec::new();
    for domain in ["one.example", "two.example"] {
        let code = server.operate("/api/activation/codes.create", &json!({"orgId": org, "siteDomain": domain})).await;
        let body = json!({"grant_type": "urn:tollgate:oauth:grant-type:activation-code", "code": code["code"], "site_url": domain});
        granted.push(server.post("/oauth/token", None, &body).await.json());
    }
    let text = |place: usize, name: &str| granted[place][name].as_str().unwrap().to_owned();
    let tokens = SiteTokens {
        access: text(0, "access_token"),
        refresh: text(0, "refresh_token"),
        revoked: text(1, "access_token"),
    };
    server.post("/oauth/revoke", None, &json!({"token": tokens.revoked})).await;
    tokens
}

/// An org's short-lived token.
async fn stand_in(server: &Server, key: &str, scope: Option<&str>) -> String {
    let body = json!({"grant_type": "client_credentials", "client_secret": key, "scope": scope});
    server.post("/oauth/token", None, &body).await.json()["access_token"].as_str().unwrap().to_owned()
}

/// A key with every scope whose time has run out.
async fn expired_key(server: &Server, org: &str) -> String {
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let until = START.plus(Duration::from_secs(60));
    let body = json!({"orgId": org, "name": "expired", "scopes": scopes, "expiresAt": until.to_string()});
    let secret = server.operate("/api/keys.create", &body).await["secret"].as_str().unwrap().to_owned();
    server.engine.set_now(until);
    secret
}

#[tokio::test]
async fn every_route_lets_in_whom_it_declares_and_nobody_else() {
    let server = Server::start("matrix").await;
    org(&server, "own").await;
    let (revoked, revoked_id) = key(&server, "org_own", Scope::ALL).await;
    server.operate("/api/keys.revoke", &json!({"orgId": "org_own", "keyId": revoked_id})).await;
    let expired = expired_key(&server, "org_own").await;
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        keys.push((vec![*scope], key(&server, "org_own", &[*scope]).await.0));
    }
    let all = key(&server, "org_own", Scope::ALL).await.0;
    let site = site_tokens(&server, "org_own").await;
    keys.push((Scope::DEFAULT.to_vec(), site.access));
    keys.push((Scope::ALL.to_vec(), stand_in(&server, &all, None).await));
    keys.push((vec![Scope::QuotaCheck], stand_in(&server, &all, Some("quota:check")).await));
    keys.push((Scope::ALL.to_vec(), all));
    for operation in operations() {
        let about = format!("{} {}", operation.method, operation.path);
        let unknown = "tg_test_0000000000000000000000000000000000";
        let elsewhere = [Some(site.refresh.as_str()), Some(site.revoked.as_str()), Some(UNSIGNED), Some(FOREIGN)];
        for nobody in elsewhere.into_iter().chain([
            None,
            Some("garbage"),
            Some(unknown),
            Some(revoked.as_str()),
            Some(expired.as_str()),
        ]) {
            let reply = operation.call(&server, nobody, "", &json!({})).await;
            assert_eq!(reply.status == 401, !operation.public(), "{about} with {nobody:?}: {}", reply.status);
        }
        let Some(permission) = Permission::parse(&operation.permission) else { continue };
        for (scopes, secret) in &keys {
            // A body that fits no route: whoever has the right is told so, whoever has not is refused before it is read.
            let reply = operation.call(&server, Some(secret), "", &json!({"nothing": 1})).await;
            let may = !operation.operator_only && scopes_grant(scopes, permission);
            assert_eq!(reply.status == 403, !may, "{about} with {scopes:?}: {} {}", reply.status, reply.text);
            assert_ne!(reply.status, 401, "{about}");
        }
        let reply = operation.call(&server, Some(OPERATOR_KEY), "", &json!({"nothing": 1})).await;
        assert!(!matches!(reply.status, 401 | 403), "{about} as the operator: {}", reply.text);
    }
}

#[tokio::test]
async fn a_foreign_org_looks_exactly_like_a_missing_one() {
    let server = Server::start("foreign").await;
    org(&server, "own").await;
    org(&server, "foreign").await;
    let (secret, _) = key(&server, "org_own", Scope::ALL).await;
    let bodies = bodies();
    let mut compared = 0;
    for operation in operations() {
        let body = bodies.iter().find(|(path, _)| operation.path == *path).map(|(_, body)| body.clone());
        let Some((query, body)) = asked(&operation, body) else { continue };
        let mut seen = Vec::new();
        for name in ["org_foreign", "org_missing"] {
            let operation = Operation { path: operation.path.replace("org_missing", name), ..clone(&operation) };
            let body = serde_json::from_str(&body.to_string().replace("ORG", name)).unwrap();
            let reply = operation.call(&server, Some(&secret), &query.replace("ORG", name), &body).await;
            seen.push(comparable(&reply));
        }
        assert_eq!(seen[0], seen[1], "{} {}", operation.method, operation.path);
        assert!(matches!(seen[0].0, 404 | 403), "{} {}: {:?}", operation.method, operation.path, seen[0]);
        the_operator_tells_them_apart(&server, &operation, &query, &body).await;
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} routes name an org");
}

/// The operator may act for every org, and is told which one there is not.
async fn the_operator_tells_them_apart(server: &Server, operation: &Operation, query: &str, body: &Value) {
    for (name, missing) in [("org_missing", true), ("org_own", false), ("org_foreign", false)] {
        let about = format!("{} {} for {name}", operation.method, operation.path);
        let operation = Operation { path: operation.path.replace("org_missing", name), ..clone(operation) };
        let body = serde_json::from_str(&body.to_string().replace("ORG", name)).unwrap();
        let reply = operation.call(server, Some(OPERATOR_KEY), &query.replace("ORG", name), &body).await;
        assert!(!matches!(reply.status, 401 | 403), "{about}: {}", reply.text);
        if missing {
            assert_eq!(reply.status, 404, "{about}: {}", reply.text);
        }
    }
}

fn clone(operation: &Operation) -> Operation {
    Operation {
        method: operation.method.clone(),
        path: operation.path.clone(),
        permission: operation.permission.clone(),
        operator_only: operation.operator_only,
    }
}

/// The query and body that name an org, where the route takes one.
fn asked(operation: &Operation, body: Option<Value>) -> Option<(String, Value)> {
    if operation.path.ends_with("org_missing") {
        return Some((String::new(), json!({})));
    }
    match body {
        Some(body) => Some((String::new(), body)),
        None if operation.path == "/api/usage/history" => {
            Some(("?orgId=ORG&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z".to_owned(), json!({})))
        }
        None if operation.path == "/api/operations.get" => Some(("?orgId=ORG&operationId=op_1".to_owned(), json!({}))),
        None => {
            let listed = ["/api/orgs.get", "/api/keys.list", "/api/invoices.list", "/api/me/entitlements.read"];
            let more = ["/api/usage/events.list", "/api/usage/holds.list", "/api/activation/sites.list"];
            let known = listed.contains(&operation.path.as_str()) || more.contains(&operation.path.as_str());
            known.then(|| ("?orgId=ORG".to_owned(), json!({})))
        }
    }
}

fn bodies() -> Vec<(&'static str, Value)> {
    vec![
        ("/api/orgs.update", json!({"orgId": "ORG", "name": "x"})),
        ("/api/keys.create", json!({"orgId": "ORG", "name": "x"})),
        ("/api/activation/codes.create", json!({"orgId": "ORG", "siteDomain": "shop.example"})),
        ("/api/activation/sites.verify", json!({"orgId": "ORG", "siteId": "site_1"})),
        ("/api/activation/sites.revoke", json!({"orgId": "ORG", "siteId": "site_1"})),
        ("/api/keys.rotate", json!({"orgId": "ORG", "keyId": "key_1"})),
        ("/api/keys.revoke", json!({"orgId": "ORG", "keyId": "key_1"})),
        ("/api/stripe/customer.ensure", json!({"orgId": "ORG", "email": "a@example.com"})),
        ("/api/stripe/subscription.create", json!({"orgId": "ORG", "priceLookup": "plan_starter_m"})),
        ("/api/payments/setup-intent.create", json!({"orgId": "ORG"})),
        ("/api/payments/default-method.set", json!({"orgId": "ORG", "paymentMethodId": "pm_1"})),
        ("/api/plans/upgrade.now", json!({"orgId": "ORG", "newPlanCode": "growth"})),
        (
            "/api/stigg/provision",
            json!({"orgId": "ORG", "stripeCustomerId": "cus_1", "stripeSubscriptionId": "sub_1", "planCode": "starter"}),
        ),
        ("/api/quota/check", json!({"orgId": "ORG", "metric": "api_call"})),
        ("/api/usage/record", json!({"orgId": "ORG", "metric": "api_call", "value": 1, "request_id": "r"})),
        ("/api/usage/seed", json!({"orgId": "ORG"})),
        (
            "/api/usage/reserve",
            json!({"orgId": "ORG", "metric": "api_call", "units": 1, "ttlSeconds": 60, "request_id": "r"}),
        ),
    ]
}

/// Status, body and headers without what names the request itself.
fn comparable(reply: &Reply) -> (u16, Value, Vec<(String, String)>) {
    let mut body = reply.json();
    if let Some(id) = body.pointer_mut("/error/requestId") {
        *id = json!("-");
    }
    let named = |name: &str| matches!(name, "x-request-id" | "date" | "server-timing");
    let headers = reply.headers.iter().filter(|(name, _)| !named(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (reply.status, body, headers)
}
