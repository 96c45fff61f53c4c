//! `cargo xtask test`: sets up what the tests need, runs every check, and says how many tests ran.
//!
//! A test that cannot run prints a line `SKIPPED: <reason>`; such lines are shown and counted, never hidden.

mod postgres;
mod setup;
mod steps;
mod tally;

use crate::children;
use crate::failure::{Failure, Outcome};
use postgres::Postgres;
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
    println!("\n{tally}");
    done?;
    if tally.failed > 0 {
        return Err(Failure::new("the suite failed; the lines above that begin with FAILED or panicked say where"));
    }
    Ok(())
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
        unless_interrupted(setup::ensure(tally)).await?;
        let postgres = unless_interrupted(Postgres::start(tally)).await?;
        let tested = unless_interrupted(steps::unit(tally, postgres.url())).await;
        postgres.stop().await;
        tested?;
    }
    Ok(())
}

/// Gives up a step on Ctrl-C or SIGTERM; what it started ends with it, and the servers are still stopped in order.
async fn unless_interrupted<T>(step: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        done = step => done,
        stopped = children::interrupted() => Err(stopped.err().unwrap_or_else(|| Failure::new("interrupted"))),
    }
}
