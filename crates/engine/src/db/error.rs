//! What can go wrong with a database, by what the caller does about it.

use sqlx::error::DatabaseError;

/// An error of a statement or transaction.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot answer now (connection, disk, lock, shutdown): say 503 and let the caller retry.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// Too many writers are waiting: refuse at the door.
    #[error("too many writes are waiting")]
    Overloaded,
    /// A unique key is taken; carries the constraint (PostgreSQL) or the columns (SQLite).
    #[error("a unique key is taken: {0}")]
    Conflict(String),
    /// A mistake of ours: wrong SQL, a broken invariant, a column of another type.
    #[error("database bug: {0}")]
    Bug(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        match error {
            sqlx::Error::Database(database) => from_database(&*database),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Error::Unavailable(error.to_string()),
            other => Error::Bug(other.to_string()),
        }
    }
}

fn from_database(error: &dyn DatabaseError) -> Error {
    let code = error.code().unwrap_or_default().into_owned();
    if error.is_unique_violation() {
        let name = error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned);
        return Error::Conflict(name);
    }
    let text = format!("{} ({code})", error.message());
    if unavailable(&code) { Error::Unavailable(text) } else { Error::Bug(text) }
}

/// PostgreSQL: SQLSTATE classes for connection, resources, operator intervention, system errors, and lost races.
/// SQLite: primary result codes BUSY 5, LOCKED 6, NOMEM 7, READONLY 8, INTERRUPT 9, IOERR 10, FULL 13, CANTOPEN 14, PROTOCOL 15 (low byte of the extended code).
fn unavailable(code: &str) -> bool {
    if code.len() == 5 {
        let class = code.get(..2).unwrap_or_default();
        return matches!(class, "08" | "53" | "57" | "58") || matches!(code, "40001" | "40P01" | "55P03" | "25006");
    }
    code.parse::<i64>().is_ok_and(|extended| matches!(extended & 0xff, 5..=10 | 13..=15))
}

/// Why a database cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data file.
    #[error("{path} is in use by another process; stop it, or use its admin socket")]
    InUse {
        /// The lock file.
        path: String,
    },
    /// The SQLite library can corrupt a WAL file (fixed in 3.51.3 and 3.53.0).
    #[error("SQLite {found} can corrupt its WAL file; 3.51.3, or 3.53.0 or later, is needed")]
    SqliteTooOld {
        /// The library's version.
        found: String,
    },
    /// PostgreSQL before 15.
    #[error("PostgreSQL {found} is too old; version 15 or later is needed")]
    PostgresTooOld {
        /// The server's version number (`server_version_num`).
        found: i64,
    },
    /// A setting under which acknowledged writes can be lost.
    #[error("PostgreSQL runs with {setting} = {value}, under which acknowledged writes can be lost; turn it on")]
    NotDurable {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// A standby: decisions are never taken from a replica.
    #[error("this PostgreSQL server is a standby; connect to the primary")]
    Replica,
    /// The clocks differ by more than leases tolerate.
    #[error(
        "this machine's clock and the database's differ by {seconds} s; leases tolerate {tolerated} s: set the clocks"
    )]
    ClockSkew {
        /// How far apart.
        seconds: i64,
        /// How much is tolerated.
        tolerated: i64,
    },
    /// The schema is older than the program and [`super::Migrate::Refuse`] was asked for.
    #[error(
        "the database is at migration {found}, this program needs {needed}; run `tollgate migrate`, or start with --migrate"
    )]
    Unmigrated {
        /// The last applied migration, 0 for an empty database.
        found: i64,
        /// The newest of this program.
        needed: i64,
    },
    /// The schema is newer than the program.
    #[error("the database is at migration {found}, this program knows {known}; use a newer program")]
    Newer {
        /// The last applied migration.
        found: i64,
        /// The newest of this program.
        known: i64,
    },
    /// An applied migration's text was changed afterwards.
    #[error("migration {number} was applied with another text; restore the program or the database it came from")]
    Altered {
        /// Which migration.
        number: i64,
    },
    /// Row-level security cannot be used: the user that connects lacks a right.
    #[error(
        "row-level security cannot be used: {reason}. As a user who may make roles, run in this database: {statements} Then run `tollgate migrate` as before"
    )]
    Fence {
        /// What is missing.
        reason: String,
        /// What to run.
        statements: String,
    },
    /// Anything else the database said.
    #[error("opening the database: {0}")]
    Failed(String),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> OpenError {
        OpenError::Failed(error.to_string())
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> OpenError {
        OpenError::Failed(error.to_string())
    }
}
