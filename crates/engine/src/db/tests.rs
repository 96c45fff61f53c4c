//! What holds for both databases.

use super::{Db, Error, Kind, Lane, Migrate, OpenError, Statement};
use crate::clock::WallClock;
use crate::limits::Limits;
use crate::on_both;
use crate::testing::{TestDb, TestEngine};

on_both! {
    async fn every_statement_prepares_on_both_databases(engine: TestEngine) {
        let mut failures = Vec::new();
        for statement in crate::statements() {
            // A connection each: on PostgreSQL a failure would spoil the next.
            let mut connection = engine.engine.db().read().await.unwrap();
            if let Err(error) = connection.prepare(statement).await {
                failures.push(error.to_string());
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    async fn a_dropped_transaction_leaves_nothing(engine: TestEngine) {
        const PUT: Statement = Statement::new(
            "test.put",
            "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)",
        );
        const COUNT: Statement = Statement::new("test.count", "SELECT COUNT(*) AS found FROM settings WHERE name LIKE 'test%'");
        let db = engine.engine.db();
        let mut dropped = db.begin(Lane::Control).await.unwrap();
        dropped.execute(&PUT, &["test-dropped".into(), "x".into(), 1_i64.into()]).await.unwrap();
        drop(dropped);
        let mut kept = db.begin(Lane::Control).await.unwrap();
        kept.execute(&PUT, &["test-kept".into(), "x".into(), 1_i64.into()]).await.unwrap();
        kept.commit().await.unwrap();
        let mut read = db.read().await.unwrap();
        assert_eq!(read.one(&COUNT, &[]).await.unwrap().i64("found").unwrap(), 1);
    }

    async fn a_taken_unique_key_is_a_conflict_and_a_wrong_column_a_bug(engine: TestEngine) {
        const PUT: Statement = Statement::new(
            "test.put_twice",
            "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)",
        );
        let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
        let args = ["twice".into(), "x".into(), 1_i64.into()];
        tx.execute(&PUT, &args).await.unwrap();
        assert!(matches!(tx.execute(&PUT, &args).await, Err(Error::Conflict(_))));
        drop(tx);
        const ONE: Statement = Statement::new("test.one", "SELECT 1 AS found");
        let mut read = engine.engine.db().read().await.unwrap();
        let row = read.one(&ONE, &[]).await.unwrap();
        assert!(matches!(row.opt_text("missing"), Err(Error::Bug(_))));
    }
}

#[test]
fn every_migration_there_is_runs() {
    for kind in ["sqlite", "postgres"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        files.sort_unstable();
        let listed: Vec<&str> = super::migrations::ALL.iter().map(super::migrations::Migration::name).collect();
        assert_eq!(files, listed, "{kind}: list the file in db/migrations.rs");
    }
}

#[test]
fn statement_names_are_unique() {
    let mut names: Vec<_> = crate::statements().iter().map(|statement| statement.name()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[tokio::test]
async fn a_second_opening_of_the_embedded_database_is_refused_until_the_first_is_gone() {
    let test = TestDb::sqlite();
    let (limits, wall) = (Limits::default(), WallClock::system());
    let first = Db::open(&test.source(), Migrate::Apply, &limits, &wall).await.unwrap();
    let second = Db::open(&test.source(), Migrate::Apply, &limits, &wall).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    first.close().await;
    drop(first);
    Db::open(&test.source(), Migrate::Refuse, &limits, &wall).await.unwrap();
}

#[tokio::test]
async fn an_unmigrated_database_is_refused_unless_told_to_migrate() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(test) = TestDb::of(kind, "an_unmigrated_database_is_refused_unless_told_to_migrate").await else {
            continue;
        };
        let refused = Db::open(&test.source(), Migrate::Refuse, &Limits::default(), &WallClock::system()).await;
        assert!(matches!(refused, Err(OpenError::Unmigrated { found: 0, .. })), "{refused:?}");
    }
}

/// Table, column, nullability; and the columns of every unique key.
async fn schema(engine: &TestEngine) -> (Vec<String>, Vec<String>) {
    const COLUMNS: Statement = Statement::split(
        "test.columns",
        "SELECT m.name || '.' || c.name || ' ' || CASE WHEN c.type IN ('INTEGER', 'BIGINT') THEN 'bigint' ELSE lower(c.type) END
             || CASE WHEN c.\"notnull\" = 1 THEN ' not null' ELSE '' END AS line
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY 1",
        "SELECT table_name || '.' || column_name || ' ' || data_type || CASE WHEN is_nullable = 'NO' THEN ' not null' ELSE '' END AS line
         FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1",
    );
    const UNIQUE_KEYS: Statement = Statement::split(
        "test.unique_keys",
        "SELECT line FROM (
           SELECT m.name || ' (' || (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) || ')'
             || CASE WHEN i.partial = 1 THEN ' partial' ELSE '' END AS line
           FROM sqlite_schema m JOIN pragma_index_list(m.name) i
           WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND i.\"unique\" = 1
           UNION ALL
           SELECT m.name || ' (' || c.name || ')' FROM sqlite_schema m JOIN pragma_table_info(m.name) c
           WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND c.pk = 1 AND c.type = 'INTEGER'
         ) ORDER BY 1",
        "SELECT t.relname || ' (' || (SELECT string_agg(a.attname, ', ' ORDER BY k.n)
              FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, n) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) || ')'
              || CASE WHEN i.indpred IS NOT NULL THEN ' partial' ELSE '' END AS line
         FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
         WHERE n.nspname = current_schema() AND i.indisunique ORDER BY 1",
    );
    let mut read = engine.engine.db().read().await.unwrap();
    let mut lines = Vec::new();
    for statement in [&COLUMNS, &UNIQUE_KEYS] {
        let rows = read.all(statement, &[]).await.unwrap();
        let mut found: Vec<String> = rows.iter().map(|row| row.text("line").unwrap()).collect();
        found.sort();
        lines.push(found);
    }
    let keys = lines.pop().unwrap();
    (lines.pop().unwrap(), keys)
}

#[tokio::test]
async fn both_migrations_give_the_same_logical_schema() {
    let name = "both_migrations_give_the_same_logical_schema";
    let Some(postgres) = TestEngine::open(Kind::Postgres, name).await else { return };
    let sqlite = TestEngine::open(Kind::Sqlite, name).await.unwrap();
    let (ours, theirs) = (schema(&sqlite).await, schema(&postgres).await);
    assert!(ours.0.len() > 50);
    assert_eq!(ours.0, theirs.0, "columns differ");
    assert_eq!(ours.1, theirs.1, "unique keys differ");
}

#[test]
fn every_table_says_how_long_it_is_kept() {
    let migrations: String = super::migrations::ALL.iter().map(|migration| migration.text(Kind::Sqlite)).collect();
    let comments: String = super::migrations::ALL.iter().map(|migration| migration.text(Kind::Postgres)).collect();
    let tables = migrations
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE "))
        .map(|rest| rest.split([' ', '(']).next().unwrap());
    for table in tables {
        let line = migrations.lines().find(|line| line.starts_with(&format!("-- table: {table} ")));
        assert!(
            line.is_some_and(|line| line.contains("retention:")),
            "{table} needs `-- table: {table} — … retention: …`"
        );
        let comment = comments.lines().find(|line| line.starts_with(&format!("COMMENT ON TABLE {table} IS")));
        assert!(
            comment.is_some_and(|line| line.contains("retention:")),
            "{table} needs COMMENT ON TABLE with its retention"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_stays_bounded_under_steady_writes() {
    const PUT: Statement = Statement::new(
        "test.put_large",
        "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, 0) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    let test = TestDb::sqlite();
    let bound = 1024 * 1024;
    let every = std::time::Duration::from_millis(5);
    let limits = Limits { wal_bytes_max: bound, checkpoint_every: every, ..Limits::default() };
    let db = Db::open(&test.source(), Migrate::Apply, &limits, &WallClock::system()).await.unwrap();
    let wal = db.path().unwrap().with_file_name("tollgate.db-wal");
    let wal_bytes = || std::fs::metadata(&wal).unwrap().len();
    let mut started_again = false;
    for number in 0..2_000_i64 {
        let before = wal_bytes();
        let mut tx = db.begin(Lane::Ledger).await.unwrap();
        tx.execute(&PUT, &[format!("test-{}", number % 8).into(), "x".repeat(100_000).into()]).await.unwrap();
        tx.commit().await.unwrap();
        // A write that does not make the file longer went to its beginning: everything before is in the data file.
        if before > bound && wal_bytes() == before {
            started_again = true;
            break;
        }
    }
    db.close().await;
    assert!(started_again, "the WAL grew to {} bytes and beyond", 2_000 * 100_000);
}
