//! Holds every JSON answer of the end-to-end tests against the schema that the OpenAPI document declares for it.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(tollgate_web::openapi_document);

/// Fails when an answer differs from what its route declares. Routes outside the document (pages, unmatched ones) have
/// nothing to be held against.
#[track_caller]
pub(crate) fn hold(method: &str, path: &str, status: u16, body: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else { return };
    let declared = &operation["responses"][status.to_string()];
    assert!(declared.is_object(), "{method} {path} answered {status}, which it does not declare: {body}");
    let Some(schema) = declared.pointer("/content/application~1json/schema") else { return };
    let none = Map::new();
    let schemas = DOCUMENT.pointer("/components/schemas").and_then(Value::as_object).unwrap_or(&none);
    let faults = tollgate_web::schema::faults(schema, schemas, body);
    assert!(faults.is_empty(), "{method} {path} {status} is not as declared: {faults:?}\n{body}");
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let declared = paths.get(path).or_else(|| {
        let template = paths.keys().find(|template| fits(template, path))?;
        paths.get(template)
    })?;
    declared.get(method)
}

/// Whether a path is one of a template's (`/v1/entitlements/{orgId}`).
fn fits(template: &str, path: &str) -> bool {
    let (wanted, given) = (template.split('/'), path.split('/'));
    template.contains('{')
        && wanted.clone().count() == given.clone().count()
        && wanted.zip(given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}
