//! The templates in the binary. Each is a table: where a file goes, what it says, whose it is afterwards.

mod py_fastapi;
mod rust_axum;

use crate::render::{Per, Template, TemplateFile};
use crate::tree::Class;

/// What `--template` takes; the default first.
pub(crate) const IDS: &[&str] = &["rust-axum", "py-fastapi"];

/// The templates, the default first.
#[must_use]
pub fn all() -> Vec<Template> {
    vec![rust_axum::template(), py_fastapi::template()]
}

/// A file that is its user's after it was made.
const fn seeded(path: &'static str, text: &'static str) -> TemplateFile {
    TemplateFile { path, text, class: Class::Seeded, per: Per::App, feature: None }
}

/// A file that is its user's, save the parts between the markers.
const fn region(path: &'static str, text: &'static str) -> TemplateFile {
    TemplateFile { class: Class::Region, ..seeded(path, text) }
}

/// A file that stays ours.
const fn owned(path: &'static str, text: &'static str) -> TemplateFile {
    TemplateFile { class: Class::Owned, ..seeded(path, text) }
}

impl TemplateFile {
    /// As many of it as there are of something.
    const fn per(mut self, per: Per) -> Self {
        self.per = per;
        self
    }

    /// Only in apps that have this feature.
    const fn only_with(mut self, feature: &'static str) -> Self {
        self.feature = Some(feature);
        self
    }
}
