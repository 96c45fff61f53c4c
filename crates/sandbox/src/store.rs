//! `sandbox.db`: everything the stand-ins remember, and all SQL of this crate.
//!
//! One thread owns the only connection, so every call is one write transaction after another and needs no locks; work
//! comes to it as closures over [`Tx`] and may read and write as plainly as in memory. `synchronous=NORMAL` is enough
//! here: a stand-in may lose its last moments in a power cut, never its consistency.
//!
//! Tables: `objects` (every API object as JSON, with the columns lists filter by), `agenda` (what will happen when, per
//! clock), `deliveries` (webhook attempts), `idempotency` (stored answers), `settings` (offset, seed, counters).

mod deliveries;

use std::path::Path;
use std::sync::mpsc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) use deliveries::Delivery;

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("sandbox.db: {0}")]
pub struct StoreError(String);

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

type Result<T> = std::result::Result<T, StoreError>;
type Work = Box<dyn FnOnce(&mut Tx) + Send>;

/// Whether what a piece of work wrote is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Commit,
    RollBack,
}

/// A handle on the thread that owns the file; clones share it. The thread ends with the last handle.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    queue: mpsc::Sender<Work>,
}

impl Store {
    /// Opens or creates the file and starts its thread.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .statement_cache_capacity(200)
            .disable_statement_logging();
        let (queue, work) = mpsc::channel::<Work>();
        let (opened, ready) = oneshot::channel();
        std::thread::Builder::new()
            .name("sandbox-store".into())
            .spawn(move || serve(options, work, opened))
            .map_err(|error| StoreError(error.to_string()))?;
        ready.await.map_err(|_| StoreError("its thread ended early".into()))??;
        Ok(Self { queue })
    }

    /// Runs `work` as one transaction and waits for its end.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut Tx) -> (Fate, T) + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let work: Work = Box::new(move |tx| {
            let outcome = tx.transact(work);
            // Nobody waits any more when the caller went away; what was committed stays.
            let _ = answer.send(outcome);
        });
        self.queue.send(work).map_err(|_| StoreError("closed".into()))?;
        wait.await.map_err(|_| StoreError("the work on it failed".into()))?
    }
}

fn serve(options: SqliteConnectOptions, work: mpsc::Receiver<Work>, opened: oneshot::Sender<Result<()>>) {
    let mut tx = match Tx::open(&options) {
        Ok(tx) => {
            let _ = opened.send(Ok(()));
            tx
        }
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    while let Ok(piece) = work.recv() {
        // A panic is a bug in one piece of work; it must not take the whole stand-in down.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| piece(&mut tx))).is_err() {
            let _ = tx.execute("ROLLBACK");
        }
    }
}

/// A stored API object.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) seq: i64,
    pub(crate) json: String,
}

/// The columns of an object beside its JSON: what lists filter by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    /// The customer it belongs to.
    pub(crate) customer: Option<&'a str>,
    /// One more thing it is looked up by: e-mail, lookup key, subscription, invoice or event type.
    pub(crate) lookup: Option<&'a str>,
    /// The test clock it lives on; `None` is the main clock.
    pub(crate) clock: Option<&'a str>,
    pub(crate) created: i64,
}

/// One thing that will happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appointment {
    pub(crate) due_micros: i64,
    pub(crate) task: String,
    pub(crate) object: String,
}

/// A stored answer of an idempotent call.
#[derive(Clone, Debug)]
pub(crate) struct StoredAnswer {
    pub(crate) fingerprint: String,
    pub(crate) status: i64,
    pub(crate) body: String,
}

/// The connection, inside one transaction while a piece of work holds it.
#[derive(Debug)]
pub(crate) struct Tx {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Tx {
    fn open(options: &SqliteConnectOptions) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError(error.to_string()))?;
        let connection = runtime.block_on(SqliteConnection::connect_with(options))?;
        let mut tx = Self { runtime, connection };
        for statement in SCHEMA {
            tx.execute(statement)?;
        }
        Ok(tx)
    }

    fn transact<T>(&mut self, work: impl FnOnce(&mut Self) -> (Fate, T)) -> Result<T> {
        self.execute("BEGIN IMMEDIATE")?;
        let (fate, value) = work(self);
        match fate {
            Fate::Commit => self.execute("COMMIT")?,
            Fate::RollBack => self.execute("ROLLBACK")?,
        }
        Ok(value)
    }

    fn execute(&mut self, statement: &'static str) -> Result<()> {
        self.runtime.block_on(sqlx::query(statement).execute(&mut self.connection))?;
        Ok(())
    }

    /// Marks a point to come back to within the transaction.
    pub(crate) fn savepoint(&mut self) -> Result<()> {
        self.execute("SAVEPOINT step")
    }

    /// Keeps what happened since the savepoint.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.execute("RELEASE step")
    }

    /// Undoes what happened since the savepoint.
    pub(crate) fn back_to_savepoint(&mut self) -> Result<()> {
        self.execute("ROLLBACK TO step")?;
        self.execute("RELEASE step")
    }

    fn run(&mut self, query: Query<'_>) -> Result<u64> {
        Ok(self.runtime.block_on(query.execute(&mut self.connection))?.rows_affected())
    }

    fn rows(&mut self, query: Query<'_>) -> Result<Vec<SqliteRow>> {
        Ok(self.runtime.block_on(query.fetch_all(&mut self.connection))?)
    }

    fn row(&mut self, query: Query<'_>) -> Result<Option<SqliteRow>> {
        Ok(self.runtime.block_on(query.fetch_optional(&mut self.connection))?)
    }

    /// The object's JSON.
    pub(crate) fn object(&mut self, id: &str) -> Result<Option<String>> {
        let row = self.row(sqlx::query("SELECT json FROM objects WHERE id = $1").bind(id))?;
        row.map(|row| Ok(row.try_get("json")?)).transpose()
    }

    /// Stores a new object.
    pub(crate) fn insert_object(&mut self, keys: &Keys<'_>, json: &str) -> Result<()> {
        self.run(
            sqlx::query(
                "INSERT INTO objects (id, kind, customer, lookup, clock, created, json) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(keys.id)
            .bind(keys.kind)
            .bind(keys.customer)
            .bind(keys.lookup)
            .bind(keys.clock)
            .bind(keys.created)
            .bind(json),
        )?;
        Ok(())
    }

    /// Overwrites an object; its kind, clock and time of creation never change.
    pub(crate) fn update_object(&mut self, keys: &Keys<'_>, json: &str) -> Result<()> {
        self.run(
            sqlx::query("UPDATE objects SET customer = $2, lookup = $3, json = $4 WHERE id = $1")
                .bind(keys.id)
                .bind(keys.customer)
                .bind(keys.lookup)
                .bind(json),
        )?;
        Ok(())
    }

    /// Removes an object for good.
    pub(crate) fn delete_object(&mut self, id: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM objects WHERE id = $1").bind(id))?;
        Ok(())
    }

    /// The position of an object in the order of creation.
    pub(crate) fn position(&mut self, id: &str) -> Result<Option<i64>> {
        let row = self.row(sqlx::query("SELECT seq FROM objects WHERE id = $1").bind(id))?;
        row.map(|row| Ok(row.try_get("seq")?)).transpose()
    }

    /// Up to `limit` objects of a kind older than position `before`, newest first.
    pub(crate) fn older(&mut self, keys: &Keys<'_>, before: i64, limit: i64) -> Result<Vec<Listed>> {
        let text = match (keys.customer, keys.lookup) {
            (None, None) => "SELECT seq, json FROM objects WHERE kind = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
            (Some(_), _) => {
                "SELECT seq, json FROM objects WHERE kind = $1 AND seq < $2 AND customer = $4
                 AND ($5 IS NULL OR lookup = $5) ORDER BY seq DESC LIMIT $3"
            }
            (None, Some(_)) => {
                "SELECT seq, json FROM objects WHERE kind = $1 AND seq < $2 AND lookup = $5 ORDER BY seq DESC LIMIT $3"
            }
        };
        self.page(text, keys, before, limit)
    }

    /// Up to `limit` objects of a kind newer than position `after`, oldest first.
    pub(crate) fn newer(&mut self, keys: &Keys<'_>, after: i64, limit: i64) -> Result<Vec<Listed>> {
        let text = match (keys.customer, keys.lookup) {
            (None, None) => "SELECT seq, json FROM objects WHERE kind = $1 AND seq > $2 ORDER BY seq ASC LIMIT $3",
            (Some(_), _) => {
                "SELECT seq, json FROM objects WHERE kind = $1 AND seq > $2 AND customer = $4
                 AND ($5 IS NULL OR lookup = $5) ORDER BY seq ASC LIMIT $3"
            }
            (None, Some(_)) => {
                "SELECT seq, json FROM objects WHERE kind = $1 AND seq > $2 AND lookup = $5 ORDER BY seq ASC LIMIT $3"
            }
        };
        self.page(text, keys, after, limit)
    }

    fn page(&mut self, text: &'static str, keys: &Keys<'_>, edge: i64, limit: i64) -> Result<Vec<Listed>> {
        let mut query = sqlx::query(text).bind(keys.kind).bind(edge).bind(limit);
        if keys.customer.is_some() || keys.lookup.is_some() {
            query = query.bind(keys.customer).bind(keys.lookup);
        }
        self.rows(query)?
            .into_iter()
            .map(|row| Ok(Listed { seq: row.try_get("seq")?, json: row.try_get("json")? }))
            .collect()
    }

    /// Puts `task` for `object` on the agenda of `clock`, moving it if it is there already.
    pub(crate) fn appoint(&mut self, clock: Option<&str>, appointment: &Appointment) -> Result<()> {
        self.run(
            sqlx::query(
                "INSERT INTO agenda (clock, due, task, object) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (object, task) DO UPDATE SET due = excluded.due, clock = excluded.clock",
            )
            .bind(clock.unwrap_or(MAIN))
            .bind(appointment.due_micros)
            .bind(&appointment.task)
            .bind(&appointment.object),
        )?;
        Ok(())
    }

    /// Takes `task` for `object` off the agenda.
    pub(crate) fn disappoint(&mut self, task: &str, object: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM agenda WHERE object = $1 AND task = $2").bind(object).bind(task))?;
        Ok(())
    }

    /// Takes everything about `object` off the agenda.
    pub(crate) fn clear_agenda(&mut self, object: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM agenda WHERE object = $1").bind(object))?;
        Ok(())
    }

    /// What happens next on a clock.
    pub(crate) fn next_appointment(&mut self, clock: Option<&str>) -> Result<Option<Appointment>> {
        let row = self.row(
            sqlx::query("SELECT due, task, object FROM agenda WHERE clock = $1 ORDER BY due ASC, id ASC LIMIT 1")
                .bind(clock.unwrap_or(MAIN)),
        )?;
        row.map(|row| {
            Ok(Appointment {
                due_micros: row.try_get("due")?,
                task: row.try_get("task")?,
                object: row.try_get("object")?,
            })
        })
        .transpose()
    }

    /// Removes a test clock, its agenda and everything that lives on it, its events aside.
    pub(crate) fn delete_clock(&mut self, clock: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM agenda WHERE clock = $1").bind(clock))?;
        self.run(sqlx::query("DELETE FROM objects WHERE clock = $1 AND kind <> 'event'").bind(clock))?;
        Ok(())
    }

    /// The stored answer of an idempotent call, if it is younger than `since`.
    pub(crate) fn stored_answer(&mut self, key: &str, since_micros: i64) -> Result<Option<StoredAnswer>> {
        let row = self.row(
            sqlx::query("SELECT fingerprint, status, body FROM idempotency WHERE key = $1 AND created >= $2")
                .bind(key)
                .bind(since_micros),
        )?;
        row.map(|row| {
            Ok(StoredAnswer {
                fingerprint: row.try_get("fingerprint")?,
                status: row.try_get("status")?,
                body: row.try_get("body")?,
            })
        })
        .transpose()
    }

    /// Keeps the answer of an idempotent call.
    pub(crate) fn keep_answer(&mut self, key: &str, answer: &StoredAnswer, now_micros: i64) -> Result<()> {
        self.run(
            sqlx::query(
                "INSERT OR REPLACE INTO idempotency (key, fingerprint, status, body, created) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(key)
            .bind(&answer.fingerprint)
            .bind(answer.status)
            .bind(&answer.body)
            .bind(now_micros),
        )?;
        Ok(())
    }

    /// Forgets answers older than `before`.
    pub(crate) fn forget_answers(&mut self, before_micros: i64) -> Result<()> {
        self.run(sqlx::query("DELETE FROM idempotency WHERE created < $1").bind(before_micros))?;
        Ok(())
    }

    /// A setting's value.
    pub(crate) fn setting(&mut self, name: &str) -> Result<Option<String>> {
        let row = self.row(sqlx::query("SELECT value FROM settings WHERE name = $1").bind(name))?;
        row.map(|row| Ok(row.try_get("value")?)).transpose()
    }

    /// Sets a setting.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.run(sqlx::query("INSERT OR REPLACE INTO settings (name, value) VALUES ($1, $2)").bind(name).bind(value))?;
        Ok(())
    }

    /// The next number of a sequence, beginning with 1.
    pub(crate) fn count_up(&mut self, name: &str) -> Result<i64> {
        let row = self.row(
            sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, 1)
                 ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1
                 RETURNING CAST(value AS INTEGER) AS n",
            )
            .bind(name),
        )?;
        row.map_or_else(|| Err(StoreError("a sequence gave no number".into())), |row| Ok(row.try_get("n")?))
    }
}

type Query<'a> = sqlx::query::Query<'a, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// The main clock's name on the agenda.
const MAIN: &str = "";

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS objects (
       seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, customer TEXT, lookup TEXT,
       clock TEXT, created INTEGER NOT NULL, json TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq)",
    "CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (customer, kind, seq) WHERE customer IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS objects_by_lookup ON objects (kind, lookup, seq) WHERE lookup IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS agenda (
       id INTEGER PRIMARY KEY, clock TEXT NOT NULL, due INTEGER NOT NULL, task TEXT NOT NULL, object TEXT NOT NULL,
       UNIQUE (object, task))",
    "CREATE INDEX IF NOT EXISTS agenda_by_due ON agenda (clock, due, id)",
    "CREATE TABLE IF NOT EXISTS deliveries (
       id INTEGER PRIMARY KEY, event TEXT NOT NULL, endpoint TEXT NOT NULL, due INTEGER NOT NULL, state TEXT NOT NULL
       CHECK (state IN ('new', 'retry', 'done', 'failed')), attempts INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event)",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due) WHERE state IN ('new', 'retry')",
    "CREATE TABLE IF NOT EXISTS idempotency (
       key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
       created INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
];
