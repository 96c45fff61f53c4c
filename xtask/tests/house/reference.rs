//! The reference documents are those of the code.

use xtask::docs;

use crate::none;

#[test]
fn the_committed_reference_is_what_the_code_says() {
    let stale = docs::stale().unwrap_or_else(|failure| panic!("{failure}"));
    none(&stale, "Run `cargo xtask docs` and commit the result.");
}
