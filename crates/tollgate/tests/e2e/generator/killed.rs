//! `apply-plan` killed with SIGKILL, at moments nobody chose: the project is as it was, or comes to what it should be.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::Project;

/// How often: a few times on every change, a hundred in the report.
fn rounds() -> u32 {
    if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { 100 } else { 6 }
}

/// A line that its user would be angry to lose.
const MINE: &str = "// Mine, and it stays.";

/// A project with an edit and a plan that is not carried out yet.
fn planned() -> Project {
    let project = Project::generated("rust-axum");
    project.edit("backend/src/api/task.rs", "use crate::App;", &format!("{MINE}\nuse crate::App;"));
    project.edit("tollgate.app.toml", "title = \"string\"", "title = \"string\"\ncolour = \"string?\"");
    let label = "[entities.label.fields]\nname = \"string\"\n\n[entities.task]";
    project.edit("tollgate.app.toml", "[entities.task]", label);
    let (code, told) = project.run(&["generate", "board"]);
    assert_eq!(code, 2, "{told}");
    project
}

/// The same project in a place of its own.
fn copy_of(project: &Project) -> Project {
    let copy = Project::empty();
    let copied = Command::new("cp").arg("-a").arg(project.place.path().join(".")).arg(copy.place.path()).status();
    assert!(copied.unwrap().success());
    copy
}

/// The project's files by their place in it, without what one change leaves for the next.
fn state(project: &Project) -> Vec<(PathBuf, Vec<u8>)> {
    let root = project.at("");
    let inside = |path: &Path| path.strip_prefix(&root).unwrap().to_path_buf();
    let files = project.files().into_iter().map(|(path, bytes)| (inside(&path), bytes));
    let passing = |path: &Path| path.starts_with(".tollgate/undo") || path.ends_with("lock");
    files.filter(|(path, _)| !passing(path)).collect()
}

#[test]
fn a_killed_apply_is_finished_by_the_next_one_and_no_line_is_lost() {
    let original = planned();
    let (finished, took) = {
        let project = copy_of(&original);
        let begun = Instant::now();
        assert_eq!(project.run(&["apply-plan", "--apply", "board"]).0, 0);
        (state(&project), begun.elapsed())
    };
    let (mut in_the_middle, mut before, mut after) = (0, 0, 0);
    for round in 0..rounds() {
        let project = copy_of(&original);
        let mut apply = project.command(&["apply-plan", "--apply", "board"]);
        let mut child = apply.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(took * (2 * round + 1) / (2 * rounds()));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        match () {
            () if ended.success() => after += 1,
            () if ["journal", "journal.tmp"].iter().any(|name| project.at(".tollgate").join(name).exists()) => {
                in_the_middle += 1;
            }
            () => before += 1,
        }
        let edited = std::fs::read_to_string(project.at("backend/src/api/task.rs")).unwrap();
        assert!(edited.contains(MINE), "round {round}: the edit is there right after the kill");
        let (code, told) = project.run(&["apply-plan", "--apply", "board"]);
        assert_eq!(code, 0, "round {round}: {told}");
        assert!(state(&project) == finished, "round {round}: the project comes to the same bytes");
    }
    println!(
        "PROOF: regeneration, SIGKILL of apply-plan: {} kills ({before} before its first write, {in_the_middle} in the middle, {after} too late), the same bytes each time, no line lost (one run takes {} ms)",
        rounds(),
        took.max(Duration::from_millis(1)).as_millis()
    );
}
