//! The app of `rust-axum`: its lints and tests as its workflows run them, and its journey beside `tollgate dev`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Project, app, step};
use crate::database::Database;

#[tokio::test]
async fn the_rust_app_works_beside_tollgate_and_takes_a_new_description_over_edits() {
    let project = Project::generated("rust-axum");
    run_workflow(&project, "lint");
    cargo(&project, &["build"]);
    let database = Database::postgres().await.unwrap_or(Database::Embedded);
    println!("the generated app runs on {}", database.kind());
    app::through_the_gate(&project, &database, &program()).await;
    regenerate_over_edits(&project);
    run_workflow(&project, "unit");
    app::keeps_its_rows(&project, &database, &program()).await;
}

/// An entity with what the example has not: a feature of plans, and fields that may be missing.
const LABEL: &str = "\
[entities.label]
feature = \"labels\"
[entities.label.fields]
name = \"string\"
rank = \"integer?\"
hidden = \"boolean?\"
project = \"ref:project?\"

[entities.task]";

fn regenerate_over_edits(project: &Project) {
    project.edit(
        "backend/src/models/task.rs",
        "    pub title: String,",
        "    /// As its author wrote it.\n    pub title: String,",
    );
    project.edit("README.md", "cargo test", "cargo test --all-targets");
    project.edit("tollgate.app.toml", "title = \"string\"", "headline = \"string\"\ncolour = \"string?\"");
    project.edit("tollgate.app.toml", "[entities.task]", LABEL);
    let (code, told) = project.run(&["generate", "board"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("! conflict  backend/src/models/task.rs"), "{told}");
    assert!(told.contains("+ create    backend/src/models/label.rs"), "{told}");
    assert!(told.contains("0005_change_tasks.sql  DESTRUCTIVE"), "{told}");
    assert_eq!(project.run(&["apply-plan", "--dry-run", "board"]).0, 3);
    assert!(!project.at("backend/src/models/label.rs").exists(), "a dry run touches nothing");
    let (code, told) = project.run(&["apply-plan", "--apply", "board"]);
    assert_eq!(code, 3, "{told}");
    let model = std::fs::read_to_string(project.at("backend/src/models/task.rs")).unwrap();
    assert!(model.contains("As its author wrote it."), "the edited file is as it was");
    let (code, told) = project.run(&["apply-plan", "resolve", "board", "backend/src/models/task.rs", "--theirs"]);
    assert_eq!(code, 0, "{told}");
    let readme = std::fs::read_to_string(project.at("README.md")).unwrap();
    assert!(readme.contains("--all-targets") && readme.contains("/labels"), "both changes are in it");
    assert_eq!(project.run(&["generate", "board"]).0, 0, "nothing is left to do");
}

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
