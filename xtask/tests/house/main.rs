//! The rules of the house as tests: the crate line, the gates, sizes, names, and that the reference documents are fresh.
//!
//! Each failure names the place and says what to do. Ratchet lists (`ratchet.txt`) only shrink.

mod clocks;
mod fence;
mod licences;
mod line;
mod modules;
mod reference;
mod size;
mod source;
mod sql;
mod words;

/// Fails with every violation on a line of its own and the way out at the end.
fn none(violations: &[String], remedy: &str) {
    assert!(violations.is_empty(), "\n{}\n\n{remedy}\n", violations.join("\n"));
}
