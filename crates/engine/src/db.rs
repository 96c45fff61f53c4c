//! The only way to the database: one thin layer over two concrete drivers.
//!
//! It owns connections, transactions, lanes, migrations and the rules a database must keep before we start on it.
//! Words: a [`Statement`] is a named static text with `$1` placeholders; a [`Connection`] reads; a [`Tx`] also writes;
//! a [`Lane`] is who is writing, so that the ledger and the control plane cannot starve each other.
//! It must not know any noun's tables (those live in each noun's `sql.rs`) and never builds SQL from values.
//!
//! Types: booleans are BIGINT 0/1, times BIGINT µs, ids and JSON are TEXT. No `now()` in SQL.

mod arg;
mod error;
mod fence;
#[cfg(test)]
mod fence_tests;
pub(crate) mod migrations;
mod postgres;
mod row;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;
mod tx;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;
use tracing::Instrument as _;

use crate::clock::WallClock;
use crate::limits::Limits;

pub use arg::{Arg, Columns};
pub use error::{Error, OpenError};
pub use fence::Fence;
pub use row::Row;
pub use statement::Statement;
#[cfg(test)]
pub(crate) use tx::STATEMENTS as STATEMENTS_RUN;
pub use tx::{Connection, Tx};

pub(crate) use fence::STATEMENTS as FENCE_STATEMENTS;
pub(crate) use migrations::STATEMENTS;
pub(crate) use sqlite::{check_file, lock as lock_file, open_copy};

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Source {
    /// The embedded database: one file, one process.
    Sqlite {
        /// The database file; its folder must exist.
        path: PathBuf,
    },
    /// A PostgreSQL server (version 15 or later), shared by any number of nodes.
    Postgres {
        /// Connection URL; it may carry a password.
        url: SecretString,
    },
}

/// What to do when the database's schema is older than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// Bring the schema up to date.
    Apply,
    /// Refuse to open, so that a person decides when to migrate.
    Refuse,
}

/// Which of the two databases this is; some statements have a text for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The embedded database.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// Who writes. The ledger's group commits never wait behind more than one control transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The group-commit writer.
    Ledger,
    /// Everything else: at most 500 rows a transaction.
    Control,
}

/// A cheap handle to the database.
#[derive(Debug, Clone)]
pub struct Db(Arc<Backend>);

#[derive(Debug)]
enum Backend {
    Sqlite(Box<sqlite::Store>),
    Postgres(postgres::Store),
}

impl Db {
    /// Opens the database, checks the start-up rules of its kind and brings (or refuses) the schema.
    ///
    /// # Errors
    /// [`OpenError`] says which rule is broken and what to do about it.
    pub async fn open(source: &Source, migrate: Migrate, limits: &Limits, wall: &WallClock) -> Result<Db, OpenError> {
        let backend = match source {
            Source::Sqlite { path } => Backend::Sqlite(Box::new(sqlite::Store::open(path, limits).await?)),
            Source::Postgres { url } => Backend::Postgres(postgres::Store::open(url, limits, wall).await?),
        };
        let db = Db(Arc::new(backend));
        migrations::run(&db, migrate, wall).await?;
        fence::raise(&db, migrate).await?;
        Ok(db)
    }

    /// Which database this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &*self.0 {
            Backend::Sqlite(_) => Kind::Sqlite,
            Backend::Postgres(_) => Kind::Postgres,
        }
    }

    /// A connection for reading. On PostgreSQL every statement sees what is committed when it starts.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had in time.
    pub async fn read(&self) -> Result<Connection, Error> {
        match &*self.0 {
            Backend::Sqlite(store) => store.read().await,
            Backend::Postgres(store) => store.read().await,
        }
    }

    /// A connection for reading one org's rows: on PostgreSQL behind the second fence, where no other org's can be seen.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub(crate) async fn read_for(&self, org_key: i64) -> Result<Connection, Error> {
        match &*self.0 {
            Backend::Sqlite(store) => store.read().await,
            Backend::Postgres(store) => store.read_for(org_key).await,
        }
    }

    /// Begins a transaction of the control plane for one org: on PostgreSQL behind the second fence.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub(crate) async fn begin_for(&self, org_key: i64) -> Result<Tx, Error> {
        match &*self.0 {
            Backend::Sqlite(store) => store.begin(Lane::Control).await,
            Backend::Postgres(store) => store.begin_for(org_key).await,
        }
    }

    /// How the second fence stands; none on the embedded database, which has no roles.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(crate) async fn fence(&self) -> Result<Option<Fence>, Error> {
        match &*self.0 {
            Backend::Sqlite(_) => Ok(None),
            Backend::Postgres(store) => Ok(Some(Fence { in_use: store.fenced(), ..fence::look(self).await? })),
        }
    }

    async fn use_fence(&self) -> Result<(), Error> {
        match &*self.0 {
            Backend::Sqlite(_) => Ok(()),
            Backend::Postgres(store) => store.use_fence().await,
        }
    }

    /// Begins a write transaction in a lane. Dropping it without [`Tx::commit`] rolls back.
    ///
    /// Call it inside [`Db::detached`], so that a cancelled request cannot cut a transaction in two.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many control transactions are waiting, [`Error::Unavailable`] when the database does not answer.
    pub async fn begin(&self, lane: Lane) -> Result<Tx, Error> {
        match &*self.0 {
            Backend::Sqlite(store) => store.begin(lane).await,
            Backend::Postgres(store) => store.begin(lane).await,
        }
    }

    /// Runs a write in a task of its own: when the caller is cancelled, the write still ends whole.
    ///
    /// # Errors
    /// Whatever the future returns; a panic inside it becomes [`Error::Bug`].
    pub async fn detached<T, E, F>(&self, write: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        // Boxed, so that the machinery of a task is compiled once per outcome, not once for each of the hundreds of writes.
        let write: Pin<Box<dyn Future<Output = Result<T, E>> + Send>> = Box::pin(write);
        match tokio::spawn(write.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(join) => Err(Error::Bug(format!("a detached write ended abnormally: {join}")).into()),
        }
    }

    /// Copies the embedded database into `target` while it runs (a prefix of history, checked by its reader).
    ///
    /// # Errors
    /// [`Error::Bug`] on PostgreSQL (callers hand over to `pg_dump` before), [`Error::Unavailable`] when the copy fails.
    pub(crate) async fn copy_into(&self, target: &Path) -> Result<(), Error> {
        match &*self.0 {
            Backend::Sqlite(store) => store.copy_into(target).await,
            Backend::Postgres(_) => Err(Error::Bug("a PostgreSQL database is copied with pg_dump".to_owned())),
        }
    }

    /// The data file of an embedded database.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Backend::Sqlite(store) => Some(store.path()),
            Backend::Postgres(_) => None,
        }
    }

    /// Closes every connection; later calls answer [`Error::Unavailable`]. The embedded database is checkpointed first.
    pub async fn close(&self) {
        match &*self.0 {
            Backend::Sqlite(store) => store.close().await,
            Backend::Postgres(store) => store.close().await,
        }
    }
}
