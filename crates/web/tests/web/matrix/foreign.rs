//! A foreign org, and what belongs to one, looks exactly like what is not there: in status, body and headers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use tollgate_engine::testing::OPERATOR_KEY;
use tollgate_rules::access::{Role, Scope};

use super::objects::{OBJECTS, OTHERS, Org, billed, twin};
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

/// Where an id of one's own is answered like any other: why.
const OWN_IS_NOT_FOUND_OUT: &[(&str, &str)] = &[
    ("/oauth/revoke", "RFC 7009: whoever asks is told that the token is over, also of one that nobody knows"),
    ("/api/activation/sites.verify", "whether its domain is proven is another question"),
];

/// Where an id names the call, and each call counts.
const COUNTS: &[&str] = &["/api/usage/record", "/api/usage/reserve", "/v1/usage"];

/// Who asks about objects: the tenant by key and by session, and the operator for the tenant.
struct Asking<'s> {
    server: &'s Server,
    own: Org<'s>,
    foreign: BTreeMap<&'static str, String>,
    /// Names of the other org's calls that nobody here used yet: whoever counts under one makes it their own, too.
    calls: Mutex<Vec<String>>,
    tenants: Vec<Carried>,
    owner: people::Person,
}

#[tokio::test]
async fn what_belongs_to_another_org_looks_exactly_like_what_is_not_there() {
    let billed = billed("foreign_objects").await;
    let server = &billed.server;
    org(server, "own").await;
    org(server, "foreign").await;
    let theirs = people::person(server, "theirs@example.com").await;
    server.engine.member("org_foreign", &theirs.user_id, Role::Admin).await;
    let other = Org::paying(server, "org_foreign", "theirs@example.com").await;
    let mut foreign = BTreeMap::new();
    for field in OBJECTS {
        foreign.insert(*field, other.make(field).await);
    }
    let mut calls = Vec::new();
    for _ in 0..12 {
        calls.push(other.make("request_id").await);
    }
    let owner = member(server, Role::Owner).await;
    let secret = key(server, "org_own", Scope::ALL).await.0;
    let tenants = vec![Carried::Bearer(secret), Carried::Bearer(owner.access.clone())];
    let own = Org::paying(server, "org_own", "owner@example.com").await;
    let asking = Asking { server, own, foreign, calls: Mutex::new(calls), tenants, owner };
    let before = state(server).await;
    let (mut pairs, mut wrong) = (0, Vec::new());
    for operation in operations().iter().filter(|operation| operation.is_canonical()) {
        for field in OBJECTS.iter().filter(|field| operation.takes(field)) {
            let compared = asking.compare(operation, field, &mut wrong).await;
            assert!(compared >= 2, "{} {field}", operation.path);
            pairs += compared;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pairs >= 100, "only {pairs} pairs of calls");
    assert_eq!(state(server).await, before, "nothing of the other org has moved");
    println!(
        "PROOF: what belongs to another org looks like what is not there: {} kinds of ids, {pairs} pairs of calls",
        OBJECTS.len()
    );
}

impl Asking<'_> {
    /// Asks a route about an id of another org's, about one that there is not, and about one's own; how many pairs were compared.
    async fn compare(&self, operation: &Operation, field: &'static str, wrong: &mut Vec<String>) -> u32 {
        let mut callers: Vec<&Carried> = self.tenants.iter().collect();
        let operator = Carried::Bearer(OPERATOR_KEY.to_owned());
        // For an org that is named, the operator's ids are that org's too.
        let both = names_org(operation) && field != "operationId" && field != "couponId" && field != "token";
        if both && operation.access != Access::Account {
            callers.push(&operator);
        }
        let about_it = format!("{} {} with {field}", operation.method, operation.path);
        let (mut pairs, mut found_own, mut told) = (0, false, String::new());
        for carried in callers {
            let theirs = self.theirs(operation, field);
            let missing = twin(&theirs);
            let unknown = self.ask(operation, carried, (field, &missing)).await;
            let foreign = self.ask(operation, carried, (field, &theirs)).await;
            let same = |reply: &Reply| comparable_in(operation, reply, &[&theirs, &missing]);
            if same(&unknown) != same(&foreign) {
                wrong.push(format!(
                    "{about_it}: {:?} for a foreign one, {:?} for a missing one",
                    same(&foreign),
                    same(&unknown)
                ));
            }
            pairs += 1;
            let id = self.own.make(field).await;
            let own = self.ask(operation, carried, (field, &id)).await;
            found_own |= (own.status, own.code_or_body()) != (unknown.status, unknown.code_or_body());
            told = format!("{} {}", own.status, own.text);
        }
        let excused = OWN_IS_NOT_FOUND_OUT.iter().any(|(path, _)| operation.canonical == *path);
        let operators_alone = operation.access == Access::Operator && !both;
        if !found_own && !excused && !operators_alone {
            wrong.push(format!(
                "{about_it}: one's own is answered like one that is not there, so nothing was shown: {told}"
            ));
        }
        pairs
    }

    fn theirs(&self, operation: &Operation, field: &str) -> String {
        if field == "request_id" && COUNTS.contains(&operation.canonical.as_str()) {
            return self.calls.lock().unwrap().pop().expect("enough of them were made");
        }
        self.foreign[field].clone()
    }

    async fn ask(&self, operation: &Operation, carried: &Carried, object: (&str, &str)) -> Reply {
        let asked = asked(operation, Some(object));
        let (at, query, mut body) = about(operation, &asked, "org_own");
        // What stands beside the id is one's own, so that the answer is about the id.
        for (name, own) in self.own.lasting.iter().filter(|(name, _)| **name != object.0) {
            if body.get(name).is_some() {
                body[name] = json!(own);
            }
        }
        let reply = at.call(self.server, carried, &query, &body).await;
        // Whatever was done to them, whoever asks is the owner again.
        self.server.engine.member("org_own", &self.owner.user_id, Role::Owner).await;
        reply
    }
}

#[test]
fn every_field_of_every_route_is_known_to_name_an_object_or_none() {
    let known: Vec<&str> = OTHERS.iter().flat_map(|(_, names)| *names).chain(OBJECTS).copied().collect();
    let mut unknown = Vec::new();
    for operation in operations() {
        for name in [operation.body_names(), operation.query_names(), operation.path_names()].concat() {
            if !known.contains(&name.as_str()) {
                unknown.push(format!("{} {}: `{name}`", operation.method, operation.path));
            }
        }
    }
    unknown.sort();
    unknown.dedup();
    assert!(
        unknown.is_empty(),
        "put the field into matrix/objects.rs, with a foreign sample if it is an id:\n{}",
        unknown.join("\n")
    );
    for (reason, names) in OTHERS {
        assert!(!names.iter().any(|name| OBJECTS.contains(name)), "in both lists: {reason}");
    }
}

/// What there is of the foreign org.
async fn state(server: &Server) -> Vec<Value> {
    let mut parts = Vec::new();
    for path in [
        "/api/orgs.get",
        "/api/keys.list",
        "/api/activation/sites.list",
        "/api/invitations/pending",
        "/api/members",
        "/api/usage/holds.list",
        "/api/usage/events.list",
        "/api/me/entitlements.read",
        "/api/invoices.list",
        "/api/payments/methods.list",
        "/api/admin/grants.list",
        "/api/admin/overrides.list",
        "/api/admin/refunds.list",
        "/api/admin/credit-notes.list",
    ] {
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

/// The same for a route: where calls count, what was counted differs from call to call and says nothing.
fn comparable_in(operation: &Operation, reply: &Reply, asked: &[&str]) -> (u16, Value, Vec<(String, String)>) {
    let (status, mut body, mut headers) = comparable(reply, asked);
    if COUNTS.contains(&operation.canonical.as_str()) {
        forget(&mut body, &["used", "remaining", "held", "holdId", "expiresAt"]);
        headers.retain(|(name, _)| {
            !name.starts_with("ratelimit") && name != "tollgate-receipt" && name != "content-length"
        });
    }
    (status, body, headers)
}

/// Takes the request's id from wherever an answer tells it.
fn forget_request(value: &mut Value) {
    forget(value, &["requestId"]);
}

/// Takes what stands under these names from wherever an answer tells it.
fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields
                .iter_mut()
                .filter(|(name, _)| names.contains(&name.as_str()))
                .for_each(|(_, told)| *told = json!("-"));
            fields.values_mut().for_each(|value| forget(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
