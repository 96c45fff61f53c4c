//! The bare loop beside the product's batches: the same rows into the same table with the same indexes, in groups of
//! the same size, equally durable, and nothing else: no HTTP, no keys, no quota, no answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;

use super::load::per_second;
use super::request::Ids;
use super::sql::{self, Column};
use crate::clock::Stopwatch;
use crate::failure::{Failure, Outcome};

/// A copy of the product's data file with a connection to it.
#[derive(Debug)]
pub(super) struct Bare {
    connection: SqliteConnection,
    columns: Vec<Column>,
    ids: Ids,
}

impl Bare {
    /// Copies the data file of a stopped server, so that the table has the same size.
    pub(super) async fn copy_of(data: &Path, to: &Path) -> Outcome<Self> {
        let from = data_file(data)?;
        std::fs::copy(&from, to).map_err(Failure::during(format!("copying {}", from.display())))?;
        let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
        if wal(&from).is_file() {
            std::fs::copy(wal(&from), wal(to))
                .map_err(Failure::during(format!("copying the WAL of {}", from.display())))?;
        }
        let mut connection = sql::open(to).await?;
        let columns = sql::columns(&mut connection).await?;
        Ok(Self { connection, columns, ids: Ids::seeded() })
    }

    /// Inserts groups for this long; gives rows per second.
    pub(super) async fn round(&mut self, group: usize, duration: Duration) -> Outcome<u64> {
        let mut stored = 0;
        let watch = Stopwatch::start();
        while watch.elapsed() < duration {
            let ids: Vec<String> = (0..group).map(|_| self.ids.text()).collect();
            stored += sql::insert(&mut self.connection, &self.columns, &ids).await?;
        }
        Ok(per_second(stored, watch.elapsed()))
    }
}

/// The largest database file in the data directory that is not the sandbox's.
fn data_file(data: &Path) -> Outcome<PathBuf> {
    let entries = std::fs::read_dir(data).map_err(Failure::during(data.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let databases = files.filter(|path| {
        let sandbox = path.file_stem().is_some_and(|stem| stem == "sandbox");
        path.extension().is_some_and(|extension| extension == "db") && !sandbox
    });
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    databases.max_by_key(size).ok_or_else(|| Failure::new(format!("no database file in {}", data.display())))
}
