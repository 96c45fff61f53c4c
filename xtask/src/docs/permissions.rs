//! `permissions.md`: who may do what, from the access table, and which routes ask for it, from the OpenAPI document.

use std::fmt::Write;

use serde_json::Value;
use tollgate_rules::access::{TABLE, asks_for_fresh_proof};

use super::api;

pub(super) fn render(openapi: &Value) -> String {
    let mut text = "# Permissions\n\nEvery route declares one permission; a route without one fails the build. The operator has every \
         permission. An org API key has those of its scopes, for its own org only; a member those of their role in each of their orgs; a foreign org \
         looks exactly like a missing one. With *fresh*, a person must have proved who they are within the last ten minutes to change \
         something.\n\n| permission | scopes of an org API key | roles of a member | fresh | routes |\n|---|---|---|---|---|\n"
        .to_owned();
    for row in TABLE {
        let scopes: Vec<String> = row.scopes.iter().map(|scope| format!("`{scope}`")).collect();
        let roles: Vec<String> = row.roles.iter().map(|role| format!("`{role}`")).collect();
        let scopes = match (scopes.is_empty(), roles.is_empty()) {
            (true, true) => "operator only".to_owned(),
            (true, false) => "none".to_owned(),
            (false, _) => scopes.join(" "),
        };
        let (name, roles) = (row.permission.as_str(), roles.join(" "));
        let fresh = if asks_for_fresh_proof(row.permission) { "fresh" } else { "" };
        writeln!(text, "| `{name}` | {scopes} | {roles} | {fresh} | {} |", routes(openapi, name))
            .expect("a string takes text");
    }
    text.push_str("\n## Routes without a permission\n\n| asks for | routes |\n|---|---|\n");
    let known = |word: &str| TABLE.iter().any(|row| row.permission.as_str() == word);
    let operations = api::operations(openapi);
    let mut others: Vec<&str> = operations.iter().map(api::Operation::permission).collect();
    others.sort_unstable();
    others.dedup();
    for word in others.into_iter().filter(|word| !known(word)) {
        writeln!(text, "| {word} | {} |", routes(openapi, word)).expect("a string takes text");
    }
    text
}

fn routes(openapi: &Value, permission: &str) -> String {
    let operations = api::operations(openapi);
    let asking = operations.iter().filter(|operation| operation.permission() == permission && !operation.is_alias());
    asking.map(|operation| format!("`{} {}`", operation.method, operation.path)).collect::<Vec<_>>().join("<br>")
}
