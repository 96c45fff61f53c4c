//! `cargo xtask docs`: the reference under `docs/reference/`, written from the code so that it cannot differ from it.
//!
//! One file per document; a test compares every document with its committed copy.

mod api;
mod config;
mod db;
mod errors;
mod library;
mod permissions;

use std::path::PathBuf;

use crate::failure::{Failure, Outcome};
use crate::workspace;

/// One generated document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its place in the repository.
    pub path: PathBuf,
    /// Its whole text.
    pub text: String,
}

/// Makes every document that this process can make: all but the settings, which the binary prints.
///
/// # Errors
/// A source is missing something a document must say; the message says what.
pub fn documents() -> Outcome<Vec<Document>> {
    let openapi = tollgate_web::openapi_document();
    let document = |name: &str, body: String| Document {
        path: PathBuf::from("docs/reference").join(name),
        text: format!("<!-- Written by `cargo xtask docs`; change the code instead. -->\n\n{}\n", body.trim_end()),
    };
    Ok(vec![
        document("api.md", api::render(&openapi)),
        document("db.md", db::render()?),
        document("library.md", library::render()?),
        document("errors.md", errors::render()),
        document("permissions.md", permissions::render(&openapi)),
    ])
}

/// Writes every document.
///
/// # Errors
/// A document cannot be made or written.
pub fn write() -> Outcome {
    for document in documents()?.into_iter().chain([config::document()?]) {
        workspace::write(&document.path, &document.text)?;
        println!("{}", document.path.display());
    }
    Ok(())
}

/// Fails when a committed copy differs from what the code says.
///
/// # Errors
/// The stale documents by name.
pub fn check() -> Outcome {
    let stale = stale()?;
    if stale.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("stale: {}; run `cargo xtask docs` and commit the result", stale.join(", "))))
}

/// The documents whose committed copy differs.
///
/// # Errors
/// A document cannot be made.
pub fn stale() -> Outcome<Vec<String>> {
    let fresh = |document: &Document| workspace::read(&document.path).is_ok_and(|committed| committed == document.text);
    let stale = documents()?.into_iter().filter(|document| !fresh(document));
    Ok(stale.map(|document| document.path.display().to_string()).collect())
}

/// A cell of a Markdown table: one line, no bars.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
