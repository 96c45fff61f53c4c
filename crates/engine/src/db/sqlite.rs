//! The embedded database: one writer connection with two lanes, a small pool of readers, checkpoints off the commit path.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::tx::{Connection, Handle, Tx};
use super::{Error, Lane, OpenError};
use crate::limits::Limits;

/// The open data file.
#[derive(Debug)]
pub(super) struct Store {
    writer: Arc<Mutex<Writer>>,
    /// One control transaction at a time queues for the writer, so that the ledger waits for at most one.
    control: Arc<Semaphore>,
    /// How many control transactions may wait; beyond it the answer is `Overloaded`.
    control_waiting: Arc<Semaphore>,
    readers: SqlitePool,
    path: PathBuf,
    options: SqliteConnectOptions,
    stopped: Arc<AtomicBool>,
    checkpointer: tokio::task::JoinHandle<()>,
    /// Held for as long as we run; a second process finds it taken.
    _lock: File,
}

/// The one writing connection; opened again when its worker died.
#[derive(Debug)]
struct Writer {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

impl Store {
    pub(super) async fn open(path: &Path, limits: &Limits) -> Result<Store, OpenError> {
        let lock = lock(path)?;
        let options = options(path);
        let mut connection = options.clone().create_if_missing(true).connect().await?;
        check_version(&mut connection).await?;
        let read_options = options.clone().pragma("query_only", "ON").pragma("cache_size", "-8192");
        let readers = SqlitePoolOptions::new()
            .max_connections(limits.sqlite_readers)
            .acquire_timeout(limits.database_wait)
            .connect_lazy_with(read_options);
        let writer = Arc::new(Mutex::new(Writer { connection: Some(connection), options: options.clone() }));
        let stopped = Arc::new(AtomicBool::new(false));
        let checkpointer = Checkpointer {
            wal: wal_path(path),
            options: options.clone(),
            writer: Arc::clone(&writer),
            every: limits.checkpoint_every,
            wal_bytes_max: limits.wal_bytes_max,
            stopped: Arc::clone(&stopped),
        };
        Ok(Store {
            writer,
            control: Arc::new(Semaphore::new(1)),
            control_waiting: Arc::new(Semaphore::new(limits.control_waiting_max)),
            readers,
            path: path.to_owned(),
            options,
            stopped,
            checkpointer: tokio::spawn(checkpointer.run()),
            _lock: lock,
        })
    }

    pub(super) async fn read(&self) -> Result<Connection, Error> {
        Ok(Connection(Handle::SqliteRead(self.readers.acquire().await?)))
    }

    pub(super) async fn begin(&self, lane: Lane) -> Result<Tx, Error> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::Unavailable("the database is closed".to_owned()));
        }
        let permit = match lane {
            Lane::Ledger => None,
            Lane::Control => {
                let _waiting = Arc::clone(&self.control_waiting).try_acquire_owned().map_err(|_| Error::Overloaded)?;
                let turn = Arc::clone(&self.control).acquire_owned().await;
                Some(turn.map_err(|_| Error::Unavailable("the database is closed".to_owned()))?)
            }
        };
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let guard = WriteGuard::begin(writer, permit).await?;
        Ok(Tx(Connection(Handle::SqliteWrite(guard))))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn copy_into(&self, target: &Path) -> Result<(), Error> {
        let target = target.to_str().ok_or_else(|| Error::Bug("a backup path must be UTF-8".to_owned()))?;
        let mut connection = self.options.connect().await?;
        sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    pub(super) async fn close(&self) {
        self.stopped.store(true, Ordering::Release);
        self.checkpointer.abort();
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        if let Some(connection) = writer.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "closing the database file failed; the next start recovers from its WAL");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.checkpointer.abort();
    }
}

/// An open `BEGIN IMMEDIATE` on the one writing connection.
#[derive(Debug)]
pub(super) struct WriteGuard {
    writer: Option<OwnedMutexGuard<Writer>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl WriteGuard {
    async fn begin(
        mut writer: OwnedMutexGuard<Writer>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<WriteGuard, Error> {
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => writer.options.connect().await?,
        };
        // The connection goes back only after BEGIN worked: a broken one is dropped and the next caller opens another.
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        writer.connection = Some(connection);
        Ok(WriteGuard { writer: Some(writer), permit })
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        let writer = self.writer.as_mut().expect("the guard holds the writer until commit or rollback");
        writer.connection.as_mut().expect("an open transaction has its connection")
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let Some(mut connection) = writer.connection.take() else { return Ok(()) };
        // A failed or cancelled COMMIT drops the connection, which rolls back: never a second COMMIT after a failed sync.
        sqlx::query("COMMIT").execute(&mut connection).await?;
        writer.connection = Some(connection);
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<(), Error> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        undo(writer).await
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let permit = self.permit.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = undo(writer).await {
                    tracing::warn!(%error, "rolling back failed; the connection is replaced");
                }
                drop(permit);
            });
        } else {
            let mut writer = writer;
            writer.connection = None;
        }
    }
}

async fn undo(mut writer: OwnedMutexGuard<Writer>) -> Result<(), Error> {
    let Some(mut connection) = writer.connection.take() else { return Ok(()) };
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    writer.connection = Some(connection);
    Ok(())
}

/// Moves the WAL into the data file from a connection of its own, so that no commit pays for it.
struct Checkpointer {
    wal: PathBuf,
    options: SqliteConnectOptions,
    writer: Arc<Mutex<Writer>>,
    every: Duration,
    wal_bytes_max: u64,
    stopped: Arc<AtomicBool>,
}

impl Checkpointer {
    async fn run(self) {
        let mut connection = None;
        let mut seen_bytes = 0;
        while !self.stopped.load(Ordering::Acquire) {
            tokio::time::sleep(self.every).await;
            let wal_bytes = std::fs::metadata(&self.wal).map_or(0, |file| file.len());
            if let Err(error) = self.turn(&mut connection, wal_bytes).await {
                tracing::warn!(%error, wal_bytes, "a checkpoint failed; it is tried again");
                connection = None;
            }
            if wal_bytes > seen_bytes {
                seen_bytes = wal_bytes;
                metrics::gauge!("tollgate_sqlite_wal_bytes")
                    .set(f64::from(u32::try_from(wal_bytes).unwrap_or(u32::MAX)));
            }
        }
    }

    async fn turn(&self, slot: &mut Option<SqliteConnection>, wal_bytes: u64) -> Result<(), Error> {
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await?;
        if wal_bytes > self.wal_bytes_max {
            // Under steady writes a passive checkpoint never sees the end of the WAL. With the writer held for the
            // little that came since, it does, and the next write starts the WAL file from its beginning. Passive
            // here too: any other kind would make the writer wait for a long reader, such as a backup.
            let _writer = self.writer.lock().await;
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await?;
        }
        *slot = Some(connection);
        Ok(())
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(256)
        .pragma("mmap_size", "0")
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "MEMORY")
}

fn wal_path(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    PathBuf::from(wal)
}

/// Takes the lock file beside the data file. The file stays; only the lock on it counts, and it ends with the process.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|error| OpenError::Failed(format!("{}: {error}", name.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: name.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(OpenError::Failed(format!("{}: {error}", name.display()))),
    }
}

/// Reads a whole data file that nobody writes and says what is wrong with it; nothing when it is sound.
pub(crate) async fn check_file(path: &Path) -> Result<Option<String>, Error> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
    let mut connection = options.connect().await?;
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await?;
    let orphan = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut connection).await?;
    let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'schema_migrations'")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    if orphan.is_some() {
        return Ok(Some("a row names another that is not there".to_owned()));
    }
    Ok((found == 0).then(|| "it is no database of this program".to_owned()))
}

/// Opens a file that nobody writes for reading; close the pool when done.
pub(crate) async fn open_copy(path: &Path) -> Result<(SqlitePool, Connection), Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    let connection = Connection(Handle::SqliteRead(pool.acquire().await?));
    Ok((pool, connection))
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    if has_wal_reset_fix(&version) { Ok(()) } else { Err(OpenError::SqliteTooOld { found: version }) }
}

/// The WAL-reset bug is fixed in 3.51.3 and in 3.53.0 (3.52 was withdrawn).
fn has_wal_reset_fix(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    match (next(), next(), next()) {
        (3, 51, patch) => patch >= 3,
        (3, minor, _) => minor >= 53,
        (major, _, _) => major > 3,
    }
}

#[cfg(test)]
mod tests {
    use super::has_wal_reset_fix;

    #[test]
    fn only_libraries_with_the_wal_reset_fix_are_accepted() {
        for good in ["3.51.3", "3.51.10", "3.53.0", "3.54.1", "4.0.0"] {
            assert!(has_wal_reset_fix(good), "{good}");
        }
        for bad in ["3.51.2", "3.52.0", "3.52.9", "3.46.0", "", "x"] {
            assert!(!has_wal_reset_fix(bad), "{bad}");
        }
    }
}
