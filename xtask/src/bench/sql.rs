//! The SQL of the bare insert loop: the product's own events table, filled without the product.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::failure::{Failure, Outcome};

/// The table of the product that the loop fills.
const TABLE: &str = "usage_events";

/// The rows of one statement, as in the product's own.
const CHUNK_ROWS: usize = 16;

/// One column of the events table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    name: String,
    /// The stored value of a sample row.
    sample: Sample,
}

#[derive(Clone, Debug)]
enum Sample {
    /// A new id in every row.
    Id,
    Integer(i64),
    Text(Option<String>),
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
        let sample = match serde_json::from_str(&sample).unwrap_or_default() {
            _ if name == "request_id" => Sample::Id,
            serde_json::Value::String(text) => Sample::Text(Some(text)),
            other => other.as_i64().map_or(Sample::Text(None), Sample::Integer),
        };
        columns.push(Column { name, sample });
    }
    Ok(columns)
}

/// The multi-row insert of so many rows: bound values, one statement.
fn insertion(columns: &[Column], rows: usize) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let rows = vec![row; rows].join(", ");
    format!("INSERT INTO {TABLE} ({}) VALUES {rows} ON CONFLICT DO NOTHING", names.join(", "))
}

/// Inserts one group in one durable transaction, a row per id; gives the number of rows stored.
pub(super) async fn insert(connection: &mut SqliteConnection, columns: &[Column], ids: &[String]) -> Outcome<u64> {
    let doing = || Failure::during("the bare loop");
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(doing())?;
    let whole = insertion(columns, CHUNK_ROWS);
    let mut stored = 0;
    for chunk in ids.chunks(CHUNK_ROWS) {
        let statement = if chunk.len() == CHUNK_ROWS { whole.clone() } else { insertion(columns, chunk.len()) };
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for id in chunk {
            for column in columns {
                query = match &column.sample {
                    Sample::Id => query.bind(id),
                    Sample::Integer(number) => query.bind(number),
                    Sample::Text(text) => query.bind(text),
                };
            }
        }
        stored += query.execute(&mut *transaction).await.map_err(doing())?.rows_affected();
    }
    transaction.commit().await.map_err(doing())?;
    Ok(stored)
}
