//! The project's own tool: it runs the tests, writes the reference documents and measures.
//!
//! Owns nothing of the product. It may name every crate of the line, starts only processes of its own,
//! and ends only those (by id).

pub mod bench;
pub mod children;
pub mod clock;
pub mod docs;
pub mod failure;
pub mod suite;
pub mod workspace;

use std::path::Path;

use failure::{Failure, Outcome};

const HELP: &str = "\
Usage: cargo xtask <command>

  test [--only fmt|clippy|unit]   set up what the tests need, then format check, lints and all tests
  docs [--check]                  write docs/reference from the code; --check fails when a copy is stale
  prove                           all tests at report size; their figures go into docs/proofs.md
  bench [--quick] [--events N] [--write]
                                  measure a release build; --write puts the figures into docs/benchmarks.md
";

/// Runs one command line (without the program's name).
///
/// # Errors
/// The command failed, or there is no such command.
pub async fn run(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => suite::run(suite::Only::Everything).await,
        ["test", "--only", part] => suite::run(suite::Only::parse(part)?).await,
        ["bench", options @ ..] => bench::run(options).await,
        ["bench-measure", options @ ..] => bench::measure(options).await,
        ["echo-server", ready_file] => bench::serve_echo(Path::new(ready_file)).await,
        ["docs"] => docs::write(),
        ["docs", "--check"] => docs::check(),
        ["prove"] => suite::prove().await,
        ["help" | "--help" | "-h"] | [] => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(Failure::new(format!("no such command: {}\n\n{HELP}", other.join(" ")))),
    }
}
