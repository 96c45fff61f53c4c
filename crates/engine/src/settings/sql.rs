//! Statements about the server's own settings.

use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&GET, &KEEP, &PUT];

const GET: Statement = Statement::new("settings.get", "SELECT value FROM settings WHERE name = $1");

pub(crate) async fn get(connection: &mut Connection, name: &str) -> Result<Option<String>, Error> {
    let row = connection.optional(&GET, &[name.into()]).await?;
    row.map(|row| row.text("value")).transpose()
}

const KEEP: Statement = Statement::new(
    "settings.keep",
    "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
);

/// Writes the value unless there is one: of two nodes that start together, one wins.
pub(crate) async fn keep(tx: &mut Tx, name: &str, value: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&KEEP, &[name.into(), value.into(), at.into()]).await.map(|_| ())
}

const PUT: Statement = Statement::new(
    "settings.put",
    "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
);

pub(crate) async fn put(tx: &mut Tx, name: &str, value: &str, at: Timestamp) -> Result<(), Error> {
    tx.execute(&PUT, &[name.into(), value.into(), at.into()]).await.map(|_| ())
}
