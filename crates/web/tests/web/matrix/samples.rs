//! Bodies and queries that each route takes, made from its schema: what is required, and what names an org or another object.

use serde_json::{Map, Value, json};

use super::operations::Operation;

/// What routes take beside what their schema requires, so that they get as far as looking for the org.
const BESIDE: &[(&str, &str)] = &[
    ("/api/usage/record", r#"{"metric": "api_call", "value": 1}"#),
    ("/v1/usage", r#"{"metric": "api_call", "value": 1}"#),
    ("/api/plans/upgrade.now", r#"{"newPlanCode": "growth"}"#),
];

/// A value that fields of this name take.
fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "orgId" => json!("ORG"),
        "from" => json!("2026-01-01T00:00:00Z"),
        "to" => json!("2026-01-02T00:00:00Z"),
        "amount" | "units" | "value" | "quantity" => json!(1),
        "ttlSeconds" => json!(60),
        "userCode" => json!("BCDF-GHJK"),
        "approve" => json!(true),
        "at" => json!("period_end"),
        "metric" => json!("api_call"),
        "role" => json!("member"),
        "email" => json!("somebody@example.com"),
        "password" => json!("a long walk by the lake"),
        "currency" => json!("usd"),
        "flags" => json!({}),
        "priceLookup" => json!("plan_starter_m"),
        "newPlanCode" | "planCode" => json!("growth"),
        "periodKey" => json!("2026-01"),
        "siteDomain" | "site_url" => json!("shop.example"),
        "url" | "successUrl" | "cancelUrl" | "returnUrl" => json!("https://app.example/hook"),
        "stripeCustomerId" => json!("cus_1"),
        "stripeSubscriptionId" => json!("sub_1"),
        "keyId" => json!("key_1"),
        "siteId" => json!("site_1"),
        "holdId" => json!("hold_1"),
        "userId" | "ownerUserId" => json!("user_1"),
        "newOrgId" => json!("org_new"),
        "paymentMethodId" => json!("pm_1"),
        "invoiceId" => json!("in_1"),
        "grant_type" => json!("client_credentials"),
        "topup" | "name" | "reason" | "request_id" | "corrects" | "code" | "receipt" | "token" | "refreshToken"
        | "couponId" | "endpointId" | "eventId" | "grantId" | "incidentId" | "invitationId" | "jobId"
        | "operationId" | "sessionId" => {
            json!("x_1")
        }
        _ => return None,
    })
}

/// A query and a body with which the route is asked about `ORG`, and about `object` where a field of that name is given.
pub(super) fn asked(operation: &Operation, object: Option<(&str, &str)>) -> (String, Value) {
    let mut body = Map::new();
    let required = operation.body.as_ref().and_then(|schema| schema["required"].as_array());
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let taught = || panic!("{}: teach the matrix a value for `{name}`", operation.path);
        body.insert(name.to_owned(), sample(name).unwrap_or_else(taught));
    }
    if let Some((_, beside)) = BESIDE.iter().find(|(path, _)| operation.canonical == *path) {
        let beside: Value = serde_json::from_str(beside).unwrap();
        body.extend(beside.as_object().unwrap().clone());
    }
    let mut query = Vec::new();
    for parameter in operation.query.iter().filter(|parameter| parameter["in"] == "query") {
        let name = parameter["name"].as_str().unwrap();
        let wanted = parameter["required"] == true || name == "orgId" || object.is_some_and(|(own, _)| own == name);
        if wanted {
            let taught = || panic!("{}: teach the matrix a value for `{name}`", operation.path);
            let value = sample(name).unwrap_or_else(taught);
            query.push((name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    if operation.body_names().iter().any(|name| name == "orgId") {
        body.insert("orgId".to_owned(), json!("ORG"));
    }
    if let Some((name, id)) = object {
        if operation.body_names().iter().any(|own| own == name) {
            body.insert(name.to_owned(), json!(id));
        }
        query.iter_mut().filter(|(own, _)| own == name).for_each(|(_, value)| id.clone_into(value));
    }
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    (query, Value::Object(body))
}

/// The same about this org.
pub(super) fn about(operation: &Operation, asked: &(String, Value), org: &str) -> (Operation, String, Value) {
    let at = Operation { path: operation.path.replace("ORG", org), ..operation.clone() };
    let body = serde_json::from_str(&asked.1.to_string().replace("\"ORG\"", &format!("\"{org}\""))).unwrap();
    (at, asked.0.replace("=ORG", &format!("={org}")), body)
}

/// Whether the route names an org.
pub(super) fn names_org(operation: &Operation) -> bool {
    operation.path.contains("ORG")
        || operation.body_names().iter().chain(operation.query_names().iter()).any(|name| name == "orgId")
}
