//! Every library we build with may be distributed inside an Apache-2.0 binary.

use xtask::workspace;

use crate::none;

/// Kept equal to the list in `deny.toml`.
const COMPATIBLE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn every_dependency_has_a_compatible_licence() {
    let metadata = workspace::metadata().expect("cargo metadata runs");
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let mut violations = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("(none)");
        if !acceptable(licence) {
            violations.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(packages.len() > 50, "cargo metadata lists the whole graph");
    none(&violations, "Use another library, or, where the licence is compatible, add it here and in deny.toml.");
}

#[test]
fn deny_toml_allows_the_same_licences() {
    let text = workspace::read("deny.toml".as_ref()).expect("deny.toml is there");
    let deny: toml::Table = text.parse().expect("deny.toml is TOML");
    let allowed: Vec<&str> =
        deny["licenses"]["allow"].as_array().expect("a list").iter().filter_map(|l| l.as_str()).collect();
    assert_eq!(allowed, COMPATIBLE);
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    assert!(acceptable("MIT/Apache-2.0"));
    assert!(acceptable("GPL-3.0 OR MIT"));
    assert!(acceptable("ISC AND (GPL-3.0 OR MIT) AND BSD-3-Clause"));
    assert!(acceptable("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
    assert!(!acceptable("GPL-3.0"));
    assert!(!acceptable("MIT AND GPL-3.0"));
    assert!(!acceptable("MIT AND (GPL-3.0 OR AGPL-3.0)"));
    assert!(!acceptable("(none)"));
}

/// Whether an SPDX expression can be satisfied with compatible licences alone.
fn acceptable(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    either(&mut rest) && rest.is_empty()
}

fn either(tokens: &mut &[&str]) -> bool {
    let mut satisfied = both(tokens);
    while tokens.first() == Some(&"OR") {
        *tokens = &tokens[1..];
        satisfied |= both(tokens);
    }
    satisfied
}

fn both(tokens: &mut &[&str]) -> bool {
    let mut satisfied = single(tokens);
    while tokens.first() == Some(&"AND") {
        *tokens = &tokens[1..];
        satisfied &= single(tokens);
    }
    satisfied
}

fn single(tokens: &mut &[&str]) -> bool {
    match *tokens {
        ["(", inner @ ..] => {
            *tokens = inner;
            let satisfied = either(tokens);
            *tokens = tokens.get(1..).unwrap_or_default();
            satisfied
        }
        [licence, "WITH", exception, rest @ ..] => {
            let licence = format!("{licence} WITH {exception}");
            *tokens = rest;
            COMPATIBLE.contains(&licence.as_str())
        }
        [licence, rest @ ..] => {
            let satisfied = COMPATIBLE.contains(licence);
            *tokens = rest;
            satisfied
        }
        [] => false,
    }
}
