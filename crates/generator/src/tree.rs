//! The tree: every file the app should have, as the template and the description give it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::path::RelPath;

/// Whose a file is after it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Ours: an edit by hand is a conflict as soon as the template changes.
    Owned,
    /// Its user's, save the parts between `tollgate:begin` and `tollgate:end` comments.
    Region,
    /// Its user's; changes of the template are merged into it.
    Seeded,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum Kind {
    /// Code, configuration or text.
    File,
    /// A numbered migration: written once, never edited again by us.
    Migration {
        /// Whether it takes data away.
        destructive: bool,
    },
}

/// One file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose it is.
    pub class: Class,
    /// What it is for.
    pub kind: Kind,
    /// Whether it may be run.
    pub executable: bool,
    /// Its text, with `\n` at the end of each line.
    pub text: String,
    /// Where it comes from, in words, for the reasons of a plan.
    pub origin: String,
}

/// All files of the app by path.
pub type Tree = BTreeMap<RelPath, Target>;

/// The first two paths that a system which ignores case takes for one, if there are such.
pub(crate) fn case_collision<'a>(paths: impl Iterator<Item = &'a RelPath>) -> Option<(&'a RelPath, &'a RelPath)> {
    let mut seen: BTreeMap<String, &RelPath> = BTreeMap::new();
    for path in paths {
        if let Some(earlier) = seen.insert(path.folded(), path)
            && earlier != path
        {
            return Some((earlier, path));
        }
    }
    None
}
