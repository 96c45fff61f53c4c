//! The steps of the suite: each runs one cargo command and reports to the tally.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::tally::Tally;
use crate::children::Group;
use crate::failure::{Failure, Outcome};
use crate::workspace;

/// The formatting of every file.
pub(super) async fn fmt(tally: &mut Tally) -> Outcome {
    check(tally, &["fmt", "--all", "--check"], "run `cargo fmt --all`").await
}

/// The lints, all of them errors.
pub(super) async fn clippy(tally: &mut Tally) -> Outcome {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    check(tally, &arguments, "correct what clippy names above").await
}

/// `deny.toml`, where cargo-deny is installed. It asks the network for advisories, so it is never installed from
/// here; licences and gates are also tests of our own that need no network.
pub(super) async fn deny(tally: &mut Tally) -> Outcome {
    let version = Command::new(workspace::cargo()).args(["deny", "--version"]).output().await;
    if !version.is_ok_and(|output| output.status.success()) {
        println!(
            "cargo-deny is not installed: advisories are not checked (licences and crate gates are, by the tests)"
        );
        return Ok(());
    }
    check(tally, &["deny", "check", "licenses", "bans", "sources"], "see deny.toml").await
}

async fn check(tally: &mut Tally, arguments: &[&str], remedy: &str) -> Outcome {
    println!("\n== cargo {}", arguments.join(" "));
    let mut command = cargo(arguments);
    command.stdout(Stdio::inherit());
    let status = Group::start(command)?.wait().await?;
    if !status.success() {
        println!("FAILED: cargo {}: {remedy}", arguments[0]);
        tally.failed += 1;
    }
    Ok(())
}

/// All tests, with these variables in their environment; every line of the runner's output is also given to `heard`.
pub(super) async fn unit(
    tally: &mut Tally,
    variables: &[(&str, &str)],
    heard: &mut (dyn FnMut(&str) + Send),
) -> Outcome {
    let arguments = ["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"];
    println!("\n== cargo {}", arguments.join(" "));
    let mut command = cargo(&arguments);
    command.envs(variables.iter().copied());
    let mut tests = Group::start(command)?;
    let output = tests.child().stdout.take().ok_or_else(|| Failure::new("the runner has no output"))?;
    let failed_before = tally.failed;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.map_err(Failure::during("reading the runner's output"))? {
        heard(&line);
        if let Some(shown) = tally.read(&line) {
            println!("{shown}");
        }
    }
    if !tests.wait().await?.success() && tally.failed == failed_before {
        println!("FAILED: cargo test ended without a test result: it did not compile, or a test binary crashed");
        tally.failed += 1;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.args(arguments).current_dir(workspace::root()).stdout(Stdio::piped());
    command
}
