//! The app of `py-fastapi`: `day-one`, its lints and tests as its workflows run them, and its journey beside
//! `tollgate dev`. Everything runs in one virtual environment below the target directory, so that repeats are quick.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Edit, Edited, Project, app, said, step};
use crate::database::Database;

/// What pip says when the registry cannot be asked.
const UNREACHABLE: &[&str] = &[
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Connection refused",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "(from versions: none)",
];

/// A virtual environment. While one is held no other test installs into it.
struct Environment {
    folder: PathBuf,
    _lock: File,
}

impl Environment {
    /// The environment with what the app is run and tested with; nothing, and a reason on the screen, where Python or
    /// its registry is not there.
    fn ready(project: &Project) -> Option<Self> {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/py-fastapi");
        std::fs::create_dir_all(&place).unwrap();
        let lock = File::create(place.join("lock")).unwrap();
        lock.lock().unwrap();
        let environment = Self { folder: place.canonicalize().unwrap().join("venv"), _lock: lock };
        match environment.prepare(project) {
            Ok(()) => Some(environment),
            Err(reason) => {
                println!("SKIPPED: {reason}: the py-fastapi app is not run");
                None
            }
        }
    }

    fn prepare(&self, project: &Project) -> Result<(), String> {
        let recent = "import sys; sys.exit(sys.version_info < (3, 11))";
        match Command::new("python3").args(["-c", recent]).status() {
            Err(_) => return Err("python3 is not installed".to_owned()),
            Ok(status) if !status.success() => return Err("python3 is older than 3.11".to_owned()),
            Ok(_) => {}
        }
        if !self.folder.join("bin/python").exists() || !self.installs("--version") {
            let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&self.folder).output().unwrap();
            if !made.status.success() {
                return Err(format!("python3 cannot make virtual environments ({})", said(&made).trim()));
            }
        }
        let mut install =
            self.shell("python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt");
        let installed = install.current_dir(project.at("backend")).output().unwrap();
        let text = said(&installed);
        match installed.status.success() {
            true => Ok(()),
            false if UNREACHABLE.iter().any(|sign| text.contains(sign)) => {
                Err("the registry of Python packages does not answer".to_owned())
            }
            false => panic!("the app's requirements cannot be installed:\n{text}"),
        }
    }

    fn installs(&self, word: &str) -> bool {
        let pip = Command::new(self.folder.join("bin/python")).args(["-m", "pip", word]).output();
        pip.is_ok_and(|output| output.status.success())
    }

    /// A line as a workflow runs it, in this environment.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).env("VIRTUAL_ENV", &self.folder);
        command.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        command
    }

    fn run_workflow(&self, project: &Project, name: &str) {
        project.workflow(name).iter().for_each(|line| step(self.shell(line), &project.at("backend")));
    }

    /// How the app is started.
    fn program(&self) -> Vec<String> {
        [&*self.folder.join("bin/python").to_string_lossy(), "-m", "app"].map(str::to_owned).to_vec()
    }
}

#[tokio::test]
async fn the_python_app_works_from_its_first_day_and_takes_a_new_description_over_edits() {
    let project = Project::generated("py-fastapi");
    let Some(environment) = Environment::ready(&project) else { return };
    day_one(&environment);
    environment.run_workflow(&project, "lint");
    let database = Database::postgres().await.unwrap_or(Database::Embedded);
    println!("the generated app runs on {}", database.kind());
    app::through_the_gate(&project, &database, &environment.program()).await;
    project.regenerated_over(&EDITED);
    environment.run_workflow(&project, "lint");
    environment.run_workflow(&project, "unit");
    app::keeps_its_rows(&project, &database, &environment.program()).await;
}

/// From an empty folder to a tested app that could be deployed, with one command.
fn day_one(environment: &Environment) {
    let project = Project::empty();
    let mut command = project.command(&["day-one", "board", "--template", "py-fastapi"]);
    let output = command.env("VIRTUAL_ENV", &environment.folder).output().unwrap();
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains(" passed"), "its tests ran: {told}");
    assert!(told.contains("would run: fly deploy"), "{told}");
    assert!(told.contains("Generated, tested, ready to deploy"), "{told}");
}

/// What the description comes to here: each file that is edited by hand, and how.
const EDITED: Edited = Edited {
    model: Edit {
        path: "backend/app/models/task.py",
        from: "    title: Mapped",
        to: "    #: As its author wrote it.\n    title: Mapped",
    },
    merged: &[
        Edit { path: "backend/app/api/__init__.py", from: "\"\"\"Every route.", to: "\"\"\"Every route of ours." },
        Edit { path: "README.md", from: "pytest  ", to: "pytest -x  " },
    ],
    title: "headline = \"string\"\ncolour = \"string?\"\nowner_project = \"ref:project?\"",
    created: "backend/app/models/label.py",
    migration: "0005_change_tasks.py",
};
