//! What may not stand in any file of the project: unfinished work, this or that machine's paths, registries' hosts.

use std::path::{Path, PathBuf};

use xtask::workspace;

use crate::none;

/// Marks of unfinished work; each written in two halves here, or this file would break its own rule.
const UNFINISHED: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("unimple", "mented!")];

/// Directories of somebody's machine.
const SOMEWHERE: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Use", "rs/"), concat!("/wo", "rk/")];

/// Hosts of package registries: cargo knows its own, and a document has no need to name one.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("docs", ".rs"),
    concat!("registry.npm", "js"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("proxy.go", "lang.org"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
];

#[test]
fn nothing_unfinished_is_committed() {
    none(&mentions(UNFINISHED), "Finish it, or write down in docs/ what is missing and why.");
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    none(&mentions(SOMEWHERE), "Use a path relative to the repository, or one from the configuration.");
}

#[test]
fn no_file_names_the_host_of_a_package_registry() {
    none(&mentions(REGISTRIES), "Say which package it is; the package manager knows where it lives.");
}

/// Every line that holds one of the words.
fn mentions(words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace::files().expect("the tree is readable").into_iter().filter(is_ours) {
        // What is not UTF-8 (an image, a font) holds no words.
        let Ok(text) = workspace::read(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                let shown: String = line.trim().chars().take(100).collect();
                found.push(format!("{}:{}: {shown}", file.display(), number + 1));
            }
        }
    }
    found
}

/// Lock files are written by package managers, minified assets by their authors.
fn is_ours(file: &PathBuf) -> bool {
    let vendored = file.components().any(|part| part.as_os_str() == "vendor");
    file != Path::new("Cargo.lock") && !vendored
}

#[test]
fn continuous_integration_runs_the_command_of_the_readme_and_nothing_else() {
    let read = |path: &str| workspace::read(Path::new(path)).expect("the file is there");
    let script = read(".ci/run");
    let commands: Vec<&str> =
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(commands, ["set -euo pipefail", "cd \"$(dirname \"$0\")/..\"", "exec cargo xtask test"]);
    assert!(read("README.md").contains("$ cargo xtask test\n"));
    for workflow in [".github/workflows/unit.yml", ".github/workflows/lint.yml"] {
        let text = read(workflow);
        let runs: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- run: ")).collect();
        let known =
            |run: &&str| run.starts_with("cargo xtask test --only ") || run.starts_with("rustup component add ");
        assert!(!runs.is_empty() && runs.iter().all(known), "{workflow} runs parts of the suite: {runs:?}");
    }
}
