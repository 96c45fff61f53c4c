//! The templates in the binary. Each is a table: where a file goes, what it says, whose it is afterwards.

use crate::render::Template;

/// What `--template` takes; the default first.
pub(crate) const IDS: &[&str] = &["rust-axum", "py-fastapi"];

/// The templates, the default first.
#[must_use]
pub fn all() -> Vec<Template> {
    vec![]
}
