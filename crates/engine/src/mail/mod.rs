//! The outbox: letters to people, written with the change they tell about and sent afterwards. Table `mail_outbox`.
//!
//! Words: a [`Letter`] says what is told; a queued letter is a row in the use case's transaction and a job that sends it.
//! Invariants: no letter without the change, no change without its letter; what a letter says is sealed while it waits and
//! erased once it is sent or given up (it may hold a link that opens an account); the same letter may arrive twice after a crash,
//! never a different one under its `Message-ID`.

mod queue;
mod send;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

pub use tollgate_connectors::mail::{Letter, is_address};

pub use queue::{Queued, queue};
pub(crate) use send::send;
