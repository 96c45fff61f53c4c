//! Statements about flags. `org_key` 0 is the global map.

use serde_json::{Map, Value};

use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[&FLAGS, &SET, &REMOVE];

const FLAGS: Statement =
    Statement::new("flags.of", "SELECT name, value FROM operator_flags WHERE org_key = $1 ORDER BY name LIMIT 200");

pub(super) async fn flags(connection: &mut Connection, org_key: i64) -> Result<Map<String, Value>, Error> {
    let rows = connection.all(&FLAGS, &[org_key.into()]).await?;
    let read = |row: &crate::db::Row| {
        let value =
            serde_json::from_str(&row.text("value")?).map_err(|error| Error::Bug(format!("a stored flag: {error}")))?;
        Ok((row.text("name")?, value))
    };
    rows.iter().map(read).collect()
}

const SET: Statement = Statement::new(
    "flags.set",
    "INSERT INTO operator_flags (org_key, name, value, updated_at)
     VALUES ($1, $2, $3, $4)
     ON CONFLICT (org_key, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
);

pub(super) async fn set(tx: &mut Tx, org_key: i64, name: &str, value: &Value, at: Timestamp) -> Result<(), Error> {
    tx.execute(&SET, &[org_key.into(), name.into(), value.to_string().into(), at.into()]).await.map(|_| ())
}

const REMOVE: Statement = Statement::new("flags.remove", "DELETE FROM operator_flags WHERE org_key = $1 AND name = $2");

pub(super) async fn remove(tx: &mut Tx, org_key: i64, name: &str) -> Result<(), Error> {
    tx.execute(&REMOVE, &[org_key.into(), name.into()]).await.map(|_| ())
}
