//! Copies of the embedded database: while it runs, and back again when it does not.
//!
//! A backup is one file, a prefix of history, with its checksum beside it. Before it gets its name, and before it is restored, it is read
//! whole and its ledger is counted again. PostgreSQL is backed up with its own tools.

mod check;
mod create;
mod daily;
mod restore;
#[cfg(test)]
mod tests;

pub use create::{Created, create};
pub(crate) use daily::daily;
pub use daily::{keep_daily, to_delete};
pub use restore::{Restored, restore};

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is PostgreSQL.
    #[error(
        "this database is PostgreSQL: back it up with `pg_dump --format=custom` (or your provider's snapshots) and restore with `pg_restore`"
    )]
    NotEmbedded,
    /// The target is there already: nothing is overwritten.
    #[error("{0} is there already")]
    Exists(String),
    /// The copy is not sound.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// Another process has the data file.
    #[error(transparent)]
    InUse(#[from] crate::db::OpenError),
    /// Files cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The database's.
    #[error(transparent)]
    Database(#[from] crate::db::Error),
}

fn file_error(path: &std::path::Path, error: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), error }
}
