//! The line of crates (invariant 1 of ARCHITECTURE.md, ADR 0001): who may name whom, and who may use which library.

use std::collections::BTreeMap;

use serde_json::Value;
use xtask::workspace;

use crate::none;
use crate::source;

/// Each crate and the crates of ours that it may name.
const LINE: &[(&str, &[&str])] = &[
    ("tollgate-rules", &[]),
    ("tollgate-connectors", &["tollgate-rules"]),
    ("tollgate-engine", &["tollgate-rules", "tollgate-connectors"]),
    ("tollgate-web", &["tollgate-rules", "tollgate-engine"]),
    (
        "tollgate",
        &[
            "tollgate-rules",
            "tollgate-connectors",
            "tollgate-engine",
            "tollgate-web",
            "tollgate-sandbox",
            "tollgate-generator",
        ],
    ),
    ("tollgate-sandbox", &[]),
    ("tollgate-generator", &["tollgate-rules"]),
    (
        "xtask",
        &["tollgate-rules", "tollgate-connectors", "tollgate-engine", "tollgate-web", "tollgate-sandbox", "tollgate"],
    ),
];

/// Libraries that only their owners may use outside tests.
const GATES: &[(&str, &[&str])] = &[
    ("sqlx", &["tollgate-engine", "tollgate-sandbox", "xtask"]),
    ("axum", &["tollgate-web", "tollgate-sandbox", "xtask"]),
    ("reqwest", &["tollgate-connectors", "tollgate-sandbox", "xtask"]),
];

/// What the pure crate may never pull in, even through others: no runtime, no sockets, no SQL, no randomness.
const NEVER_UNDER_RULES: &[&str] = &["tokio", "hyper", "axum", "sqlx", "reqwest", "getrandom", "rand", "tracing"];

#[test]
fn a_crate_names_only_the_crates_before_it() {
    let mut violations = Vec::new();
    for (package, dependencies) in normal_dependencies() {
        let Some((_, allowed)) = LINE.iter().find(|(name, _)| *name == package) else {
            violations.push(format!("{package} is not in the table"));
            continue;
        };
        let ours = dependencies.iter().filter(|name| LINE.iter().any(|(ours, _)| ours == name));
        let wrong = ours.filter(|name| !allowed.contains(&name.as_str()));
        violations.extend(wrong.map(|name| format!("{package} names {name}")));
    }
    none(&violations, "Move the code to the crate that may know both, or change the line with an ADR.");
}

#[test]
fn a_library_is_used_only_by_the_crate_that_owns_its_job() {
    let mut violations = Vec::new();
    for (package, dependencies) in normal_dependencies() {
        for (library, owners) in GATES {
            if dependencies.iter().any(|name| name == library) && !owners.contains(&package.as_str()) {
                violations.push(format!("{package} uses {library}; only {} may", owners.join(", ")));
            }
        }
    }
    none(&violations, "Ask the owning crate for what you need (dev-dependencies are free).");
}

#[test]
fn the_rules_stay_pure_through_all_their_dependencies() {
    let metadata = workspace::metadata().expect("cargo metadata runs");
    let reached = reachable(&metadata, "tollgate-rules");
    let violations: Vec<String> = NEVER_UNDER_RULES
        .iter()
        .filter(|library| reached.iter().any(|name| name == *library))
        .map(|library| format!("tollgate-rules reaches {library}"))
        .collect();
    none(&violations, "The rules decide from their arguments; do the rest in the engine.");
}

#[test]
fn a_crate_declares_only_the_dependencies_it_uses() {
    let mut violations = Vec::new();
    for (package, dependencies) in normal_dependencies() {
        let directory = if package == "xtask" {
            "xtask/".to_owned()
        } else {
            format!("crates/{}/", package.strip_prefix("tollgate-").unwrap_or(&package))
        };
        let sources: Vec<_> = source::all().iter().filter(|file| file.path.starts_with(&directory)).collect();
        for dependency in dependencies {
            let name = dependency.replace('-', "_");
            let named = |text: &str| text.contains(&format!("{name}::")) || text.contains(&format!("use {name}"));
            if !sources.iter().any(|file| named(&file.text)) {
                violations.push(format!("{package} declares {dependency} and does not use it"));
            }
        }
    }
    none(&violations, "Remove the dependency from the crate's Cargo.toml.");
}

/// Each workspace member with the names of its normal and build dependencies.
fn normal_dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = workspace::metadata().expect("cargo metadata runs");
    let members = list(&metadata["workspace_members"]);
    let ours = list(&metadata["packages"]).iter().filter(|package| members.contains(&package["id"]));
    ours.map(|package| {
        let normal = list(&package["dependencies"]).iter().filter(|dependency| dependency["kind"] != "dev");
        (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
    })
    .collect()
}

/// The names of every package a build of this one needs.
fn reachable(metadata: &Value, from: &str) -> Vec<String> {
    let packages = list(&metadata["packages"]);
    let named = |id: &Value| packages.iter().find(|package| &package["id"] == id).map(|package| text(&package["name"]));
    let nodes = list(&metadata["resolve"]["nodes"]);
    let mut ids: Vec<&Value> =
        nodes.iter().map(|node| &node["id"]).filter(|id| named(id).as_deref() == Some(from)).collect();
    let mut next = 0;
    while let Some(id) = ids.get(next).copied() {
        next += 1;
        let edges = nodes.iter().find(|node| &node["id"] == id).map_or(&[][..], |node| list(&node["deps"]));
        let normal = edges.iter().filter(|edge| list(&edge["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
        for edge in normal {
            if !ids.contains(&&edge["pkg"]) {
                ids.push(&edge["pkg"]);
            }
        }
    }
    ids.into_iter().filter_map(named).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
