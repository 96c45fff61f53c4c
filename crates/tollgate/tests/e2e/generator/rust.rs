//! The app of `rust-axum`: its lints and tests as its workflows run them, and its journey beside `tollgate dev`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Edit, Edited, Project, app, step};
use crate::database::Database;

#[tokio::test]
async fn the_rust_app_works_beside_tollgate_and_takes_a_new_description_over_edits() {
    let project = Project::generated("rust-axum");
    run_workflow(&project, "lint");
    cargo(&project, &["build"]);
    let database = Database::postgres().await.unwrap_or(Database::Embedded);
    println!("the generated app runs on {}", database.kind());
    app::through_the_gate(&project, &database, &program()).await;
    project.regenerated_over(&EDITED);
    run_workflow(&project, "unit");
    app::keeps_its_rows(&project, &database, &program()).await;
}

/// What the description comes to here: each file that is edited by hand, and how.
const EDITED: Edited = Edited {
    model: Edit {
        path: "backend/src/models/task.rs",
        from: "    pub title: String,",
        to: "    /// As its author wrote it.\n    pub title: String,",
    },
    merged: &[Edit { path: "README.md", from: "cargo test", to: "cargo test --all-targets" }],
    title: "headline = \"string\"\ncolour = \"string?\"",
    created: "backend/src/models/label.rs",
    migration: "0005_change_tasks.sql",
};

/// The app as it was built.
fn program() -> Vec<String> {
    let built: PathBuf = Path::new(env!("CARGO_BIN_EXE_tollgate")).with_file_name("board");
    vec![built.to_string_lossy().into_owned()]
}

/// Runs cargo in the app with this workspace's lock and target directory.
fn cargo(project: &Project, words: &[&str]) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let lock = project.at("backend/Cargo.lock");
    if !lock.exists() {
        std::fs::copy(workspace.join("Cargo.lock"), &lock).unwrap();
    }
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(words).env("CARGO_TARGET_DIR", workspace.join("target").canonicalize().unwrap());
    step(command, &project.at("backend"));
}

/// What a workflow file of the app runs.
fn run_workflow(project: &Project, name: &str) {
    for line in project.workflow(name) {
        let words = line.strip_prefix("cargo ").expect("the workflows of this app run cargo");
        cargo(project, &words.split(' ').collect::<Vec<_>>());
    }
}
