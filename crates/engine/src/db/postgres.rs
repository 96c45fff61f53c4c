//! PostgreSQL: a pool for what is done for one org, one for workers and the rest of the control plane, and two connections of its
//! own for the ledger.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::tx::{Connection, Handle, Tx};
use super::{Error, Lane, OpenError, fence};
use crate::clock::WallClock;
use crate::limits::Limits;

/// The server, seen from here.
#[derive(Debug)]
pub(super) struct Store {
    control: PgPool,
    /// What is done for one org, behind the second fence.
    request: PgPool,
    /// Whether that fence stands.
    fenced: AtomicBool,
    ledger: PgPool,
    control_running: Arc<Semaphore>,
    control_waiting: Arc<Semaphore>,
}

impl Store {
    pub(super) async fn open(url: &SecretString, limits: &Limits, wall: &WallClock) -> Result<Store, OpenError> {
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(|_| OpenError::Failed("the PostgreSQL URL is not valid".to_owned()))?
            .application_name("tollgate")
            .statement_cache_capacity(256)
            .options([
                ("default_transaction_isolation", "read committed"),
                ("idle_in_transaction_session_timeout", "60000"),
                ("lock_timeout", "10000"),
                ("timezone", "UTC"),
            ]);
        let pool = |connections: u32, options: &PgConnectOptions| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(limits.database_wait)
                .connect_lazy_with(options.clone())
        };
        // Half of the connections each, and two more, so that neither starves where only one of them is used.
        let each = limits.postgres_connections / 2 + 2;
        let store = Store {
            control: pool(each, &options),
            request: pool(each, &options.clone().options([("role", fence::ROLE)])),
            fenced: AtomicBool::new(false),
            ledger: pool(2, &options),
            // A few connections stay free for readers, whatever the control plane does.
            control_running: Arc::new(Semaphore::new(
                usize::try_from(limits.postgres_connections / 2).unwrap_or(1).max(1),
            )),
            control_waiting: Arc::new(Semaphore::new(limits.control_waiting_max)),
        };
        store.check(limits, wall).await?;
        Ok(store)
    }

    /// The rules of ARCHITECTURE.md: version, durability, primary, clocks.
    async fn check(&self, limits: &Limits, wall: &WallClock) -> Result<(), OpenError> {
        let mut connection = self.control.acquire().await?;
        let version: i64 =
            sqlx::query_scalar::<Postgres, i64>("SELECT CAST(current_setting('server_version_num') AS BIGINT)")
                .fetch_one(&mut *connection)
                .await?;
        if version < 150_000 {
            return Err(OpenError::PostgresTooOld { found: version });
        }
        for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
            let value: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut *connection).await?;
            if value == "off" {
                return Err(OpenError::NotDurable { setting, value });
            }
        }
        let standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut *connection).await?;
        if standby {
            return Err(OpenError::Replica);
        }
        // Leases compare wall clocks of several machines; the database's is the common yardstick.
        let before = wall.now().as_micros();
        let theirs: i64 = sqlx::query_scalar("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")
            .fetch_one(&mut *connection)
            .await?;
        let after = wall.now().as_micros();
        let seconds = (theirs - after).max(before - theirs).max(0) / 1_000_000;
        let tolerated = i64::try_from(limits.clock_skew.as_secs()).unwrap_or(i64::MAX);
        if seconds > tolerated {
            return Err(OpenError::ClockSkew { seconds, tolerated });
        }
        Ok(())
    }

    pub(super) async fn read(&self) -> Result<Connection, Error> {
        Ok(Connection(Handle::PostgresRead(self.control.acquire().await?)))
    }

    pub(super) async fn read_for(&self, org_key: i64) -> Result<Connection, Error> {
        if !self.fenced() {
            return self.read().await;
        }
        let mut connection = Connection(Handle::PostgresRead(self.request.acquire().await?));
        fence::enter(&mut connection, org_key).await?;
        Ok(connection)
    }

    pub(super) async fn begin(&self, lane: Lane) -> Result<Tx, Error> {
        let (transaction, permit) = match lane {
            Lane::Ledger => (self.ledger.begin().await?, None),
            Lane::Control => {
                let turn = self.turn().await?;
                (self.control.begin().await?, Some(turn))
            }
        };
        Ok(Tx(Connection(Handle::PostgresWrite(transaction, permit))))
    }

    pub(super) async fn begin_for(&self, org_key: i64) -> Result<Tx, Error> {
        if !self.fenced() {
            return self.begin(Lane::Control).await;
        }
        let turn = self.turn().await?;
        let mut tx = Tx(Connection(Handle::PostgresWrite(self.request.begin().await?, Some(turn))));
        fence::enter_tx(&mut tx, org_key).await?;
        Ok(tx)
    }

    /// A turn to write in the control plane's lane.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let _waiting = Arc::clone(&self.control_waiting).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let turn = Arc::clone(&self.control_running).acquire_owned().await;
        turn.map_err(|_| Error::Unavailable("the database is closed".to_owned()))
    }

    pub(super) fn fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// From now on what is done for one org runs as the request role, if this user may become it.
    pub(super) async fn use_fence(&self) -> Result<(), Error> {
        // Not from the pool: it would try for as long as it waits, and the refusal stays one.
        let options = self.request.connect_options();
        let connection = options.connect().await?;
        connection.close().await?;
        self.fenced.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.control.close().await;
        self.request.close().await;
        self.ledger.close().await;
    }
}
