//! What the tests need from the machine: looked for, installed where we may, else named with the command to run.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::tally::Tally;
use crate::failure::Outcome;

/// A server or browser that some tests use.
struct Need {
    name: &'static str,
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
    /// Every inner list must have one program that exists.
    programs: &'static [&'static [&'static str]],
    /// What is left out without it.
    without: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        name: "PostgreSQL",
        packages: &["postgresql"],
        programs: &[&["initdb"], &["postgres"], &["pg_isready"]],
        without: "the tests on PostgreSQL",
    },
    Need {
        name: "Redis",
        packages: &["redis-server"],
        programs: &[&["redis-server", "valkey-server"]],
        without: "the tests with shared counters",
    },
    Need {
        name: "Python",
        packages: &["python3", "python3-venv"],
        programs: &[&["python3"]],
        without: "the tests of the generated Python app",
    },
    Need {
        name: "nginx",
        packages: &["nginx"],
        programs: &[&["nginx"]],
        without: "the tests of the gate behind nginx",
    },
    Need {
        name: "Chromium and its driver",
        packages: &["chromium", "chromium-driver"],
        programs: &[&["chromium", "chromium-browser", "google-chrome"], &["chromedriver"]],
        without: "the tests of the pages in a browser",
    },
];

/// Looks for every need; installs what is missing when we are root or in continuous integration.
pub(super) async fn ensure(tally: &mut Tally) -> Outcome {
    let missing = missing();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
        install(&packages).await;
    }
    for need in self::missing() {
        tally.skip(&format!("{} is not installed: {} are left out", need.name, need.without));
    }
    Ok(())
}

fn missing() -> Vec<&'static Need> {
    let absent = |need: &&Need| !need.programs.iter().all(|names| names.iter().any(|name| program(name).is_some()));
    NEEDS.iter().filter(absent).collect()
}

/// The path of a program: from `PATH`, the administrator's directories, or the newest PostgreSQL's own directory.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    usual.chain(postgres_directory()).map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
}

/// Debian keeps each major version apart; the newest wins.
fn postgres_directory() -> Option<PathBuf> {
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql")).ok()?;
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.flatten().map(|entry| entry.path()).max_by_key(number)?;
    Some(newest.join("bin"))
}

/// The user we run as.
pub(super) fn is_root() -> bool {
    std::process::Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

async fn install(packages: &[&str]) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    if program("apt-get").is_none() || !(is_root() || in_ci) {
        println!("To run every test, first run:\n  sudo apt-get install --yes {}", packages.join(" "));
        return;
    }
    println!("== installing {}", packages.join(" "));
    apt_get(&["update"]).await;
    // One by one: a name this distribution does not know must not keep the others out.
    for package in packages {
        apt_get(&["install", "--yes", "--no-install-recommends", package]).await;
    }
}

async fn apt_get(arguments: &[&str]) {
    let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        command.args(["--non-interactive", "--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
    }
    command.args(["-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    match command.status().await {
        Ok(status) if status.success() => {}
        Ok(status) => println!("apt-get {} failed: {status}", arguments.join(" ")),
        Err(error) => println!("apt-get {} could not run: {error}", arguments.join(" ")),
    }
}
