//! What is taken back is refused at once where it was taken back, and within five seconds on every other node.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::Api;
use crate::database::Database;
use crate::server::{Options, Server};
use crate::tenant::text;

const KEY: &str = "tgo_0123456789012345678901234567890123456789";
const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "a long walk by the sea";
/// What every node promises.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(5);
const HERE_WITHIN: Duration = Duration::from_secs(1);

/// One thing that can be taken back: how it is used, and how it is taken back.
struct Credential {
    name: &'static str,
    secret: String,
    used: (&'static str, Value),
    /// By whom, where, with what.
    revoked: (String, &'static str, Value),
}

#[tokio::test]
async fn what_is_revoked_on_one_node_is_refused_there_at_once_and_on_the_other_within_seconds() {
    let Some(database) = Database::postgres().await else {
        println!("SKIPPED: two nodes need PostgreSQL: TOLLGATE_TEST_POSTGRES is not set");
        return;
    };
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = |place: &tempfile::TempDir| {
        let options = Options::serve(&place.path().join("data"), &database).arguments(&["--migrate"]);
        options.variable("TOLLGATE_OPERATOR_KEY", KEY).variable("APP_BASE_URL", "http://tollgate.test")
    };
    let here = Server::start(node(&place)).await;
    let there = Server::start(node(&elsewhere)).await;
    for credential in credentials(&here).await {
        for node in [&here, &there] {
            let status = used(node, &credential).await;
            assert!(matches!(status, 200 | 402), "{} before: {status}", credential.name);
        }
        let (by, path, body) = &credential.revoked;
        let done = here.with_key(by).post(path, body).await;
        assert_eq!(done.status, 200, "{}: {}", credential.name, done.text);
        let since = Instant::now();
        assert!(refused(used(&here, &credential).await), "{}: the next call is refused", credential.name);
        let here_after = since.elapsed();
        assert!(here_after < HERE_WITHIN, "{}: {here_after:?}", credential.name);
        while !refused(used(&there, &credential).await) {
            assert!(since.elapsed() < ELSEWHERE_WITHIN, "{}: still let in elsewhere", credential.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!(
            "PROOF: revocation: {}: here {} ms, on another node {} ms",
            credential.name,
            here_after.as_millis(),
            since.elapsed().as_millis()
        );
    }
}

fn refused(status: u16) -> bool {
    matches!(status, 401 | 403 | 404)
}

async fn used(node: &Server, credential: &Credential) -> u16 {
    let (path, body) = &credential.used;
    let api = node.with_key(&credential.secret);
    match body {
        Value::Null => api.get(path).await.status,
        body => api.post(path, body).await.status,
    }
}

async fn credentials(node: &Server) -> Vec<Credential> {
    let operator = Api::new(&node.api, KEY);
    operator.ok("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1"})).await;
    let all = json!(["quota:check", "entitlements:read", "usage:write"]);
    let new_key = json!({"orgId": "org_acme", "name": "k", "scopes": all});
    let (key, other) =
        (operator.ok("/api/keys.create", &new_key).await, operator.ok("/api/keys.create", &new_key).await);
    let stand_in = json!({"grant_type": "client_credentials", "client_secret": other["secret"]});
    let stand_in =
        operator.raw("/oauth/token", &[("content-type", "application/json")], stand_in.to_string().into_bytes()).await;
    let code =
        operator.ok("/api/activation/codes.create", &json!({"orgId": "org_acme", "siteDomain": "a.example"})).await;
    let grant = json!({"grant_type": "urn:tollgate:oauth:grant-type:activation-code", "code": code["code"], "site_url": "a.example"});
    let site = operator
        .raw("/oauth/token", &[("content-type", "application/json")], grant.to_string().into_bytes())
        .await
        .body;
    let (user_id, mut sessions) = person(node, &operator).await;
    let of_key =
        |key: &Value| (KEY.to_owned(), "/api/keys.revoke", json!({"orgId": "org_acme", "keyId": key["keyId"]}));
    let check = || ("/api/quota/check", json!({"metric": "api_call"}));
    let (ended, member) = (sessions.remove(0), sessions.remove(0));
    vec![
        Credential { name: "an API key", secret: text(&key["secret"]), used: check(), revoked: of_key(&key) },
        Credential {
            name: "an org's token",
            secret: text(&stand_in.body["access_token"]),
            used: check(),
            revoked: of_key(&other),
        },
        Credential {
            name: "a site's token",
            secret: text(&site["access_token"]),
            used: check(),
            revoked: (
                KEY.to_owned(),
                "/api/activation/sites.revoke",
                json!({"orgId": "org_acme", "siteId": site["site_id"]}),
            ),
        },
        Credential {
            name: "a session",
            secret: ended.0.clone(),
            used: ("/api/auth/me", Value::Null),
            revoked: (member.0.clone(), "/api/auth/sessions.revoke", json!({"sessionId": ended.1})),
        },
        Credential {
            name: "a removed member",
            secret: member.0,
            used: ("/api/orgs.get?orgId=org_acme", Value::Null),
            revoked: (KEY.to_owned(), "/api/members.remove", json!({"orgId": "org_acme", "userId": user_id})),
        },
    ]
}

/// A member of the org, signed in twice: access token and session id.
async fn person(node: &Server, operator: &Api) -> (String, Vec<(String, String)>) {
    let asked = json!({"email": EMAIL, "password": PASSWORD, "name": "Ann"});
    operator.ok("/api/auth/sign-up", &asked).await;
    let verified = operator.ok("/api/auth/verify-email", &json!({"code": letter_code(node).await})).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let begun = json!({"email": EMAIL, "password": PASSWORD, "mode": "token"});
        let begun = operator.ok("/api/auth/sign-in", &begun).await;
        sessions.push((text(&begun["accessToken"]), text(&begun["sessionId"])));
    }
    let invited = json!({"orgId": "org_acme", "email": EMAIL, "role": "member"});
    let invitation = operator.ok("/api/invitations", &invited).await;
    let accept = json!({"code": invitation["code"]});
    node.with_key(&sessions[0].0).ok("/api/invitations/accept", &accept).await;
    (text(&verified["userId"]), sessions)
}

/// The code of the first letter that a node has written.
pub(crate) async fn letter_code(node: &Server) -> String {
    let folder = node.data().join("mail");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let letters: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        let code = letters.iter().find_map(|letter| letter.split("Code: ").nth(1)?.split_whitespace().next());
        if let Some(code) = code {
            return code.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no letter was written to {}", folder.display());
}
