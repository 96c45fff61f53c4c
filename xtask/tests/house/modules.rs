//! Modules say what they own and are named by what they promise.

use syn::visit::Visit;
use xtask::workspace;

use crate::none;
use crate::source;

/// Names that promise nothing and so become drawers.
const DRAWERS: &[&str] = &[
    "core", "common", "types", "util", "utils", "helper", "helpers", "model", "models", "service", "services", "misc",
];

#[test]
fn every_module_opens_with_its_purpose() {
    let opens = |text: &str| text.trim_start().starts_with("//!");
    let silent = source::all().iter().filter(|file| !opens(&file.text));
    let violations: Vec<String> = silent.map(|file| file.path.clone()).collect();
    none(&violations, "Begin the file with `//!`: what it owns, its words, what it must not do.");
}

#[test]
fn no_module_has_a_name_that_promises_nothing() {
    let drawer = |part: &str| DRAWERS.contains(&part.trim_end_matches(".rs"));
    let named = source::all().iter().filter(|file| file.path.split('/').any(drawer));
    let violations: Vec<String> = named.map(|file| file.path.clone()).collect();
    none(&violations, "Name the module by what it promises; a noun of the product's glossary is best.");
}

#[test]
fn lints_are_expected_with_a_reason_and_never_silenced() {
    let mut violations = Vec::new();
    for file in source::all() {
        let mut attributes = Silencers::default();
        attributes.visit_file(&file.syntax());
        violations.extend(attributes.found.iter().map(|line| format!("{}:{line}", file.path)));
    }
    none(&violations, "Write `#[expect(lint, reason = \"…\")]` instead, so that it goes when its cause goes.");
}

#[test]
fn every_crate_of_the_workspace_takes_the_shared_lints() {
    let manifests = workspace::files().expect("the tree is readable").into_iter();
    let members = manifests.filter(|file| file.ends_with("Cargo.toml") && file.components().count() > 1);
    let mut violations = Vec::new();
    for manifest in members {
        let text = workspace::read(&manifest).expect("manifests are UTF-8");
        let table: toml::Table = text.parse().expect("manifests are TOML");
        let shared = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        if shared != Some(true) {
            violations.push(manifest.display().to_string());
        }
    }
    none(&violations, "Add `[lints]` with `workspace = true`.");
}

#[derive(Default)]
struct Silencers {
    found: Vec<usize>,
}

impl<'ast> Visit<'ast> for Silencers {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let silences = attribute.path().is_ident("allow")
            || (attribute.path().is_ident("cfg_attr")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("allow (")));
        if silences {
            self.found.push(attribute.pound_token.spans[0].start().line);
        }
    }
}
