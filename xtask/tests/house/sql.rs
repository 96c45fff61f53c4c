//! SQL is written in one place per crate (invariant 2 of ARCHITECTURE.md).

use proc_macro2::TokenTree;
use syn::visit::Visit;

use crate::none;
use crate::source::{self, Source, only_in_tests};

#[test]
fn sql_is_written_only_in_sql_files() {
    let mut violations = Vec::new();
    for file in source::all().iter().filter(|file| !file.is_test() && !may_hold_sql(file)) {
        let mut literals = Literals::default();
        literals.visit_file(&file.syntax());
        let found = literals.found.iter().filter(|(_, text)| is_sql(text));
        violations.extend(found.map(|(line, text)| format!("{}:{line}: {:?}", file.path, first_line(text))));
    }
    none(&violations, "Move the statement into the noun's sql.rs (the sandbox: store.rs) as a named function.");
}

#[test]
fn statements_are_told_from_sentences() {
    for statement in ["SELECT 1 FROM t", "\n  INSERT INTO t VALUES (1)", "update t set a = 1", "PRAGMA journal_mode"] {
        assert!(is_sql(statement), "{statement}");
    }
    for sentence in ["Select a plan", "Update the card", "With a key you may call", "delete it", "Insert a coin"] {
        assert!(!is_sql(sentence), "{sentence}");
    }
}

fn may_hold_sql(file: &Source) -> bool {
    let place = |name: &str| file.path.split('/').any(|part| part == name);
    matches!(file.file_name(), "sql.rs" | "db.rs")
        || place("sql")
        || place("db")
        || place("migrations")
        || (file.path.starts_with("crates/sandbox/") && (file.file_name() == "store.rs" || place("store")))
}

fn is_sql(text: &str) -> bool {
    let text = text.trim_start().to_ascii_uppercase();
    let has = |word: &str| text.split_whitespace().any(|part| part == word);
    let starts = |words: &str| text.starts_with(words);
    (starts("SELECT ") && has("FROM"))
        || starts("INSERT INTO ")
        || (starts("UPDATE ") && has("SET"))
        || starts("DELETE FROM ")
        || (starts("WITH ") && has("AS") && has("SELECT"))
        || ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE ", "ALTER TABLE ", "DROP TABLE ", "PRAGMA "]
            .iter()
            .any(|words| starts(words))
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default()
}

/// The string literals of a file outside tests, those in macro calls included.
#[derive(Default)]
struct Literals {
    found: Vec<(usize, String)>,
}

impl Literals {
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                        self.found.push((text.span().start().line, text.value()));
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.found.push((literal.span().start().line, literal.value()));
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, _doc_or_other: &'ast syn::Attribute) {}

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !only_in_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }
}
