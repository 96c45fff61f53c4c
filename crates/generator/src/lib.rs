//! Starter apps from a short description, and their regeneration.
//!
//! A **description** (`tollgate.app.toml`) and a **template** give a **tree**: every file the app should have. The
//! first run writes it and keeps a verbatim copy, the **base**. Every later run compares three things, base, what is
//! on **disk** and the new tree, and writes only a **plan**: an action with a reason per file. Applying a plan never
//! takes a line its user wrote: what cannot be merged is a **conflict** and stays as it is.
//!
//! Everything up to the plan is a pure function of its arguments; only [`project`] touches the file system.

pub mod content;
pub mod description;
mod migrations;
pub mod path;
pub mod plan;
pub mod project;
mod render;
mod state;
mod templates;
mod tree;

pub use render::{Commands, Per, Template, TemplateFile};
pub use templates::all as templates;
pub use tree::{Class, Kind, Target, Tree};

/// How many cases a property test runs: the small number in the suite, the large one for a report.
#[cfg(test)]
fn cases(suite: u32, report: u32) -> u32 {
    if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { report } else { suite }
}
