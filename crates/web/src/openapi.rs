//! The OpenAPI 3.1 document, built from the same table as the router.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::HttpMethod;

use crate::errors;
use crate::routes::{Access, Route};
use crate::strict::Fault;

/// Codes any route may answer with.
const EVERYWHERE: &[errors::ErrorDoc] = &[errors::MALFORMED, errors::NOT_FOUND, errors::STORE_UNAVAILABLE];
/// Codes of routes that need a credential.
const WITH_CREDENTIAL: &[errors::ErrorDoc] = &[errors::UNAUTHORIZED, errors::FORBIDDEN];
/// Codes of routes that read a JSON body.
const WITH_BODY: &[errors::ErrorDoc] = &[errors::TOO_LARGE, errors::UNSUPPORTED_MEDIA_TYPE, errors::VALIDATION_FAILED];

/// Stands for the error object in the schemas of bodies that hold one.
pub(crate) struct ErrorSchema;

impl PartialSchema for ErrorSchema {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::Ref::from_schema_name("Error").into()
    }
}

impl utoipa::ToSchema for ErrorSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Error".into()
    }
}

/// The document of these routes.
pub(crate) fn document(routes: &[Route]) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for route in routes {
        for (name, schema) in &route.schemas {
            let schema = json_of(schema);
            let other = schemas.insert(name.clone(), schema.clone());
            assert!(other.is_none_or(|other| other == schema), "two types share the schema name {name}: rename one");
        }
        for (path, alias) in std::iter::once((&route.path, false)).chain(route.aliases.iter().map(|path| (path, true)))
        {
            for method in &route.methods {
                let operation = operation(route, path, method, alias);
                paths.entry(path.clone()).or_default().insert(word(method).to_owned(), operation);
            }
        }
    }
    schemas.extend(base_schemas());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Sells plans with included usage, decides in real time whether a call may pass, counts it exactly once and stops hard at quota.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags(routes),
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {
            "type": "http", "scheme": "bearer",
            "description": "An operator key (`tgo_…`) or an org API key (`tg_live_…`, `tg_test_…`).",
        }}},
    })
}

fn operation(route: &Route, path: &str, method: &HttpMethod, alias: bool) -> Value {
    let mut value = json_of(&route.operation);
    let Some(fields) = value.as_object_mut() else { return value };
    fields.insert(
        "operationId".to_owned(),
        json!(format!("{}{}", word(method), path.replace(['/', '.', '{', '}', '*'], "_"))),
    );
    fields.insert("x-permission".to_owned(), json!(route.access.word()));
    fields.insert("x-credential".to_owned(), json!(route.access.credential()));
    if alias {
        fields.insert("x-alias-of".to_owned(), json!(route.path));
    }
    if route.in_dev_only {
        fields.insert("x-dev-only".to_owned(), json!(true));
    }
    if !matches!(route.access, Access::Public | Access::Signature | Access::Local) {
        fields.insert("security".to_owned(), json!([{"key": []}]));
    }
    let mut refusals: Vec<&errors::ErrorDoc> = EVERYWHERE.iter().collect();
    if fields.contains_key("security") {
        refusals.extend(WITH_CREDENTIAL);
    }
    if fields.contains_key("requestBody") {
        refusals.extend(WITH_BODY);
    }
    refusals.extend(route.refusals.iter().filter_map(|code| errors::find(code)));
    answers(fields, &refusals);
    value
}

/// Wraps each JSON success in the envelope and adds the refusals.
fn answers(fields: &mut Map<String, Value>, refusals: &[&errors::ErrorDoc]) {
    let entry = fields.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = entry.as_object_mut() else { return };
    for (status, response) in responses.iter_mut() {
        let enveloped = status.starts_with('2') && response.get("x-bare").is_none();
        if let Some(media) = response.pointer_mut("/content/application~1json").filter(|_| enveloped) {
            let data = media.get("schema").cloned().unwrap_or_else(|| json!({}));
            media["schema"] = json!({"type": "object", "required": ["ok", "data"], "additionalProperties": false,
                "properties": {"ok": {"const": true}, "data": data, "meta": {"type": "object"}}});
        }
    }
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for doc in refusals {
        by_status.entry(doc.status).or_default().push(doc.code);
    }
    for (status, codes) in by_status {
        let description = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        responses.entry(status.to_string()).or_insert_with(|| {
            json!({"description": description, "x-codes": codes,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}})
        });
    }
}

fn base_schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert("Fault".to_owned(), json_of(&Fault::schema()));
    let error = json!({
        "type": "object",
        "required": ["code", "message", "details", "docUrl", "requestId"],
        "additionalProperties": false,
        "properties": {
            "code": {"type": "string", "enum": errors::CATALOG.iter().map(|doc| doc.code).collect::<Vec<_>>()},
            "message": {"type": "string"},
            "details": {"type": "object", "properties": {"errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}}}},
            "docUrl": {"type": "string"},
            "requestId": {"type": "string"},
        },
    });
    schemas.insert("Error".to_owned(), error);
    let envelope = json!({
        "type": "object",
        "required": ["ok", "error"],
        "additionalProperties": false,
        "properties": {
            "ok": {"const": false},
            "data": {"type": "object", "description": "The decision, in a denial."},
            "error": {"$ref": "#/components/schemas/Error"},
        },
    });
    schemas.insert("ErrorEnvelope".to_owned(), envelope);
    schemas
}

fn tags(routes: &[Route]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for name in routes.iter().filter_map(|route| route.operation.tags.as_ref()).flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| json!({"name": name})).collect()
}

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("OpenAPI parts are plain data with string keys")
}

pub(crate) fn word(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "get",
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Delete => "delete",
        HttpMethod::Options => "options",
        HttpMethod::Head => "head",
        HttpMethod::Patch => "patch",
        HttpMethod::Trace => "trace",
    }
}
