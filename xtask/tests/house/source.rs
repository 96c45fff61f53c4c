//! Every Rust file of the project, read and parsed once.

use std::path::PathBuf;
use std::sync::OnceLock;

use xtask::workspace;

/// One Rust file.
pub(crate) struct Source {
    /// Relative to the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// The syntax tree. Parsed on demand: trees cannot be shared between the test threads.
    pub(crate) fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// Whether the whole file is test code (inline test modules are told apart by their attribute).
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| {
            matches!(part, "tests" | "tests.rs" | "testing" | "testing.rs" | "benches") || part.ends_with("_tests.rs")
        })
    }

    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// All Rust files.
pub(crate) fn all() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let rust = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "rs");
        let files = workspace::files().expect("the tree is readable").into_iter().filter(rust);
        let read = |file: PathBuf| Source {
            text: workspace::read(&file).expect("source files are UTF-8"),
            path: file.to_string_lossy().replace('\\', "/"),
        };
        files.map(read).collect()
    })
}

/// Whether an item is only there in tests: `#[cfg(test)]` or `#[test]`.
pub(crate) fn only_in_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let named = |name: &str| path.segments.last().is_some_and(|segment| segment.ident == name);
        let cfg_test = path.is_ident("cfg")
            && attribute.parse_args::<syn::Meta>().is_ok_and(|condition| condition.path().is_ident("test"));
        cfg_test || named("test")
    })
}
