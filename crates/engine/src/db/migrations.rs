//! Small forward migrations, one file per database, each applied in a transaction of its own.
//!
//! Table `schema_migrations`: number, name, checksum of the text, time. The checksum finds a text that was changed after it ran.

use sha2::{Digest, Sha256};

use super::{Db, Error, Kind, Lane, Migrate, OpenError, Statement, Tx};
use crate::clock::WallClock;

/// One step of the schema.
pub(crate) struct Migration {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($number:literal, $file:literal) => {
        Migration {
            number: $number,
            name: $file,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $file, ".sql")),
        }
    };
}

/// Every migration in order. Append only.
pub(crate) const ALL: &[Migration] = &[
    migration!(1, "0001_base"),
    migration!(2, "0002_ledger"),
    migration!(3, "0003_subscriptions"),
    migration!(4, "0004_inbox"),
    migration!(5, "0005_invoices"),
    migration!(6, "0006_accounts"),
    migration!(7, "0007_tokens"),
    migration!(8, "0008_quotes"),
    migration!(9, "0009_money"),
    migration!(10, "0010_grants"),
    migration!(11, "0011_payments"),
    migration!(12, "0012_credits"),
    migration!(13, "0013_erasure"),
    migration!(14, "0014_credentials"),
    migration!(15, "0015_lookups"),
    migration!(16, "0016_refunds"),
    migration!(17, "0017_identity"),
    migration!(18, "0018_mirror"),
];

const ENSURE_TABLE: Statement = Statement::new(
    "db.ensure_migrations_table",
    "CREATE TABLE IF NOT EXISTS schema_migrations (
       number BIGINT NOT NULL PRIMARY KEY,
       name TEXT NOT NULL,
       checksum TEXT NOT NULL,
       applied_at BIGINT NOT NULL
     )",
);
/// Two nodes that start together migrate one after the other.
pub(super) const LOCK_TABLE: Statement =
    Statement::split("db.lock_migrations_table", "SELECT 1", "LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE");
const APPLIED: Statement = Statement::new(
    "db.applied_migrations",
    "SELECT number, checksum FROM schema_migrations ORDER BY number LIMIT 10000",
);
const APPEND: Statement = Statement::new(
    "db.append_migration",
    "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
);
const TABLE_EXISTS: Statement = Statement::split(
    "db.migrations_table_exists",
    "SELECT COUNT(*) AS found FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'",
    "SELECT COUNT(*) AS found FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'schema_migrations'",
);

/// Every statement here.
pub(crate) const STATEMENTS: &[&Statement] = &[&ENSURE_TABLE, &APPLIED, &APPEND, &TABLE_EXISTS];

pub(crate) async fn run(db: &Db, migrate: Migrate, wall: &WallClock) -> Result<(), OpenError> {
    let applied = applied(db).await?;
    let found = check(db.kind(), &applied)?;
    let known = newest();
    if found == known {
        return Ok(());
    }
    match migrate {
        Migrate::Refuse => Err(OpenError::Unmigrated { found, needed: known }),
        Migrate::Apply => {
            for migration in ALL.iter().filter(|migration| migration.number > found) {
                apply(db, migration, wall).await?;
            }
            Ok(())
        }
    }
}

fn newest() -> i64 {
    ALL.last().map_or(0, |migration| migration.number)
}

async fn applied(db: &Db) -> Result<Vec<(i64, String)>, OpenError> {
    let mut connection = db.read().await?;
    if connection.one(&TABLE_EXISTS, &[]).await?.i64("found")? == 0 {
        return Ok(Vec::new());
    }
    let rows = connection.all(&APPLIED, &[]).await?;
    let read = |row: &super::Row| Ok((row.i64("number")?, row.text("checksum")?));
    Ok(rows.iter().map(read).collect::<Result<_, Error>>()?)
}

/// The number of the last applied migration, after comparing what was applied with what we have.
fn check(kind: Kind, applied: &[(i64, String)]) -> Result<i64, OpenError> {
    let found = applied.last().map_or(0, |(number, _)| *number);
    if found > newest() {
        return Err(OpenError::Newer { found, known: newest() });
    }
    for (number, sum) in applied {
        let ours = ALL.iter().find(|migration| migration.number == *number);
        if ours.is_none_or(|migration| checksum(migration.text(kind)) != *sum) {
            return Err(OpenError::Altered { number: *number });
        }
    }
    Ok(found)
}

async fn apply(db: &Db, migration: &'static Migration, wall: &WallClock) -> Result<(), OpenError> {
    let mut tx = db.begin(Lane::Control).await?;
    tx.execute(&ENSURE_TABLE, &[]).await?;
    if tx.kind() == Kind::Postgres {
        tx.execute(&LOCK_TABLE, &[]).await?;
    }
    if already(&mut tx, migration.number).await? {
        return Ok(tx.rollback().await?);
    }
    tx.execute_script(migration.text(db.kind()))
        .await
        .map_err(|error| OpenError::Failed(format!("migration {}: {error}", migration.name)))?;
    let sum = checksum(migration.text(db.kind()));
    tx.execute(&APPEND, &[migration.number.into(), migration.name.into(), sum.into(), wall.now().into()]).await?;
    tx.commit().await?;
    tracing::info!(migration = migration.name, "applied a migration");
    Ok(())
}

async fn already(tx: &mut Tx, number: i64) -> Result<bool, Error> {
    let rows = tx.all(&APPLIED, &[]).await?;
    for row in &rows {
        if row.i64("number")? == number {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Migration {
    /// Its file.
    #[cfg(test)]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn text(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Sqlite => self.sqlite,
            Kind::Postgres => self.postgres,
        }
    }
}

fn checksum(text: &str) -> String {
    crate::clock::hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_file_of_a_migration_stands_in_the_list_in_its_order() {
        for database in ["sqlite", "postgres"] {
            let folder = format!("{}/migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let listed: Vec<String> = ALL.iter().map(|migration| format!("{}.sql", migration.name)).collect();
            assert_eq!(files, listed, "{database}: a file that is not listed is never applied");
            assert!((1..).zip(ALL).all(|(number, migration)| migration.number == number));
        }
    }
}
