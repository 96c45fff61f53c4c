//! One row of an answer, whichever database gave it.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use tollgate_rules::time::Timestamp;

use super::Error;

/// A row. Columns are asked for by name; a wrong name or type is [`Error::Bug`].
#[derive(Debug)]
pub struct Row(Inner);

#[derive(Debug)]
enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Row {
        Row(Inner::Sqlite(row))
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Row {
        Row(Inner::Postgres(row))
    }
}

impl Row {
    /// A whole number that is never NULL.
    ///
    /// # Errors
    /// [`Error::Bug`] when the column is missing, NULL or of another type.
    pub fn i64(&self, column: &str) -> Result<i64, Error> {
        self.opt_i64(column)?.ok_or_else(|| null(column))
    }

    /// A whole number or NULL.
    ///
    /// # Errors
    /// [`Error::Bug`] when the column is missing or of another type.
    pub fn opt_i64(&self, column: &str) -> Result<Option<i64>, Error> {
        // SQLite types values, not expressions: `COUNT(*)` or `json_extract` have no declared type to check against.
        match &self.0 {
            Inner::Sqlite(row) => row.try_get_unchecked(column),
            Inner::Postgres(row) => row.try_get(column),
        }
        .map_err(|cause| Error::Bug(format!("column {column}: {cause}")))
    }

    /// A text that is never NULL.
    ///
    /// # Errors
    /// [`Error::Bug`] when the column is missing, NULL or of another type.
    pub fn text(&self, column: &str) -> Result<String, Error> {
        self.opt_text(column)?.ok_or_else(|| null(column))
    }

    /// A text or NULL.
    ///
    /// # Errors
    /// [`Error::Bug`] when the column is missing or of another type.
    pub fn opt_text(&self, column: &str) -> Result<Option<String>, Error> {
        match &self.0 {
            Inner::Sqlite(row) => row.try_get_unchecked(column),
            Inner::Postgres(row) => row.try_get(column),
        }
        .map_err(|cause| Error::Bug(format!("column {column}: {cause}")))
    }

    /// A boolean stored as 0 or 1.
    ///
    /// # Errors
    /// [`Error::Bug`] for anything else.
    pub fn bool(&self, column: &str) -> Result<bool, Error> {
        match self.i64(column)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::Bug(format!("column {column}: {other} is no boolean"))),
        }
    }

    /// A time that is never NULL.
    ///
    /// # Errors
    /// [`Error::Bug`] when the column is missing, NULL or of another type.
    pub fn time(&self, column: &str) -> Result<Timestamp, Error> {
        self.i64(column).map(Timestamp::from_micros)
    }

    /// A time or NULL.
    ///
    /// # Errors
    /// [`Error::Bug`] when the column is missing or of another type.
    pub fn opt_time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.opt_i64(column)?.map(Timestamp::from_micros))
    }
}

fn null(column: &str) -> Error {
    Error::Bug(format!("column {column} is NULL"))
}
