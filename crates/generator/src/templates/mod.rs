//! The templates in the binary. Each is a table: where a file goes, what it says, whose it is afterwards.

mod rust_axum;

use crate::render::{Per, Template, TemplateFile};
use crate::tree::Class;

/// What `--template` takes; the default first.
pub(crate) const IDS: &[&str] = &["rust-axum"];

/// The templates, the default first.
#[must_use]
pub fn all() -> Vec<Template> {
    vec![rust_axum::template()]
}

const fn file(path: &'static str, text: &'static str, class: Class, per: Per) -> TemplateFile {
    TemplateFile { path, text, class, per, feature: None }
}

impl TemplateFile {
    /// Only in apps that have this feature.
    const fn only_with(mut self, feature: &'static str) -> Self {
        self.feature = Some(feature);
        self
    }
}
