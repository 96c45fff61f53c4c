//! Files stop at 500 lines and functions at 60; what is larger stands in `ratchet.txt`, which only shrinks.

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::none;
use crate::source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;

/// `<path> <lines>` or `<path>::<function> <lines>` per line, `#` for comments.
const RATCHET: &str = include_str!("ratchet.txt");

#[test]
fn files_and_functions_stay_small() {
    let measured = too_large();
    let mut violations = Vec::new();
    for (place, lines) in &measured {
        let granted = ratchet().find(|(known, _)| known == place).map_or(0, |(_, granted)| granted);
        if *lines > granted {
            violations.push(format!("{place}: {lines} lines"));
        }
    }
    none(
        &violations,
        "A file holds at most 500 lines and a function 60: split it by what its parts promise. \
         Do not add to ratchet.txt; it only shrinks.",
    );
}

#[test]
fn the_ratchet_list_holds_nothing_that_has_become_smaller() {
    let measured = too_large();
    let grown_out =
        ratchet().filter(|(place, granted)| !measured.iter().any(|(name, lines)| name == place && lines == granted));
    let violations: Vec<String> = grown_out.map(|(place, granted)| format!("{place} {granted}")).collect();
    none(&violations, "These lines of ratchet.txt are out of date: lower the number or delete the line.");
}

fn ratchet() -> impl Iterator<Item = (String, usize)> {
    let entries = RATCHET.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries.map(|line| {
        let (place, lines) = line.rsplit_once(' ').expect("an entry is a place, a space and a number");
        (place.to_owned(), lines.parse().expect("an entry ends in a number"))
    })
}

fn too_large() -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for file in source::all() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push((file.path.clone(), lines));
        }
        let mut functions = Functions::default();
        functions.visit_file(&file.syntax());
        let long = functions.found.into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        found.extend(long.map(|(name, lines)| (format!("{}::{name}", file.path), lines)));
    }
    found
}

/// The functions of a file with their lengths, from `fn` to the closing brace.
#[derive(Default)]
struct Functions {
    found: Vec<(String, usize)>,
}

impl Functions {
    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.span().end().line + 1 - signature.span().start().line;
        self.found.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}
