//! `config.md`: every setting, printed by the binary itself (`tollgate config reference`).
//!
//! The binary compares the committed copy in its own tests: only there it is certain to be freshly built.

use std::path::PathBuf;
use std::process::Command;

use super::Document;
use crate::failure::{Failure, Outcome};
use crate::workspace;

pub(super) fn document() -> Outcome<Document> {
    // With the features of the whole workspace, so that `cargo build --workspace` and this share what they compile.
    let built = Command::new(workspace::cargo())
        .args(["build", "--quiet", "--locked", "--workspace", "--bin", "tollgate"])
        .current_dir(workspace::root())
        .status()
        .map_err(Failure::during("building tollgate"))?;
    if !built.success() {
        return Err(Failure::new("tollgate does not compile"));
    }
    let own = std::env::current_exe().map_err(Failure::during("finding this program"))?;
    let output = Command::new(own.with_file_name("tollgate"))
        .args(["config", "reference"])
        .current_dir(workspace::root())
        .output()
        .map_err(Failure::during("running tollgate config reference"))?;
    if !output.status.success() {
        return Err(Failure::new(format!("tollgate config reference: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let text = String::from_utf8(output.stdout).map_err(Failure::during("reading the config reference"))?;
    let text = format!("{}\n", text.trim_end());
    Ok(Document { path: PathBuf::from("docs/reference/config.md"), text })
}
