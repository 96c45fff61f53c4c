//! What must happen later: a row written in the transaction that wants it, claimed by a lease with an epoch. Table `jobs`.
//!
//! A job is named by kind and key: while one of that name is queued, another is not added; while one of that name runs, the next waits.
//! Invariants: every effect checks the epoch ([`Claimed::still_ours`]), so a worker that lost its lease changes nothing more;
//! a job is safe to run twice; a job that panics is tried again and never ends the process; what failed too often is a dead letter.
//!
//! When a job is due is business time (a moved clock moves it too); leases are wall time.

mod claim;
pub(crate) mod dispatch;
mod enqueue;
mod kind;
mod list;
mod operate;
mod run;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

pub use claim::Claimed;
pub(crate) use enqueue::{Job, enqueue};
pub use kind::Kind;
pub use list::{Filter, Listed, list};
pub use operate::{OperateError, Ran, retry, run};
pub use run::run_due;
pub(crate) use run::{recover, work};

/// How a run of a job went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more to do.
    Done,
    /// It is to run again at this business time: recurring work, or waiting for something outside.
    Again {
        /// When.
        at: tollgate_rules::time::Timestamp,
    },
}

/// Why a run of a job failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It may work later: tried again with growing pauses.
    #[error("{0}")]
    Retry(String),
    /// Trying again is useless: a dead letter at once.
    #[error("{0}")]
    Dead(String),
}

impl From<crate::db::Error> for Failure {
    fn from(error: crate::db::Error) -> Failure {
        Failure::Retry(error.to_string())
    }
}

/// The states of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its time.
    Queued,
    /// A worker has it.
    Running,
    /// Over.
    Done,
    /// Failed too often; a person may retry it.
    Dead,
}

impl State {
    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Done => "done",
            State::Dead => "dead",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<State> {
        [State::Queued, State::Running, State::Done, State::Dead].into_iter().find(|state| state.as_str() == word)
    }
}
