//! The reference documents are those of the code.

use tollgate_rules::access::Permission;
use tollgate_web::errors::CATALOG;
use xtask::docs;

use crate::none;

#[test]
fn the_committed_reference_is_what_the_code_says() {
    let stale = docs::stale().unwrap_or_else(|failure| panic!("{failure}"));
    none(&stale, "Run `cargo xtask docs` and commit the result.");
}

#[test]
fn every_route_declares_a_permission() {
    /// No right in an org is asked for: anyone, a signed body, this machine, or whoever is signed in, about themselves.
    const WITHOUT_ORG: [&str; 4] = ["public", "signature", "local", "account"];
    let document = tollgate_web::openapi_document();
    let mut violations = Vec::new();
    let mut seen = 0;
    for (path, method, operation) in operations(&document) {
        seen += 1;
        let word = operation["x-permission"].as_str().unwrap_or_default();
        if Permission::parse(word).is_none() && !WITHOUT_ORG.contains(&word) {
            violations.push(format!("{method} {path}: x-permission is {word:?}"));
        }
    }
    assert!(seen > 40, "the document describes the whole router, not {seen} operations");
    none(
        &violations,
        "Register the route with its Access, so that the caller's right is checked before the handler runs.",
    );
}

#[test]
fn every_error_code_of_a_route_has_a_page() {
    let document = tollgate_web::openapi_document();
    let known = |code: &str| CATALOG.iter().any(|doc| doc.code == code);
    let mut violations = Vec::new();
    for (path, method, operation) in operations(&document) {
        let answers = operation["responses"].as_object().into_iter().flatten();
        let codes = answers.flat_map(|(_, answer)| answer["x-codes"].as_array().into_iter().flatten());
        let unknown = codes.filter_map(serde_json::Value::as_str).filter(|code| !known(code));
        violations.extend(unknown.map(|code| format!("{method} {path}: {code}")));
    }
    none(&violations, "Add the code to the error catalogue with its cause, its fix and a call that shows it.");
}

#[test]
fn every_error_page_says_what_to_do() {
    let mut violations = Vec::new();
    for (place, doc) in CATALOG.iter().enumerate() {
        let empty = [doc.title, doc.cause, doc.fix, doc.example].iter().any(|text| text.trim().is_empty());
        let twice = CATALOG.iter().take(place).any(|other| other.code == doc.code);
        let spelled = doc.code.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        if empty || twice || !spelled || !doc.example.contains("curl ") {
            violations.push(doc.code.to_owned());
        }
    }
    none(&violations, "A code is lower case, unique, and has a title, a cause, a fix and a curl call.");
}

fn operations(document: &serde_json::Value) -> impl Iterator<Item = (&str, &str, &serde_json::Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        let operations = methods.filter(|(_, operation)| operation.get("responses").is_some());
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}
