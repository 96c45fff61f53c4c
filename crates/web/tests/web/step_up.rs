//! Dangerous acts ask people for a fresh proof of who they are, and orgs may ask for a second factor; keys are asked for neither.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_engine::db::Kind;
use tollgate_engine::testing::{OPERATOR_KEY, TestEngine};
use tollgate_rules::access::{Role, Scope};
use tollgate_web::Mode;

use crate::clerk::{self, Clerk, Version};
use crate::people::person;
use crate::server::{Reply, Server};

fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

fn step_up() -> (u16, String) {
    (403, "step_up_required".to_owned())
}

async fn org(server: &Server) {
    server.operate("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1"})).await;
}

async fn admin_key(server: &Server) -> String {
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let made = server.operate("/api/keys.create", &json!({"orgId": "org_acme", "name": "k", "scopes": scopes})).await;
    made["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_stale_session_reads_and_works_but_hands_out_and_takes_away_nothing() {
    // Every proof is too old at once.
    let stale = |settings: &mut tollgate_engine::Settings| settings.limits.people.step_up_within = Duration::ZERO;
    let engine = TestEngine::open_with(Kind::Sqlite, "stale", stale).await.unwrap();
    let server = Server::start_at(engine, Mode::Serve, |_, _| {}).await;
    org(&server).await;
    let key = admin_key(&server).await;
    let owner = person(&server, "ann@example.com").await;
    server.engine.member("org_acme", &owner.user_id, Role::Owner).await;
    server.engine.member("org_acme", "user_mate", Role::Member).await;
    let mate = |role: &str| json!({"userId": "user_mate", "role": role});
    for (path, body) in [
        ("/api/members.change-role", mate("admin")),
        ("/api/members.remove", json!({"userId": "user_mate"})),
        ("/api/members.transfer", json!({"userId": "user_mate"})),
        ("/api/keys.create", json!({"name": "k"})),
        ("/api/keys.rotate", json!({"keyId": "key_1"})),
        ("/api/keys.revoke", json!({"keyId": "key_1"})),
        ("/api/orgs.delete", json!({})),
        ("/api/orgs.update", json!({"mfaRequired": false})),
        ("/api/auth/delete", json!({})),
        ("/api/auth/totp.enroll", json!({})),
    ] {
        assert_eq!(told(&server.post(path, Some(&owner.access), &body).await), step_up(), "{path}");
    }
    assert_eq!(told(&server.get("/api/orgs.export", Some(&owner.access)).await), step_up());
    for path in ["/api/members", "/api/keys.list", "/api/orgs.get", "/api/auth/me", "/api/auth/export"] {
        assert_eq!(server.get(path, Some(&owner.access)).await.status, 200, "{path}");
    }
    let renamed = server.post("/api/orgs.update", Some(&owner.access), &json!({"name": "Acme Two"})).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    for credential in [key.as_str(), OPERATOR_KEY] {
        let body = json!({"orgId": "org_acme", "userId": "user_mate", "role": "billing"});
        let changed = server.post("/api/members.change-role", Some(credential), &body).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }
}

#[tokio::test]
async fn an_operator_who_is_a_person_moves_money_only_with_a_fresh_proof() {
    let clerk = Clerk::start().await;
    let identity = clerk.identity();
    let engine = TestEngine::open_with(Kind::Sqlite, "operator_money", |settings| settings.identity = identity).await;
    let server = Server::start_at(engine.unwrap(), Mode::Serve, |_, _| {}).await;
    org(&server).await;
    let now = server.engine.clock().wall.now().as_micros() / 1_000_000;
    let operator = |minutes: Value| {
        let mut claims = clerk::session(Version::Two, clerk::OPERATOR, "org_acme", now);
        claims["metadata"] = json!({"tollgate_operator": true});
        claims["fva"] = minutes;
        clerk.sign(&claims)
    };
    let grant = json!({"orgId": "org_acme", "metric": "api_call", "units": 5, "reason": "sorry", "permanent": true});
    let routes = ["credits.grant", "refunds.create", "credit-notes.create", "coupons.create", "promotions.create"];
    for stale in [json!([11, -1]), json!([0, 11]), json!([-1, -1]), Value::Null] {
        let token = operator(stale.clone());
        for route in routes.into_iter().chain(["grants.create", "overrides.set"]) {
            let reply = server.post(&format!("/api/admin/{route}"), Some(&token), &grant).await;
            assert_eq!(told(&reply), step_up(), "{route} with {stale}");
        }
        assert_eq!(server.get("/api/admin/grants.list", Some(&token)).await.status, 200, "who is stale may read");
        assert_eq!(server.get("/api/admin/orgs.list", Some(&token)).await.status, 200);
    }
    for (name, credential) in
        [("fresh", operator(json!([2, -1]))), ("both", operator(json!([2, 3]))), ("key", OPERATOR_KEY.to_owned())]
    {
        for route in routes.into_iter().chain(["grants.create", "overrides.set"]) {
            let reply = server.post(&format!("/api/admin/{route}"), Some(&credential), &json!({"nothing": 1})).await;
            assert_eq!(told(&reply), (422, "validation_failed".to_owned()), "{route}, {name}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn an_org_that_asks_for_a_second_factor_lets_in_only_who_gave_one() {
    let clerk = Clerk::start().await;
    let identity = clerk.identity();
    let engine = TestEngine::open_with(Kind::Sqlite, "mfa", |settings| settings.identity = identity).await;
    let server = Server::start_at(engine.unwrap(), Mode::Serve, |_, _| {}).await;
    org(&server).await;
    let key = admin_key(&server).await;
    server.engine.member("org_acme", "user_owner", Role::Owner).await;
    let now = server.engine.clock().wall.now().as_micros() / 1_000_000;
    let owner = |minutes: Value| {
        let mut claims = clerk::session(Version::Two, "user_owner", "org_acme", now);
        claims["fva"] = minutes;
        clerk.sign(&claims)
    };
    let (one, both) = (owner(json!([0, -1])), owner(json!([0, 0])));
    let wanted = |on: bool| json!({"orgId": "org_acme", "mfaRequired": on});
    let refused = server.post("/api/orgs.update", Some(&one), &wanted(true)).await;
    assert_eq!(told(&refused), (403, "mfa_required".to_owned()), "nobody shuts themselves out");
    let by_key = server.post("/api/orgs.update", Some(&key), &wanted(true)).await;
    assert_eq!(told(&by_key), (403, "forbidden".to_owned()), "{}", by_key.text);
    let set = server.post("/api/orgs.update", Some(&both), &wanted(true)).await;
    assert_eq!((set.status, &set.json()["data"]["mfaRequired"]), (200, &json!(true)), "{}", set.text);
    for path in ["/api/orgs.get", "/api/members", "/api/me/entitlements.read"] {
        assert_eq!(told(&server.get(path, Some(&one)).await), (403, "mfa_required".to_owned()), "{path}");
        assert_eq!(server.get(path, Some(&both)).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/api/orgs.get", Some(&key)).await.status, 200, "a key has no second factor to give");
    assert_eq!(server.get("/api/auth/me", Some(&one)).await.status, 200, "what is one's own stays open");
    server.operate("/api/orgs.update", &wanted(false)).await;
    assert_eq!(server.get("/api/orgs.get", Some(&one)).await.status, 200);
}
