//! Connections and transactions.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, PgConnection, Postgres, SqlSafeStr, Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::sqlite::WriteGuard;
use super::{Arg, Error, Kind, Row, Statement, arg};

/// A connection that reads: from [`super::Db::read`], or a [`Tx`] (which derefs to it).
#[derive(Debug)]
pub struct Connection(pub(super) Handle);

#[derive(Debug)]
pub(super) enum Handle {
    SqliteRead(PoolConnection<Sqlite>),
    SqliteWrite(WriteGuard),
    PostgresRead(PoolConnection<Postgres>),
    PostgresWrite(Transaction<'static, Postgres>, Option<OwnedSemaphorePermit>),
}

enum Raw<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Connection {
    /// Which database this is, for statements that build their arguments differently.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Handle::SqliteRead(_) | Handle::SqliteWrite(_) => Kind::Sqlite,
            Handle::PostgresRead(_) | Handle::PostgresWrite(..) => Kind::Postgres,
        }
    }

    /// All rows of a query that carries its own `LIMIT`.
    ///
    /// # Errors
    /// [`Error`], by what the caller does about it.
    pub async fn all(&mut self, statement: &'static Statement, args: &[Arg]) -> Result<Vec<Row>, Error> {
        #[cfg(test)]
        counted();
        let sql = statement.text(self.kind());
        let rows = match self.raw() {
            Raw::Sqlite(connection) => {
                let query = sqlx::query_with::<Sqlite, _>(sql, arg::sqlite(args)?);
                let rows: Result<Vec<SqliteRow>, _> = query.fetch_all(connection).await;
                rows.map(|rows| rows.into_iter().map(Row::from).collect())
            }
            Raw::Postgres(connection) => {
                let query = sqlx::query_with::<Postgres, _>(sql, arg::postgres(args)?);
                let rows: Result<Vec<PgRow>, _> = query.fetch_all(connection).await;
                rows.map(|rows| rows.into_iter().map(Row::from).collect())
            }
        };
        rows.map_err(|error| named(statement, error))
    }

    /// The one row of a query, or none.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Bug`] when there is more than one row.
    pub async fn optional(&mut self, statement: &'static Statement, args: &[Arg]) -> Result<Option<Row>, Error> {
        let mut rows = self.all(statement, args).await?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            count => Err(Error::Bug(format!("{}: {count} rows where at most one is possible", statement.name()))),
        }
    }

    /// The one row of a query that always has one.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Bug`] when there is not exactly one row.
    pub async fn one(&mut self, statement: &'static Statement, args: &[Arg]) -> Result<Row, Error> {
        let row = self.optional(statement, args).await?;
        row.ok_or_else(|| Error::Bug(format!("{}: no row where one must be", statement.name())))
    }

    /// Prepares a statement without running it: how a test finds a text that one database does not understand.
    ///
    /// # Errors
    /// [`Error::Bug`] with the database's words.
    pub async fn prepare(&mut self, statement: &'static Statement) -> Result<(), Error> {
        let sql = statement.text(self.kind());
        let prepared = match self.raw() {
            Raw::Sqlite(connection) => connection.prepare(SqlSafeStr::into_sql_str(sql)).await.map(|_| ()),
            Raw::Postgres(connection) => connection.prepare(SqlSafeStr::into_sql_str(sql)).await.map(|_| ()),
        };
        prepared.map_err(|error| named(statement, error))
    }

    fn raw(&mut self) -> Raw<'_> {
        match &mut self.0 {
            Handle::SqliteRead(connection) => Raw::Sqlite(connection),
            Handle::SqliteWrite(guard) => Raw::Sqlite(guard.connection()),
            Handle::PostgresRead(connection) => Raw::Postgres(connection),
            Handle::PostgresWrite(transaction, _) => Raw::Postgres(transaction),
        }
    }
}

/// A write transaction. Only [`Tx::commit`] keeps what it did.
#[derive(Debug)]
pub struct Tx(pub(super) Connection);

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Tx {
    /// Runs a statement and returns how many rows it touched.
    ///
    /// # Errors
    /// [`Error`]. On PostgreSQL an error ends the transaction: use `ON CONFLICT DO NOTHING` where a conflict is expected.
    pub async fn execute(&mut self, statement: &'static Statement, args: &[Arg]) -> Result<u64, Error> {
        #[cfg(test)]
        counted();
        let sql = statement.text(self.kind());
        let touched = match self.0.raw() {
            Raw::Sqlite(connection) => sqlx::query_with::<Sqlite, _>(sql, arg::sqlite(args)?)
                .execute(connection)
                .await
                .map(|done| done.rows_affected()),
            Raw::Postgres(connection) => sqlx::query_with::<Postgres, _>(sql, arg::postgres(args)?)
                .execute(connection)
                .await
                .map(|done| done.rows_affected()),
        };
        touched.map_err(|error| named(statement, error))
    }

    /// Runs a migration's text, many statements at once.
    pub(super) async fn execute_script(&mut self, script: &'static str) -> Result<(), Error> {
        let done = match self.0.raw() {
            Raw::Sqlite(connection) => sqlx::raw_sql(script).execute(connection).await.map(|_| ()),
            Raw::Postgres(connection) => sqlx::raw_sql(script).execute(connection).await.map(|_| ()),
        };
        done.map_err(Error::from)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: on PostgreSQL the commit may have happened (the answer was lost); resolve by id on retry.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0.0 {
            Handle::SqliteWrite(guard) => guard.commit().await,
            Handle::PostgresWrite(transaction, _permit) => Ok(transaction.commit().await?),
            Handle::SqliteRead(_) | Handle::PostgresRead(_) => {
                Err(Error::Bug("a read connection is no transaction".to_owned()))
            }
        }
    }

    /// Undoes everything now; dropping does the same a little later.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is gone, which undoes it too.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.0.0 {
            Handle::SqliteWrite(guard) => guard.rollback().await,
            Handle::PostgresWrite(transaction, _permit) => Ok(transaction.rollback().await?),
            Handle::SqliteRead(_) | Handle::PostgresRead(_) => {
                Err(Error::Bug("a read connection is no transaction".to_owned()))
            }
        }
    }
}

fn named(statement: &Statement, error: sqlx::Error) -> Error {
    match Error::from(error) {
        Error::Bug(text) => Error::Bug(format!("{}: {text}", statement.name())),
        Error::Unavailable(text) => Error::Unavailable(format!("{}: {text}", statement.name())),
        other @ (Error::Conflict(_) | Error::Overloaded) => other,
    }
}

#[cfg(test)]
thread_local! {
    /// Statements run from this thread: what a test counts that runs all it does on one.
    pub(crate) static STATEMENTS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn counted() {
    STATEMENTS.with(|count| count.set(count.get() + 1));
}
