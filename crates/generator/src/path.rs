//! Paths inside a project: relative, with `/`, and unable to leave it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest path we write; file systems take 255 bytes per part and most tools 4,096 in all.
const BYTES_MAX: usize = 400;

/// A path below the project's directory. It has no `..`, no empty part, no backslash and no control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

/// Why a text is no path inside a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is not a path inside the project: {why}")]
pub struct Refused {
    path: String,
    why: &'static str,
}

impl RelPath {
    /// Reads a path.
    ///
    /// # Errors
    /// It could point outside the project, or means different things on different systems.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        match fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(Refused { path: text.to_owned(), why }),
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This path with something behind its last part.
    #[must_use]
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }

    /// This path below a directory.
    #[must_use]
    pub(crate) fn below(&self, directory: &str) -> Self {
        Self(format!("{directory}/{}", self.0))
    }

    /// What two paths share when a system that ignores case takes them for one.
    #[must_use]
    pub(crate) fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

fn fault(text: &str) -> Option<&'static str> {
    let parts = || text.split('/');
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > BYTES_MAX {
        return Some("it is too long");
    }
    if text.starts_with('/') {
        return Some("it is absolute");
    }
    if text.contains(['\\', ':']) || text.chars().any(char::is_control) {
        return Some("it has a character that other systems read differently");
    }
    if parts().any(|part| part == ".." || part == "." || part.is_empty()) {
        return Some("it has an empty part, . or ..");
    }
    if parts().any(|part| part.ends_with(['.', ' ']) || part.len() > 255) {
        return Some("a part of it is too long or ends in a dot or space");
    }
    None
}

impl TryFrom<String> for RelPath {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        Self::parse(&text)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::RelPath;

    #[test]
    fn a_path_that_could_leave_the_project_is_refused() {
        for text in ["", "/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a\\b", "C:x", "a\0b", "a/.", "a ", "b./c"]
        {
            assert!(RelPath::parse(text).is_err(), "{text:?}");
        }
        for text in ["a", "a/b.rs", ".github/workflows/unit.yml", ".tollgate/base/a"] {
            assert!(RelPath::parse(text).is_ok(), "{text:?}");
        }
    }
}
