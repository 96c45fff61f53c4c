//! Time and randomness are arguments (ADR 0003): only the clock modules ask the operating system.

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::none;
use crate::source::{self, only_in_tests};

/// The modules that own the clocks and the entropy, and the tool that measures from outside.
const OWNERS: &[&str] =
    &["crates/engine/src/clock.rs", "crates/engine/src/clock/", "crates/sandbox/src/clock.rs", "xtask/"];

/// Calls that ask the operating system for the time or for randomness, by their last two names.
const ASKING: &[(&str, &str)] = &[
    ("SystemTime", "now"),
    ("Instant", "now"),
    ("Timestamp", "now"),
    ("Zoned", "now"),
    ("getrandom", "fill"),
    ("getrandom", "u64"),
    ("rand", "random"),
    ("rand", "rng"),
    ("Uuid", "now_v7"),
    ("Uuid", "new_v4"),
    ("SystemRandom", "new"),
];

#[test]
fn only_the_clock_modules_ask_for_time_and_randomness() {
    let mut violations = Vec::new();
    let owned = |path: &str| OWNERS.iter().any(|owner| path.starts_with(owner));
    for file in source::all().iter().filter(|file| !file.is_test() && !owned(&file.path)) {
        let mut calls = Calls::default();
        calls.visit_file(&file.syntax());
        violations.extend(calls.found.iter().map(|(line, call)| format!("{}:{line}: {call}", file.path)));
    }
    none(&violations, "Take the time as an argument, or ask the engine's Clocks or Entropy.");
}

#[derive(Default)]
struct Calls {
    found: Vec<(usize, String)>,
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut last = path.segments.iter().rev().map(|segment| segment.ident.to_string());
        if let (Some(function), Some(owner)) = (last.next(), last.next())
            && ASKING.iter().any(|(theirs, asks)| *theirs == owner && *asks == function)
        {
            self.found.push((path.span().start().line, format!("{owner}::{function}")));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !only_in_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }
}
