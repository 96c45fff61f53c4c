//! What is done for one org goes through both fences (ADR 0013): it holds an `OrgScope`, and asks the engine for a connection with it.

use syn::visit::Visit;

use crate::none;
use crate::source::{self, only_in_tests};

/// Files where a function with an `OrgScope` reads as the trusted role, each with its reason.
const TRUSTED: &[&str] = &[
    // The ledger's hot path: an org's first touch reads its standing; every statement there names the org.
    "crates/engine/src/ledger/standing.rs",
];

#[test]
fn whoever_holds_a_scope_connects_with_it() {
    let mut violations = Vec::new();
    for file in source::all().iter().filter(|file| file.path.starts_with("crates/engine/src/") && !file.is_test()) {
        if TRUSTED.contains(&file.path.as_str()) {
            continue;
        }
        let mut found = Functions::default();
        found.visit_file(&file.syntax());
        violations.extend(found.lines.iter().map(|(line, name)| format!("{}:{line}: {name}", file.path)));
    }
    none(&violations, "Use engine.read_for(scope) and engine.begin_for(scope), or list the file with its reason.");
}

/// Functions that are given an `OrgScope` and connect without it.
#[derive(Default)]
struct Functions {
    lines: Vec<(usize, String)>,
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let scoped = function.sig.inputs.iter().any(|input| match input {
            syn::FnArg::Typed(typed) => names_scope(&typed.ty),
            syn::FnArg::Receiver(_) => false,
        });
        if scoped && !only_in_tests(&function.attrs) {
            let mut calls = Calls::default();
            calls.visit_block(&function.block);
            self.lines.extend(calls.lines.into_iter().map(|line| (line, function.sig.ident.to_string())));
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !only_in_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }
}

fn names_scope(kind: &syn::Type) -> bool {
    match kind {
        syn::Type::Reference(reference) => names_scope(&reference.elem),
        syn::Type::Path(path) => path.path.segments.last().is_some_and(|segment| segment.ident == "OrgScope"),
        _ => false,
    }
}

/// `….db().read()` and `….db().begin(…)`.
#[derive(Default)]
struct Calls {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let of_db = matches!(&*call.receiver, syn::Expr::MethodCall(inner) if inner.method == "db");
        if of_db && (call.method == "read" || call.method == "begin") {
            self.lines.push(call.method.span().start().line);
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}
