//! The SQL of the bare insert loop: the product's own events table, filled without the product.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::failure::{Failure, Outcome};

/// The table of the product that the loop fills.
const TABLE: &str = "usage_events";

/// One column of the events table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// The stored value of a sample row, as JSON.
    pub(super) sample: String,
}

/// Opens a data file as durably as the product does.
pub(super) async fn open(file: &Path) -> Outcome<SqliteConnection> {
    let options = SqliteConnectOptions::from_str("sqlite:")
        .map_err(Failure::during("the bare loop"))?
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(10))
        .pragma("cache_size", "-65536");
    options.connect().await.map_err(Failure::during(format!("opening {}", file.display())))
}

/// The columns of the events table with the values of its newest row; the row's number is left to the database.
pub(super) async fn columns(connection: &mut SqliteConnection) -> Outcome<Vec<Column>> {
    let doing = || Failure::during(format!("reading {TABLE}"));
    let info = format!("SELECT name, type, pk FROM pragma_table_info('{TABLE}') ORDER BY cid");
    let rows = sqlx::query(AssertSqlSafe(info)).fetch_all(&mut *connection).await.map_err(doing())?;
    let mut columns = Vec::new();
    for row in rows {
        let name: String = row.try_get("name").map_err(doing())?;
        if row.try_get::<i64, _>("pk").map_err(doing())? == 1 {
            continue;
        }
        let newest = format!("SELECT json_quote({name}) FROM {TABLE} ORDER BY rowid DESC LIMIT 1");
        let sample: String =
            sqlx::query_scalar(AssertSqlSafe(newest)).fetch_one(&mut *connection).await.map_err(doing())?;
        columns.push(Column { name, sample });
    }
    Ok(columns)
}

/// The multi-row insert: one JSON array of rows in, one statement.
pub(super) fn insertion(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<String> = (0..columns.len()).map(|place| format!("value ->> {place}")).collect();
    format!(
        "INSERT INTO {TABLE} ({}) SELECT {} FROM json_each($1) WHERE true ON CONFLICT DO NOTHING",
        names.join(", "),
        values.join(", ")
    )
}

/// Inserts one group in one durable transaction; gives the number of rows stored.
pub(super) async fn insert(connection: &mut SqliteConnection, statement: &str, rows: String) -> Outcome<u64> {
    let doing = || Failure::during("the bare loop");
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(doing())?;
    let query = sqlx::query(AssertSqlSafe(statement)).bind(rows);
    let stored = query.execute(&mut *transaction).await.map_err(doing())?.rows_affected();
    transaction.commit().await.map_err(doing())?;
    Ok(stored)
}
