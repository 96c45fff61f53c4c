//! A foreign org, and what belongs to one, looks exactly like what is not there: in status, body and headers.

use serde_json::{Value, json};
use tollgate_engine::testing::OPERATOR_KEY;
use tollgate_rules::access::{Role, Scope};

use super::operations::{Access, Carried, Operation, operations};
use super::samples::{about, asked, names_org};
use super::{key, member, org};
use crate::people;
use crate::server::{Reply, Server};

/// Answers item by item: the envelope is a success, the item says `not_found`.
const BY_ITEM: &[&str] = &["/v1/usage"];

/// What a tenant of `org_own` calls with: a key with every scope, and the owner's session.
async fn tenants(server: &Server) -> Vec<Carried> {
    let secret = key(server, "org_own", Scope::ALL).await.0;
    vec![Carried::Bearer(secret), Carried::Bearer(member(server, Role::Owner).await.access)]
}

#[tokio::test]
async fn a_foreign_org_looks_exactly_like_a_missing_one() {
    let server = Server::start("foreign").await;
    org(&server, "own").await;
    org(&server, "foreign").await;
    let tenants = tenants(&server).await;
    let (mut compared, mut wrong) = (0, Vec::new());
    for operation in operations().iter().filter(|operation| names_org(operation)) {
        let asked = asked(operation, None);
        for carried in &tenants {
            let mut seen = Vec::new();
            for name in ["org_foreign", "org_missing"] {
                let (operation, query, body) = about(operation, &asked, name);
                seen.push(comparable(&operation.call(&server, carried, &query, &body).await, &[name]));
            }
            let hidden = matches!(seen[0].0, 404 | 403) || BY_ITEM.contains(&operation.canonical.as_str());
            if seen[0] != seen[1] || !hidden {
                wrong.push(format!("{} {}: {:?}", operation.method, operation.path, seen));
            }
        }
        wrong.extend(the_operator_tells_them_apart(&server, operation, &asked).await);
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 60, "only {compared} routes name an org");
    println!("PROOF: a foreign org looks like a missing one: {compared} routes, by key and by session");
}

/// The operator may act for every org, and is told which one there is not.
async fn the_operator_tells_them_apart(server: &Server, operation: &Operation, asked: &(String, Value)) -> Vec<String> {
    let operator = Carried::Bearer(OPERATOR_KEY.to_owned());
    let mut wrong = Vec::new();
    if !matches!(operation.access, Access::Org(_)) || BY_ITEM.contains(&operation.canonical.as_str()) {
        return wrong;
    }
    for (name, missing) in [("org_missing", true), ("org_foreign", false)] {
        let (at, query, body) = about(operation, asked, name);
        // What only people do, the operator does not either.
        let reply = at.call(server, &operator, &query, &body).await;
        if reply.status == 401 || (missing && reply.status != 404) {
            wrong
                .push(format!("{} {} for {name} as the operator: {} {}", at.method, at.path, reply.status, reply.text));
        }
    }
    wrong
}

#[tokio::test]
async fn what_belongs_to_another_org_looks_exactly_like_what_is_not_there() {
    let server = Server::start("foreign_objects").await;
    org(&server, "own").await;
    org(&server, "foreign").await;
    let tenants = tenants(&server).await;
    let theirs = objects(&server).await;
    let before = state(&server).await;
    let (mut compared, mut wrong) = (0, Vec::new());
    for operation in operations() {
        let names = [operation.body_names(), operation.query_names()].concat();
        for (name, theirs, missing) in theirs.iter().filter(|(name, ..)| names.iter().any(|own| own == name)) {
            for carried in &tenants {
                let mut seen = Vec::new();
                for id in [theirs, missing] {
                    let asked = asked(&operation, Some((name, id)));
                    let (at, query, body) = about(&operation, &asked, "org_own");
                    seen.push(comparable(&at.call(&server, carried, &query, &body).await, &[theirs, missing]));
                }
                if seen[0] != seen[1] {
                    wrong.push(format!("{} {} with {name}: {:?}", operation.method, operation.path, seen));
                }
                compared += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 30, "only {compared} calls name an object");
    assert_eq!(state(&server).await, before, "nothing of the other org has moved");
    println!("PROOF: what belongs to another org looks like what is not there: {compared} pairs of calls");
}

/// Field, an id of the foreign org's, and one of the same shape that there is not.
async fn objects(server: &Server) -> Vec<(&'static str, String, String)> {
    let (_, key_id) = key(server, "org_foreign", &[Scope::QuotaCheck]).await;
    let code = server
        .operate("/api/activation/codes.create", &json!({"orgId": "org_foreign", "siteDomain": "b.example"}))
        .await;
    let grant = json!({"grant_type": "urn:tollgate:oauth:grant-type:activation-code", "code": code["code"], "site_url": "b.example"});
    let site = server.post("/oauth/token", None, &grant).await.json();
    let invited = json!({"orgId": "org_foreign", "email": "invited@example.com", "role": "member"});
    let invitation = server.operate("/api/invitations", &invited).await;
    let person = people::person(server, "theirs@example.com").await;
    server.engine.member("org_foreign", &person.user_id, Role::Admin).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let twin = |id: &str| {
        let last = id.chars().next_back().unwrap();
        format!("{}{}", &id[..id.len() - 1], if last == '0' { '1' } else { '0' })
    };
    let ids = [
        ("keyId", key_id),
        ("siteId", text(&site["site_id"])),
        ("token", text(&site["access_token"])),
        ("invitationId", text(&invitation["invitationId"])),
        ("userId", person.user_id),
        ("sessionId", person.session_id),
    ];
    ids.into_iter().map(|(name, id)| (name, id.clone(), twin(&id))).collect()
}

/// What there is of the foreign org.
async fn state(server: &Server) -> Vec<Value> {
    let mut parts = Vec::new();
    for path in
        ["/api/orgs.get", "/api/keys.list", "/api/activation/sites.list", "/api/invitations/pending", "/api/members"]
    {
        let reply = server.get(&format!("{path}?orgId=org_foreign"), Some(OPERATOR_KEY)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        parts.push(reply.json());
    }
    parts
}

/// Status, body and headers without what names the request itself and what was asked for.
fn comparable(reply: &Reply, asked: &[&str]) -> (u16, Value, Vec<(String, String)>) {
    let text = asked.iter().fold(reply.text.clone(), |text, id| text.replace(*id, "-"));
    let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    forget_request(&mut body);
    let named = |name: &str| matches!(name, "x-request-id" | "date" | "server-timing");
    let headers = reply.headers.iter().filter(|(name, _)| !named(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (reply.status, body, headers)
}

/// Takes the request's id from wherever an answer tells it.
fn forget_request(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.iter_mut().filter(|(name, _)| *name == "requestId").for_each(|(_, id)| *id = json!("-"));
            fields.values_mut().for_each(forget_request);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_request),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
