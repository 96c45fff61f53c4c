//! The Clerk stand-in: the Backend API calls we make, over organizations, memberships and invitations that a test puts there.
//!
//! A Bearer key `sk_…` is required. Shapes follow `../shared/contracts/clerk/backend-api-2026-05-12.trimmed.openapi.json`. What is
//! there is held in memory and replaced with `PUT /clerk/state`: `{jwks, organizations: […], memberships: {org: […]}}`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::Answer;

/// What the stand-in knows.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<State>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    jwks: Value,
    organizations: Vec<Value>,
    memberships: BTreeMap<String, Vec<Value>>,
    /// Whether changes of members are refused, as for the last one with the right to manage.
    refuses_members: bool,
    #[serde(skip)]
    invitations: Vec<Value>,
    #[serde(skip)]
    calls: u64,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    /// The sandbox's time in milliseconds.
    pub(crate) now_millis: i64,
}

/// The body of an error.
pub(crate) fn problem(status: u16, code: &str) -> Answer {
    let body =
        json!({ "errors": [{ "message": code, "long_message": code, "code": code }], "clerk_trace_id": "sandbox" });
    Answer { status, body: body.to_string(), replayed: false }
}

fn good(value: &Value) -> Answer {
    Answer { status: 200, body: value.to_string(), replayed: false }
}

impl Room {
    /// Answers one call.
    pub(crate) fn answer(&self, call: &Call<'_>) -> Answer {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if call.path == "/clerk/state" {
            return state.replace(call);
        }
        let key = call.headers.get("authorization").and_then(|key| key.to_str().ok()).unwrap_or_default();
        if !key.starts_with("Bearer sk_") {
            return problem(401, "authentication_invalid");
        }
        state.calls += 1;
        let path = call.path.strip_prefix("/clerk/v1/").unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["jwks"]) => good(&state.jwks),
            ("GET", ["organizations"]) => page(&state.named(call.query), call.query),
            ("POST", ["organizations"]) => state.create(call),
            ("GET", ["organizations", id]) => match state.organization(id) {
                Some(organization) => good(organization),
                None => problem(404, "resource_not_found"),
            },
            ("GET", ["organizations", id, "memberships"]) => {
                let none = Vec::new();
                page(state.memberships.get(*id).unwrap_or(&none), call.query)
            }
            ("PATCH" | "DELETE", ["organizations", id, "memberships", user]) => state.change_member(id, user, call),
            ("POST", ["organizations", id, "invitations"]) => state.invite(id, call),
            ("POST", ["organizations", id, "invitations", invitation, "revoke"]) => {
                state.revoke(id, invitation, call.now_millis)
            }
            _ => problem(404, "resource_not_found"),
        }
    }
}

impl State {
    fn organization(&self, id: &str) -> Option<&Value> {
        self.organizations.iter().find(|organization| organization["id"] == id)
    }

    /// The organizations whose name holds what `query=` asks for.
    fn named(&self, query: &str) -> Vec<Value> {
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("query=")).map(plain).unwrap_or_default();
        let holds = |organization: &&Value| {
            let name = organization["name"].as_str().unwrap_or_default().to_lowercase();
            name.contains(&asked.to_lowercase())
        };
        self.organizations.iter().filter(holds).cloned().collect()
    }

    fn create(&mut self, call: &Call<'_>) -> Answer {
        let Ok(asked) = serde_json::from_slice::<Value>(call.body) else { return problem(422, "form_param_invalid") };
        let Some(name) = asked["name"].as_str().filter(|name| !name.is_empty() && name.len() <= 256) else {
            return problem(422, "form_param_missing");
        };
        let (now, number) = (call.now_millis, self.organizations.len() + 1);
        let mut organization = json!({
            "object": "organization", "id": format!("org_sandbox{number}"), "name": name, "slug": format!("sandbox-{number}"),
            "has_image": false, "max_allowed_memberships": 5, "admin_delete_enabled": true,
            "public_metadata": {}, "private_metadata": asked["private_metadata"], "created_at": now, "updated_at": now,
        });
        if let Some(user) = asked["created_by"].as_str() {
            if !user.starts_with("user_") {
                return problem(422, "form_resource_not_found");
            }
            organization["created_by"] = json!(user);
            let membership = json!({
                "object": "organization_membership", "id": format!("orgmem_sandbox{number}"), "role": "org:admin",
                "organization": organization, "public_user_data": { "user_id": user }, "created_at": now, "updated_at": now,
            });
            self.memberships.insert(format!("org_sandbox{number}"), vec![membership]);
        }
        self.organizations.push(organization.clone());
        good(&organization)
    }

    /// `PATCH` gives a role, `DELETE` takes the member out; both answer the membership.
    fn change_member(&mut self, org: &str, user: &str, call: &Call<'_>) -> Answer {
        if self.refuses_members {
            return problem(422, "organization_minimum_permissions_needed");
        }
        let members = self.memberships.entry(org.to_owned()).or_default();
        let Some(place) = members.iter().position(|member| member["public_user_data"]["user_id"] == user) else {
            return problem(404, "resource_not_found");
        };
        if call.method == Method::DELETE {
            return good(&members.remove(place));
        }
        let asked = serde_json::from_slice::<Value>(call.body).unwrap_or_default();
        let Some(role) = asked["role"].as_str().filter(|role| role.starts_with("org:")) else {
            return problem(422, "form_param_missing");
        };
        let member = &mut members[place];
        if member["role"] != role {
            let before = member["updated_at"].as_i64().unwrap_or_default();
            member["role"] = json!(role);
            member["updated_at"] = json!(call.now_millis.max(before + 1));
        }
        good(member)
    }

    fn replace(&mut self, call: &Call<'_>) -> Answer {
        if call.method == Method::PUT {
            let Ok(state) = serde_json::from_slice::<State>(call.body) else {
                return problem(422, "form_param_invalid");
            };
            *self = State { calls: self.calls, ..state };
        }
        good(&json!({ "calls": self.calls, "invitations": self.invitations, "organizations": self.organizations,
            "memberships": self.memberships }))
    }

    fn invite(&mut self, org: &str, call: &Call<'_>) -> Answer {
        let Ok(asked) = serde_json::from_slice::<Value>(call.body) else { return problem(422, "form_param_invalid") };
        let (Some(email), Some(role)) = (asked["email_address"].as_str(), asked["role"].as_str()) else {
            return problem(422, "form_param_missing");
        };
        if self.organization(org).is_none() {
            return problem(404, "resource_not_found");
        }
        let waits = |invitation: &Value| invitation["email_address"] == email && invitation["status"] == "pending";
        if self.invitations.iter().any(waits) {
            return problem(400, "duplicate_record");
        }
        let now = call.now_millis;
        let invitation = json!({
            "object": "organization_invitation",
            "id": format!("orginv_sandbox{}", self.invitations.len() + 1),
            "email_address": email, "role": role, "role_name": role, "organization_id": org,
            "status": "pending", "public_metadata": {}, "private_metadata": {}, "url": null,
            "expires_at": now + 30 * 86_400_000, "created_at": now, "updated_at": now,
        });
        self.invitations.push(invitation.clone());
        good(&invitation)
    }

    fn revoke(&mut self, org: &str, id: &str, now: i64) -> Answer {
        let own = |invitation: &&mut Value| invitation["id"] == id && invitation["organization_id"] == org;
        let Some(invitation) = self.invitations.iter_mut().find(own) else { return problem(404, "resource_not_found") };
        if invitation["status"] != "pending" {
            return problem(400, "organization_invitation_not_pending");
        }
        invitation["status"] = json!("revoked");
        invitation["updated_at"] = json!(now + 1);
        good(invitation)
    }
}

/// A query's value as it was before it was coded.
fn plain(coded: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = coded.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                let digits = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.extend(digits);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn page(rows: &[Value], query: &str) -> Answer {
    let number = |name: &str, default: usize| {
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')));
        pair.map_or(Ok(default), str::parse)
    };
    let (Ok(limit), Ok(offset)) = (number("limit", 10), number("offset", 0)) else {
        return problem(422, "form_param_invalid");
    };
    if limit == 0 || limit > 500 {
        return problem(422, "form_param_invalid");
    }
    let data: Vec<&Value> = rows.iter().skip(offset).take(limit).collect();
    good(&json!({ "data": data, "total_count": rows.len() }))
}
