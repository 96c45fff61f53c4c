//! Whoever guesses credentials is slowed: by account, by address, in all; and learns nothing about who has an account.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_engine::db::Kind;
use tollgate_engine::testing::{OPERATOR_KEY, TestEngine};
use tollgate_web::{Mode, Proxies};

use crate::people::{PASSWORD, account, person};
use crate::server::{Reply, Server};

const CODE_GRANT: &str = "urn:tollgate:oauth:grant-type:activation-code";

/// A server where few failures are borne: by address, and in all.
async fn strict(test: &str, by_address: u32, in_all: u32, proxies: &str) -> Server {
    let proxies: Proxies = proxies.parse().unwrap();
    let engine = TestEngine::open_with(Kind::Sqlite, test, |settings| {
        settings.limits.people.address_failures_max = by_address;
        settings.limits.people.global_failures_max = in_all;
    })
    .await;
    Server::start_at(engine.unwrap(), Mode::Serve, |state, _| state.proxies = proxies).await
}

async fn from(server: &Server, path: &str, forwarded: Option<&str>, bearer: Option<&str>, body: &Value) -> Reply {
    let request = server.client.post(format!("{}{path}", server.base)).header("content-type", "application/json");
    let request = match forwarded {
        Some(address) => request.header("x-forwarded-for", address),
        None => request,
    };
    server.send(crate::server::with_key(request, bearer).body(body.to_string())).await
}

fn wrong_password(number: u32) -> Value {
    json!({"email": format!("nobody{number}@example.com"), "password": "a wrong password here"})
}

/// Every route that takes a credential, with one that nobody has.
fn guesses() -> Vec<(&'static str, Value)> {
    let hex = "0".repeat(64);
    vec![
        ("/api/auth/sign-in", wrong_password(1)),
        ("/api/auth/verify-email", json!({"code": format!("tgv_{hex}")})),
        ("/api/auth/password.reset", json!({"code": format!("tgp_{hex}"), "password": PASSWORD})),
        ("/api/auth/refresh", json!({"refreshToken": "tgu_sess_1.0.0"})),
        ("/api/invitations/accept", json!({"code": format!("tgi_{hex}")})),
        ("/oauth/token", json!({"grant_type": "refresh_token", "refresh_token": format!("tgr_{hex}")})),
        ("/oauth/token", json!({"grant_type": "client_credentials", "client_secret": format!("tg_test_{hex}")})),
        ("/oauth/token", json!({"grant_type": CODE_GRANT, "code": "BCDF-GHJK", "site_url": "a.example"})),
    ]
}

#[tokio::test]
async fn every_route_that_takes_a_credential_slows_the_address_that_guesses() {
    for (path, body) in guesses() {
        let server = strict("guesses", 3, 1_000, "").await;
        let person = person(&server, "ann@example.com").await;
        let bearer = path.contains("invitations").then_some(person.access.as_str());
        for attempt in 0..3 {
            let reply = from(&server, path, None, bearer, &body).await;
            assert!(matches!(reply.status, 400 | 401 | 404), "{path} {attempt}: {} {}", reply.status, reply.text);
        }
        let reply = from(&server, path, Some("203.0.113.9"), bearer, &body).await;
        assert_eq!(reply.status, 429, "{path}: {}", reply.text);
        let seconds: u64 = reply.header("retry-after").expect("how long to wait").parse().unwrap();
        assert!((1..=600).contains(&seconds), "{path}: {seconds}");
        // The owner is slowed with the address, and only there is nothing to be had by guessing further.
        let right = json!({"email": "ann@example.com", "password": PASSWORD});
        assert_eq!(from(&server, "/api/auth/sign-in", None, None, &right).await.status, 429, "{path}");
        assert_eq!(server.get("/api/auth/me", Some(&person.access)).await.status, 200, "who is in stays in");
    }
}

#[tokio::test]
async fn an_address_is_believed_of_named_proxies_only() {
    let server = strict("proxied", 2, 1_000, "127.0.0.0/8").await;
    for number in 0..2 {
        let reply = from(&server, "/api/auth/sign-in", Some("198.51.100.7"), None, &wrong_password(number)).await;
        assert_eq!(reply.status, 401);
    }
    let again = from(&server, "/api/auth/sign-in", Some("6.6.6.6, 198.51.100.7"), None, &wrong_password(3)).await;
    assert_eq!(again.status, 429, "what the guesser writes before their address changes nothing");
    let neighbour = from(&server, "/api/auth/sign-in", Some("198.51.100.8"), None, &wrong_password(4)).await;
    assert_eq!(neighbour.status, 401, "another address behind the same proxy is another address");
    let unproxied = strict("unproxied", 2, 1_000, "").await;
    for number in 0..2 {
        from(&unproxied, "/api/auth/sign-in", Some(&format!("198.51.100.{number}")), None, &wrong_password(number))
            .await;
    }
    let third = from(&unproxied, "/api/auth/sign-in", Some("198.51.100.99"), None, &wrong_password(3)).await;
    assert_eq!(third.status, 429, "nobody else is believed about an address");
}

#[tokio::test]
async fn many_guessers_at_many_addresses_share_one_budget() {
    let server = strict("distributed", 3, 8, "127.0.0.1").await;
    account(&server, "ann@example.com").await;
    let mut answers = Vec::new();
    for number in 0..10 {
        let address = format!("198.51.100.{number}");
        answers.push(from(&server, "/api/auth/sign-in", Some(&address), None, &wrong_password(number)).await.status);
    }
    assert_eq!(answers, [401, 401, 401, 401, 401, 401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn an_account_is_slowed_from_wherever_it_is_guessed_at_known_or_not() {
    let server = strict("per_account", 1_000, 1_000, "127.0.0.1").await;
    account(&server, "ann@example.com").await;
    let mut told = Vec::new();
    for email in ["ann@example.com", "nobody@example.com"] {
        let mut answers = Vec::new();
        for number in 0..8 {
            let body = json!({"email": email, "password": "a wrong password here"});
            let address = format!("198.51.100.{number}");
            let reply = from(&server, "/api/auth/sign-in", Some(&address), None, &body).await;
            answers.push((reply.status, reply.code(), reply.json()["error"]["message"].clone()));
        }
        assert!(answers.iter().any(|(status, ..)| *status == 429), "{answers:?}");
        told.push(answers);
    }
    assert_eq!(told[0], told[1], "the answers do not tell who has an account");
}

#[tokio::test]
async fn whoever_has_a_session_does_not_find_the_second_factor_by_trying() {
    let server = strict("second_factor", 1_000, 1_000, "").await;
    let person = person(&server, "ann@example.com").await;
    let enrolled = from(&server, "/api/auth/totp.enroll", None, Some(&person.access), &json!({})).await;
    assert_eq!(enrolled.status, 200, "{}", enrolled.text);
    let mut slowed = false;
    for number in 0..8 {
        let body = json!({"code": format!("{number:06}")});
        let reply = from(&server, "/api/auth/totp.confirm", None, Some(&person.access), &body).await;
        slowed |= reply.status == 429;
    }
    assert!(slowed);
}

#[tokio::test]
async fn what_is_answered_about_an_address_is_the_same_known_or_not() {
    let server = Server::start("enumeration").await;
    account(&server, "ann@example.com").await;
    for (path, field) in [
        ("/api/auth/sign-in", json!({"password": "a wrong password here"})),
        ("/api/auth/sign-up", json!({"password": PASSWORD, "name": "Ann"})),
        ("/api/auth/password.forgot", json!({})),
    ] {
        let mut told = Vec::new();
        for email in ["ann@example.com", "nobody@example.com"] {
            let mut body = field.clone();
            body["email"] = json!(email);
            let reply = server.post(path, None, &body).await;
            let mut answer = serde_json::from_str::<Value>(&reply.text.replace(email, "-")).unwrap();
            if let Some(id) = answer.pointer_mut("/error/requestId") {
                *id = json!("-");
            }
            let names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
            told.push((reply.status, answer, names));
        }
        assert_eq!(told[0], told[1], "{path}");
    }
    // Who is invited is not told either.
    let org = json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1"});
    server.operate("/api/orgs.create", &org).await;
    let mut told = Vec::new();
    for email in ["ann@example.com", "nobody@example.com"] {
        let body = json!({"orgId": "org_acme", "email": email, "role": "member"});
        let reply = server.post("/api/invitations", Some(OPERATOR_KEY), &body).await;
        let names: Vec<String> = reply.json()["data"].as_object().unwrap().keys().cloned().collect();
        told.push((reply.status, names));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn what_many_call_with_at_once_is_used_by_one() {
    let callers = if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { 100 } else { 20 };
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let change = |settings: &mut tollgate_engine::Settings| {
            settings.limits.people.address_failures_max = 10_000;
            settings.limits.guesses_per_address_max = 10_000;
            settings.limits.database_wait = Duration::from_secs(30);
        };
        let Some(engine) = TestEngine::open_with(kind, "what_many_call_with_at_once", change).await else { continue };
        let server = Server::start_at(engine, Mode::Serve, |_, _| {}).await;
        let org = json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1"});
        server.operate("/api/orgs.create", &org).await;
        let person = person(&server, "ann@example.com").await;
        let code = server
            .operate("/api/activation/codes.create", &json!({"orgId": "org_acme", "siteDomain": "a.example"}))
            .await;
        let grant = json!({"grant_type": CODE_GRANT, "code": code["code"], "site_url": "a.example"});
        assert_eq!(at_once(&server, callers, "/oauth/token", None, &grant).await, (1, callers - 1));
        let invited = json!({"orgId": "org_acme", "email": "ann@example.com", "role": "member"});
        let invitation = server.operate("/api/invitations", &invited).await;
        let accept = json!({"code": invitation["code"]});
        let accepted = at_once(&server, callers, "/api/invitations/accept", Some(&person.access), &accept).await;
        assert_eq!(accepted, (1, callers - 1));
        server.post("/api/auth/password.forgot", None, &json!({"email": "ann@example.com"})).await;
        let code = crate::people::code(&server, "ann@example.com").await;
        let reset = json!({"code": code, "password": "another long walk by the sea"});
        assert_eq!(at_once(&server, callers, "/api/auth/password.reset", None, &reset).await, (1, callers - 1));
        println!(
            "PROOF: used by one of many: {kind:?}, activation code, invitation and reset link by {callers} callers at once, one of each succeeded"
        );
    }
}

/// How many calls with the same body succeeded and how many were refused, all sent at once.
async fn at_once(server: &Server, callers: usize, path: &str, bearer: Option<&str>, body: &Value) -> (usize, usize) {
    let calls = (0..callers).map(|_| from(server, path, None, bearer, body));
    let replies = futures::future::join_all(calls).await;
    let refused = |reply: &&Reply| matches!(reply.status, 400 | 404);
    let succeeded = replies.iter().filter(|reply| reply.status == 200).count();
    let told: Vec<(u16, &str)> = replies.iter().map(|reply| (reply.status, reply.text.as_str())).collect();
    assert!(replies.iter().all(|reply| reply.status == 200 || refused(&reply)), "{path}: {told:?}");
    (succeeded, replies.iter().filter(refused).count())
}
