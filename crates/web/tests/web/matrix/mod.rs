//! Every route of the OpenAPI document with every kind of credential: who may, is as declared; a foreign org, and what belongs to
//! one, looks exactly like what is not there.

mod foreign;
mod objects;
mod operations;
mod samples;

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_engine::db::Kind;
use tollgate_engine::testing::{OPERATOR_KEY, START, TestEngine};
use tollgate_rules::access::{Role, Scope};
use tollgate_web::Mode;

use self::operations::{Carried, Operation, Standing, Who, operations};
use crate::clerk::{self, Clerk, Version};
use crate::people::{self, Person};
use crate::server::Server;

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

/// Somebody with this role in `org_own`, signed in twice.
async fn member(server: &Server, role: Role) -> Person {
    let person = people::person(server, &format!("{role}@example.com")).await;
    server.engine.member("org_own", &person.user_id, role).await;
    person
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

/// Everybody walks; everything that was not as declared is told at once.
async fn all_as_declared(server: &Server, everybody: &[Who], what: &str) {
    let operations: Vec<Operation> = operations();
    let (mut right, mut wrong) = (0, Vec::new());
    for who in everybody {
        let walked = who.walk(server, &operations).await;
        right += walked.0;
        wrong.extend(walked.1);
    }
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), right, wrong.join("\n"));
    println!(
        "PROOF: {what}: {} operations, {} credentials, {right} calls, all as declared",
        operations.len(),
        everybody.len()
    );
}

#[tokio::test]
async fn every_route_lets_in_whom_it_declares_and_nobody_else() {
    let server = Server::start("matrix").await;
    org(&server, "own").await;
    let mut everybody = keys(&server).await;
    everybody.extend(tokens(&server).await);
    everybody.extend(members(&server).await);
    all_as_declared(&server, &everybody, "the matrix with built-in accounts").await;
}

/// The operator's key, each scope's, all scopes'; and keys that are none (any more).
async fn keys(server: &Server) -> Vec<Who> {
    let (revoked, revoked_id) = key(server, "org_own", Scope::ALL).await;
    server.operate("/api/keys.revoke", &json!({"orgId": "org_own", "keyId": revoked_id})).await;
    let expired = expired_key(server, "org_own").await;
    let nobody = |name: &str, secret: &str| Who::bearer(name, secret, Standing::Nobody);
    let mut some = vec![
        Who { name: "nobody".to_owned(), carried: Carried::Nothing, standing: Standing::Nobody },
        nobody("garbage", "garbage"),
        nobody("an unknown key", "tg_test_0000000000000000000000000000000000"),
        nobody("an unknown operator key", "tgo_0000000000000000000000000000000000000000000000"),
        nobody("a revoked key", &revoked),
        nobody("an expired key", &expired),
        Who::bearer("the operator", OPERATOR_KEY, Standing::Operator),
    ];
    for scope in Scope::ALL {
        let standing = Standing::Scopes(vec![*scope]);
        some.push(Who::bearer(format!("a key with {scope}"), key(server, "org_own", &[*scope]).await.0, standing));
    }
    let all = key(server, "org_own", Scope::ALL).await.0;
    some.push(Who::bearer("a key with all scopes", all, Standing::Scopes(Scope::ALL.to_vec())));
    some
}

/// Tokens of sites and stand-ins of keys; and what only looks like a token.
async fn tokens(server: &Server) -> Vec<Who> {
    let (all, _) = key(server, "org_own", Scope::ALL).await;
    let (gone, gone_id) = key(server, "org_own", Scope::ALL).await;
    let of_gone = stand_in(server, &gone, None).await;
    server.operate("/api/keys.revoke", &json!({"orgId": "org_own", "keyId": gone_id})).await;
    let site = site_tokens(server, "org_own").await;
    let nobody = |name: &str, secret: &str| Who::bearer(name, secret, Standing::Nobody);
    let scopes = |scopes: &[Scope]| Standing::Scopes(scopes.to_vec());
    vec![
        nobody("an unsigned token", UNSIGNED),
        nobody("a token of another issuer and audience", FOREIGN),
        nobody("a token of another server's keys", &elsewhere().await),
        nobody("a site's refresh token", &site.refresh),
        nobody("a site's revoked token", &site.revoked),
        nobody("the token of a revoked key", &of_gone),
        Who::bearer("a site", site.access, scopes(Scope::DEFAULT)),
        Who::bearer("an org's token", stand_in(server, &all, None).await, scopes(Scope::ALL)),
        Who::bearer(
            "an org's narrow token",
            stand_in(server, &all, Some("quota:check")).await,
            scopes(&[Scope::QuotaCheck]),
        ),
    ]
}

/// A token for the same audience by the same issuer's name, signed with keys that are not this server's.
async fn elsewhere() -> String {
    let other = Server::start("matrix_elsewhere").await;
    org(&other, "own").await;
    let (all, _) = key(&other, "org_own", Scope::ALL).await;
    stand_in(&other, &all, None).await
}

/// Members of each role, by cookie and by token; and sessions that are none (any more).
async fn members(server: &Server) -> Vec<Who> {
    let mut some = Vec::new();
    for role in Role::ALL {
        let person = member(server, *role).await;
        let standing = Standing::Member(*role);
        some.push(Who::bearer(format!("{role} by token"), &person.access, standing.clone()));
        some.push(Who::cookie(format!("{role} by cookie"), &person.cookie, standing));
        some.push(Who::bearer(format!("{role}'s refresh token"), &person.refresh, Standing::Nobody));
        let secret = person.cookie.split_once('=').unwrap().1;
        some.push(Who::bearer(format!("{role}'s cookie as a key"), secret, Standing::Nobody));
    }
    let stranger = people::person(server, "stranger@example.com").await;
    some.push(Who::bearer("a person without an org", &stranger.access, Standing::Stranger));
    let left = people::person(server, "left@example.com").await;
    let gone = people::person(server, "gone@example.com").await;
    for (path, pair) in [
        ("/api/auth/sign-out", Carried::Cookie(left.cookie.clone())),
        ("/api/auth/sign-out", Carried::Bearer(left.access.clone())),
        ("/api/auth/delete", Carried::Bearer(gone.access.clone())),
    ] {
        let ending = operations().into_iter().find(|operation| operation.path == path).unwrap();
        assert_eq!(ending.call(server, &pair, "", &json!({})).await.status, 200, "{path}");
    }
    some.push(Who::bearer("a session of a closed account", &gone.access, Standing::Nobody));
    some.push(Who::cookie("a cookie of a closed account", &gone.cookie, Standing::Nobody));
    some.push(Who::bearer("a session that ended", &left.access, Standing::Nobody));
    some.push(Who::cookie("a cookie that ended", &left.cookie, Standing::Nobody));
    some.push(Who::cookie("a garbled cookie", "tollgate_session=garbage", Standing::Nobody));
    some
}

#[tokio::test]
async fn sessions_of_clerk_are_let_in_by_the_mirror_of_memberships_and_by_nothing_else() {
    let clerk = Clerk::start().await;
    let identity = clerk.identity();
    let engine = TestEngine::open_with(Kind::Sqlite, "matrix_clerk", |settings| settings.identity = identity).await;
    let server = Server::start_at(engine.expect("the embedded database needs nothing"), Mode::Serve, |_, _| {}).await;
    org(&server, "own").await;
    let now = server.engine.clock().wall.now().as_micros() / 1_000_000;
    let mut everybody = Vec::new();
    for version in [Version::One, Version::Two] {
        for role in Role::ALL {
            let user = format!("user_{role}");
            server.engine.member("org_own", &user, *role).await;
            let token = clerk.sign(&clerk::session(version, &user, "org_own", now));
            everybody.push(Who::bearer(format!("{role} of Clerk, claims {version:?}"), token, Standing::Member(*role)));
        }
        // The claims say admin of the org; the mirror knows no such membership.
        let mut boast = clerk::session(version, "user_nobody", "org_own", now);
        boast["org_role"] = json!("org:admin");
        everybody.push(Who::bearer(format!("no member, claims {version:?}"), clerk.sign(&boast), Standing::Stranger));
    }
    everybody.extend(operators(&clerk, now));
    everybody.extend(unbelieved(&clerk, now));
    all_as_declared(&server, &everybody, "the matrix with Clerk").await;
}

fn operators(clerk: &Clerk, now: i64) -> Vec<Who> {
    let claimed = |user: &str, claim: Value| {
        let mut claims = clerk::session(Version::Two, user, "org_own", now);
        claims["metadata"] = json!({ "tollgate_operator": claim });
        clerk.sign(&claims)
    };
    vec![
        Who::bearer("the operator of Clerk", claimed(clerk::OPERATOR, json!(true)), Standing::Operator),
        Who::bearer("listed without the claim", claimed(clerk::OPERATOR, json!("true")), Standing::Stranger),
        Who::bearer("the claim without the list", claimed("user_boast", json!(true)), Standing::Stranger),
    ]
}

/// The owner's session, once for each thing that must keep it from being believed.
fn unbelieved(clerk: &Clerk, now: i64) -> Vec<Who> {
    let with = |name: &str, value: Value| {
        let mut claims = clerk::session(Version::Two, "user_owner", "org_own", now);
        claims[name] = value;
        clerk.sign(&claims)
    };
    let nobody = |name: &str, token: String| Who::bearer(name, token, Standing::Nobody);
    vec![
        nobody("expired", with("exp", json!(now - 6))),
        nobody("not yet active", with("nbf", json!(now + 60))),
        nobody("of another page", with("azp", json!("https://evil.example"))),
        nobody("of another issuer", with("iss", json!("https://clerk.example.com.evil.example"))),
        nobody("with steps to finish", with("sts", json!("pending"))),
        nobody("for a machine", with("sub", json!("mch_1"))),
    ]
}
