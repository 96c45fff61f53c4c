//! Starter apps: the commands, the generated app's own checks, and the app beside `tollgate dev`.

mod app;
mod killed;
mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::server::tollgate;

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

/// What somebody changes by hand.
struct Edit {
    path: &'static str,
    from: &'static str,
    to: &'static str,
}

/// What regeneration has to cope with in the app of one template.
struct Edited {
    /// The file that the new description changes too.
    model: Edit,
    /// The others.
    merged: &'static [Edit],
    /// What stands for the task's title in the new description.
    title: &'static str,
    /// A file of the new entity.
    created: &'static str,
    /// The migration that takes the title away.
    migration: &'static str,
}

/// A generated project in a directory of its own.
struct Project {
    place: TempDir,
}

impl Project {
    fn empty() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    fn generated(template: &str) -> Self {
        let project = Self::empty();
        let (code, told) = project.run(&["generate", "board", "--template", template]);
        assert_eq!(code, 0, "{told}");
        project
    }

    /// A command in this place: its exit code, and all it said.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let output = self.command(words).output().unwrap();
        (output.status.code().unwrap_or(-1), said(&output))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = tollgate();
        command.args(words).current_dir(self.place.path());
        command
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join("production_projects/board").join(path)
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.at(path)).unwrap();
        assert!(text.contains(from), "{path} has {from:?}");
        std::fs::write(self.at(path), text.replacen(from, to, 1)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    /// Edits files by hand, describes one entity more and another field, and applies the plan: the file that both changed is a
    /// conflict, which is resolved; what only one side changed is merged.
    fn regenerated_over(&self, edited: &Edited) {
        for edit in std::iter::once(&edited.model).chain(edited.merged) {
            self.edit(edit.path, edit.from, edit.to);
        }
        self.edit("tollgate.app.toml", "title = \"string\"", edited.title);
        self.edit("tollgate.app.toml", "[entities.task]", LABEL);
        let (code, told) = self.run(&["generate", "board"]);
        assert_eq!(code, 3, "{told}");
        let model = edited.model.path;
        for line in [
            format!("! conflict  {model}"),
            format!("+ create    {}", edited.created),
            format!("{}  DESTRUCTIVE", edited.migration),
        ] {
            assert!(told.contains(&line), "{told}");
        }
        assert_eq!(self.run(&["apply-plan", "--dry-run", "board"]).0, 3);
        assert!(!self.at(edited.created).exists(), "a dry run touches nothing");
        let (code, told) = self.run(&["apply-plan", "--apply", "board"]);
        assert_eq!(code, 3, "{told}");
        assert!(self.read(model).contains("As its author wrote it."), "the edited file is as it was");
        let (code, told) = self.run(&["apply-plan", "resolve", "board", model, "--theirs"]);
        assert_eq!(code, 0, "{told}");
        for edit in edited.merged {
            assert!(self.read(edit.path).contains(edit.to), "{} keeps the edit", edit.path);
        }
        assert!(self.read("README.md").contains("/labels"), "and has what is new");
        assert_eq!(self.run(&["generate", "board"]).0, 0, "nothing is left to do");
    }

    /// What the steps of one of the app's workflow files run, read from it.
    fn workflow(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.at(&format!(".github/workflows/{name}.yml"))).unwrap();
        let steps = text.lines().filter_map(|line| line.trim().strip_prefix("- run: ")).map(str::to_owned);
        let steps: Vec<String> = steps.collect();
        assert!(!steps.is_empty(), "{name}.yml runs something");
        steps
    }

    /// Every file with its bytes.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.at(""), &mut files);
        files.sort();
        files
    }
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => collect(&path, files),
            path => files.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
}

/// All that a process said.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Runs a step in a directory of the app, and tells what it said where it failed.
fn step(mut command: Command, directory: &Path) {
    let output = command.current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{command:?} in the generated app:\n{}", said(&output));
}

#[test]
fn an_example_is_printed_and_wrong_names_and_descriptions_are_refused() {
    let project = Project::empty();
    let (code, example) = project.run(&["generate", "--example"]);
    assert_eq!(code, 0);
    let spec = project.place.path().join("app.toml");
    std::fs::write(&spec, example.replace("features =", "colour = 1\nfeatures =")).unwrap();
    let (code, told) = project.run(&["generate", "board", "--spec", "app.toml"]);
    assert_eq!((code, told.contains("tollgate.app.toml:10: unknown field `colour`")), (1, true), "{told}");
    assert!(!project.place.path().join("production_projects").exists(), "nothing was written");
    for name in ["../up", "a/b", "/abs", "Upper"] {
        assert_eq!(project.run(&["generate", name]).0, 64, "{name}");
    }
    assert_eq!(project.run(&["apply-plan", "missing"]).0, 5);
}

#[test]
fn the_thin_wrapper_runs_the_binary() {
    let project = Project::generated("rust-axum");
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/apply_plan.py");
    let mut command = Command::new("python3");
    command.arg(wrapper).args(["--dry-run", "board"]).env("TOLLGATE_BIN", env!("CARGO_BIN_EXE_tollgate"));
    let Ok(status) = command.current_dir(project.place.path()).stdout(Stdio::null()).status() else {
        println!("SKIPPED: python3 is not installed: tools/apply_plan.py is not run");
        return;
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn autogenerate_prints_what_it_would_run_and_does_nothing_else() {
    for (template, tool) in [("rust-axum", "sqlx migrate run"), ("py-fastapi", "alembic revision --autogenerate")] {
        let project = Project::empty();
        let words = ["generate", "board", "--template", template, "--autogenerate"];
        let (code, told) = project.run(&words);
        assert_eq!((code, told.contains("would write: backend/"), told.contains(tool)), (0, true, true), "{told}");
        assert!(!project.place.path().join("production_projects").exists(), "not even a directory was made");
        assert_eq!(project.run(&words[..4]).0, 0);
        project.edit("tollgate.app.toml", "title = \"string\"", "title = \"string\"\ncolour = \"string?\"");
        let before = project.files();
        let (code, told) = project.run(&["generate", "board", "--autogenerate"]);
        assert_eq!((code, told.contains("0004_change_tasks.")), (0, true), "{told}");
        assert_eq!(project.files(), before, "nothing was written");
    }
}
