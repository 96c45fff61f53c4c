//! One customer at a time: a lease in the database between nodes, a queue in memory within this one.
//!
//! Whoever fetches or changes a customer's objects at billing holds its lease from before the call until the effect is
//! written. The lease carries an epoch that every effect checks in its own transaction, so that a holder that was
//! overtaken (a long pause, a lost node) cannot write what it once fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::sql;
use crate::db::{self, Lane, Tx};
use crate::engine::Engine;

/// The right to fetch and write one customer's objects.
#[derive(Debug)]
pub(crate) struct Lease {
    lane: String,
    epoch: i64,
    /// Dropped last: the next one of this process may ask the database.
    _turn: OwnedMutexGuard<()>,
}

/// Why a lease cannot be had, or does not hold any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// Somebody else holds it for longer than we wait.
    #[error("the customer is being worked on elsewhere")]
    Busy,
    /// Somebody took it over: nothing may be written.
    #[error("the customer was taken over by somebody else")]
    Overtaken,
    /// The database cannot answer.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// The queues of this process, one per customer somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Queues {
    /// Queues without anybody in them are forgotten when they grow to this many.
    const KEPT_MAX: usize = 1024;

    async fn turn(&self, lane: &str) -> OwnedMutexGuard<()> {
        let queue = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if queues.len() >= Self::KEPT_MAX {
                queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            }
            queues.entry(lane.to_owned()).or_default().clone()
        };
        queue.lock_owned().await
    }
}

/// After a crash of the embedded server: nobody else can hold a lease, so that what it left behind ends at once.
///
/// # Errors
/// The database cannot answer; the leases end by themselves.
pub(super) async fn recover(engine: &Engine) -> Result<(), db::Error> {
    if engine.db().kind() == db::Kind::Sqlite {
        let mut tx = engine.db().begin(Lane::Control).await?;
        sql::lease_free_all(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

impl Lease {
    /// Waits for a customer's lease, for at most as long as `Limits` says.
    ///
    /// # Errors
    /// [`Lost::Busy`] when somebody else keeps it; nothing was done.
    pub(crate) async fn acquire(engine: &Engine, lane: &str) -> Result<Lease, Lost> {
        let limits = engine.limits();
        let waiting = async {
            let turn = engine.inbox().queues.turn(lane).await;
            loop {
                if let Some(epoch) = Self::take(engine, lane).await? {
                    return Ok(Lease { lane: lane.to_owned(), epoch, _turn: turn });
                }
                let jitter = engine.clock().entropy.up_to(20);
                tokio::time::sleep(Duration::from_millis(10 + jitter)).await;
            }
        };
        tokio::time::timeout(limits.customer_lease_wait, waiting).await.unwrap_or(Err(Lost::Busy))
    }

    /// As another node would: without this process's queue.
    #[cfg(test)]
    pub(crate) async fn acquire_beside(engine: &Engine, lane: &str) -> Result<Lease, Lost> {
        let turn = Arc::new(tokio::sync::Mutex::new(())).lock_owned().await;
        loop {
            if let Some(epoch) = Self::take(engine, lane).await? {
                return Ok(Lease { lane: lane.to_owned(), epoch, _turn: turn });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn take(engine: &Engine, lane: &str) -> Result<Option<i64>, db::Error> {
        let (limits, now) = (engine.limits(), engine.clock().wall.now());
        // Between processes a lease is good a little longer than it says, because their clocks may differ. The embedded
        // database has one process.
        let skew = match engine.db().kind() {
            db::Kind::Sqlite => Duration::ZERO,
            db::Kind::Postgres => limits.clock_skew,
        };
        let mut tx = engine.db().begin(Lane::Control).await?;
        let epoch = sql::lease_take(&mut tx, lane, now.minus(skew), now.plus(limits.customer_lease)).await?;
        tx.commit().await?;
        Ok(epoch)
    }

    /// Checks in the effect's own transaction that the lease still holds, and keeps others from taking it until the
    /// transaction ends.
    ///
    /// # Errors
    /// [`Lost::Overtaken`]: roll back.
    pub(crate) async fn hold(&self, tx: &mut Tx) -> Result<(), Lost> {
        match sql::lease_epoch(tx, &self.lane).await? {
            Some(epoch) if epoch == self.epoch => Ok(()),
            _ => Err(Lost::Overtaken),
        }
    }

    /// Gives the lease back with the effect's transaction.
    ///
    /// # Errors
    /// The database cannot answer; the lease then ends by itself.
    pub(crate) async fn release_with(&self, tx: &mut Tx) -> Result<(), db::Error> {
        sql::lease_release(tx, &self.lane, self.epoch).await.map(drop)
    }

    /// Gives the lease back when there was no effect.
    pub(crate) async fn release(self, engine: &Engine) {
        let released = async {
            let mut tx = engine.db().begin(Lane::Control).await?;
            self.release_with(&mut tx).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "a customer's lease was not given back; it ends by itself");
        }
    }
}
