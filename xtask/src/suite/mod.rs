//! `cargo xtask test`: sets up what the tests need, runs every check, and says how many tests ran.
//!
//! A test that cannot run prints a line `SKIPPED: <reason>`; such lines are shown and counted, never hidden.

mod clients;
mod postgres;
mod proofs;
mod setup;
mod steps;
mod tally;

use crate::children;
use crate::clock::Stopwatch;
use crate::failure::{Failure, Outcome};
pub use postgres::Postgres;
use proofs::Proofs;
use tally::Tally;

/// Which part of the suite to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// All of it; what continuous integration runs.
    Everything,
    /// The formatting.
    Fmt,
    /// The lints and the dependency rules.
    Clippy,
    /// The tests.
    Unit,
}

impl Only {
    /// The part of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn parse(name: &str) -> Outcome<Self> {
        match name {
            "fmt" => Ok(Self::Fmt),
            "clippy" => Ok(Self::Clippy),
            "unit" => Ok(Self::Unit),
            other => Err(Failure::new(format!("no part {other:?}; use fmt, clippy or unit"))),
        }
    }
}

/// Runs the suite (or a part) and prints `N passed, N failed, N skipped` as the last line.
///
/// # Errors
/// A check or a test failed, or we were interrupted.
pub async fn run(only: Only) -> Outcome {
    let mut tally = Tally::default();
    let done = parts(only, &mut tally).await;
    if let Err(failure) = &done {
        println!("FAILED: {failure}");
    }
    // The last line, so that a reader of the output finds it without searching.
    println!("\n{tally}");
    if done.is_ok() && tally.failed == 0 { Ok(()) } else { Err(Failure::already_said()) }
}

async fn parts(only: Only, tally: &mut Tally) -> Outcome {
    if matches!(only, Only::Everything | Only::Fmt) {
        unless_interrupted(steps::fmt(tally)).await?;
    }
    if matches!(only, Only::Everything | Only::Clippy) {
        unless_interrupted(steps::clippy(tally)).await?;
        unless_interrupted(steps::deny(tally)).await?;
    }
    if matches!(only, Only::Everything | Only::Unit) {
        tests(tally, &[], &mut |_line| {}).await?;
    }
    Ok(())
}

/// All tests with the servers they need.
async fn tests(tally: &mut Tally, variables: &[(&str, &str)], heard: &mut (dyn FnMut(&str) + Send)) -> Outcome {
    unless_interrupted(setup::ensure(tally)).await?;
    let postgres = unless_interrupted(Postgres::start(tally)).await?;
    let server = postgres.url().map(|url| (postgres::VARIABLE, url));
    let clients = unless_interrupted(async { Ok(clients::ensure().await.display().to_string()) }).await?;
    let clients = (clients::VARIABLE, clients.as_str());
    let variables: Vec<(&str, &str)> = variables.iter().copied().chain(server).chain([clients]).collect();
    let tested = unless_interrupted(steps::unit(tally, &variables, heard)).await;
    postgres.stop().await;
    tested
}

/// Runs the tests at report size and writes what they report into `docs/proofs.md`.
///
/// # Errors
/// A test failed (then nothing is written), or we were interrupted.
pub async fn prove() -> Outcome {
    let mut tally = Tally::default();
    let mut proofs = Proofs::default();
    let watch = Stopwatch::start();
    let done = tests(&mut tally, &[("TOLLGATE_PROOF", "report")], &mut |line| proofs.hear(line)).await;
    println!("\n{tally}");
    done?;
    if tally.failed > 0 {
        return Err(Failure::new("a proof failed; docs/proofs.md is as it was"));
    }
    proofs.write(&tally.to_string(), watch.elapsed())
}

/// Gives up a step on Ctrl-C or SIGTERM; what it started ends with it, and the servers are still stopped in order.
async fn unless_interrupted<T>(step: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        done = step => done,
        stopped = children::interrupted() => Err(stopped.err().unwrap_or_else(|| Failure::new("interrupted"))),
    }
}
