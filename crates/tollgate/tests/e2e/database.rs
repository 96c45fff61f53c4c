//! The databases a test runs on: the embedded one, and one of its own on the PostgreSQL that `TOLLGATE_TEST_POSTGRES` names.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

/// A database of one test; a PostgreSQL one is dropped with it.
#[derive(Debug)]
pub(crate) enum Database {
    /// In the data directory.
    Embedded,
    /// On a server.
    Postgres {
        /// Where the test's own database is.
        url: String,
        /// Where it was made.
        server: String,
        /// Its name.
        name: String,
    },
}

impl Database {
    /// The databases there are on this machine; says which one is missing.
    pub(crate) async fn all() -> Vec<Database> {
        let mut all = vec![Database::Embedded];
        match Database::postgres().await {
            Some(database) => all.push(database),
            None => println!("SKIPPED: TOLLGATE_TEST_POSTGRES is not set; ran on the embedded database only"),
        }
        all
    }

    /// A new PostgreSQL database, where there is a server.
    pub(crate) async fn postgres() -> Option<Database> {
        let server = std::env::var("TOLLGATE_TEST_POSTGRES").ok().filter(|url| !url.is_empty())?;
        let unique = tempfile::Builder::new().rand_bytes(12).tempfile().expect("a name can be drawn");
        let random: String = unique.path().to_string_lossy().chars().rev().take(12).collect();
        let name = format!("e2e_{}_{}", std::process::id(), random.to_ascii_lowercase().replace('.', "_"));
        run(&server, &format!("CREATE DATABASE \"{name}\"")).await;
        let (base, _) = server.rsplit_once('/').expect("the address names a database");
        Some(Database::Postgres { url: format!("{base}/{name}"), server, name })
    }

    /// Its address, when it is on a server.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Database::Embedded => None,
            Database::Postgres { url, .. } => Some(url),
        }
    }

    /// What reports call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Database::Embedded => "SQLite",
            Database::Postgres { .. } => "PostgreSQL",
        }
    }
}

async fn run(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the test PostgreSQL answers");
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(&mut connection).await.expect("the statement is carried out");
    let _closed = connection.close().await;
}

impl Drop for Database {
    fn drop(&mut self) {
        let Database::Postgres { server, name, .. } = self else { return };
        let (server, statement) = (server.clone(), format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
        // A runtime of its own: this one may be the one that is ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(run(&server, &statement));
        });
        let _left_behind_when_the_server_is_gone = dropped.join();
    }
}
