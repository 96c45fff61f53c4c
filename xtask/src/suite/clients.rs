//! Stripe's official clients, for the test that lets them speak to the sandbox: installed into `target/official-clients` from
//! the registries that npm and pip are configured with, at the versions and hashes of the lock files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::setup::program;
use crate::workspace;

/// Where the test looks for them.
pub(super) const VARIABLE: &str = "TOLLGATE_OFFICIAL_CLIENTS";
/// A registry that does not answer must not hold up the suite.
const INSTALL_MAX: Duration = Duration::from_secs(120);

/// Installs what is missing; the folder. A client that cannot be installed is left out, and its test says so.
pub(super) async fn ensure() -> PathBuf {
    let folder = workspace::root().join("target/official-clients");
    let locked = workspace::root().join("crates/sandbox/tests/official");
    node(&folder.join("node"), &locked.join("node")).await;
    python(&folder.join("python"), &locked.join("python/requirements.txt")).await;
    folder
}

async fn node(folder: &Path, locked: &Path) {
    let files = ["package.json", "package-lock.json"];
    if current(folder, &locked.join("package-lock.json"), "node_modules") || program("npm").is_none() {
        return;
    }
    let copied = std::fs::create_dir_all(folder)
        .and_then(|()| files.iter().try_for_each(|file| std::fs::copy(locked.join(file), folder.join(file)).map(drop)));
    if copied.is_ok() {
        let mut command = Command::new("npm");
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        finish("the Stripe client for Node", command, (folder, &locked.join("package-lock.json"))).await;
    }
}

async fn python(folder: &Path, requirements: &Path) {
    if current(folder, requirements, "site") || program("pip3").or_else(|| program("pip")).is_none() {
        return;
    }
    if std::fs::create_dir_all(folder).is_ok() {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
        command.args(["--no-deps", "--only-binary", ":all:", "--upgrade", "--target"]).arg(folder.join("site"));
        command.arg("-r").arg(requirements);
        finish("the Stripe client for Python", command, (folder, requirements)).await;
    }
}

/// Whether what is installed was installed from this lock file.
fn current(folder: &Path, lock: &Path, inside: &str) -> bool {
    let stamp = std::fs::read(folder.join("installed.lock"));
    folder.join(inside).is_dir() && stamp.is_ok_and(|stamp| std::fs::read(lock).is_ok_and(|lock| lock == stamp))
}

async fn finish(what: &str, mut command: Command, (folder, lock): (&Path, &Path)) {
    println!("== installing {what}");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(INSTALL_MAX, command.status()).await {
        Ok(Ok(status)) if status.success() => {
            // Without the mark it is installed anew the next time.
            let _ = std::fs::copy(lock, folder.join("installed.lock"));
        }
        _ => println!("{what} could not be installed: its registry is not there; the test of it is left out"),
    }
}
