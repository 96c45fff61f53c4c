//! Carries out what waits in the inbox, beside the callers: woken by each delivery, else looking every now and then.

use std::collections::HashSet;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lease;
use super::process::process_object;
use super::sql::{self, Work};
use crate::db;
use crate::engine::Engine;

/// Runs until `stop` says so; what is running then still ends.
pub(crate) async fn run(engine: Engine, mut stop: watch::Receiver<bool>) {
    if let Err(error) = lease::recover(&engine).await {
        tracing::warn!(%error, "leases of a process that ended were not given back; they end by themselves");
    }
    let mut crew = Crew::default();
    while !*stop.borrow() {
        if let Err(error) = crew.start_due(&engine).await {
            tracing::warn!(%error, "the inbox cannot be read; it is tried again");
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = engine.inbox().wake.notified() => {}
            () = crew.one_ended() => {}
            () = tokio::time::sleep(engine.limits().inbox_poll) => {}
        }
    }
    while !crew.running.is_empty() {
        crew.one_ended().await;
    }
}

/// Processes everything that is due now, and what becomes due meanwhile; failed tries that wait for later are left.
///
/// # Errors
/// The database cannot answer.
pub(crate) async fn run_due(engine: &Engine) -> Result<(), db::Error> {
    let mut crew = Crew::default();
    loop {
        let started = crew.start_due(engine).await?;
        if started == 0 && crew.running.is_empty() {
            return Ok(());
        }
        crew.one_ended().await;
    }
}

/// What this process works on now.
#[derive(Default)]
struct Crew {
    running: JoinSet<Work>,
    objects: HashSet<Work>,
}

impl Crew {
    /// Starts due objects as far as there are hands; says how many.
    async fn start_due(&mut self, engine: &Engine) -> Result<usize, db::Error> {
        let hands = engine.limits().jobs_running_max.saturating_sub(self.running.len());
        if hands == 0 {
            return Ok(0);
        }
        let now = engine.clock().wall.now();
        // What is running is due as well, so that many more have to be looked at.
        let looked_at = i64::try_from(engine.limits().jobs_running_max).unwrap_or(i64::MAX).saturating_mul(2);
        let due = sql::due(&mut engine.db().read().await?, now, looked_at).await?;
        let fresh: Vec<Work> = due.into_iter().filter(|work| !self.objects.contains(work)).take(hands).collect();
        for work in &fresh {
            self.objects.insert(work.clone());
            let (engine, work) = (engine.clone(), work.clone());
            self.running.spawn(async move {
                if let Err(error) = process_object(&engine, &work).await {
                    tracing::warn!(object = work.object_id, %error, "an inbox event could not be processed");
                    tokio::time::sleep(engine.limits().inbox_poll).await;
                }
                work
            });
        }
        Ok(fresh.len())
    }

    /// Waits until one has ended; for ever when none is running. Safe to cut.
    async fn one_ended(&mut self) {
        match self.running.join_next().await {
            Some(Ok(work)) => {
                self.objects.remove(&work);
            }
            // A panic tells no name: whoever is still running is looked at again, which the lease makes harmless.
            Some(Err(error)) => {
                tracing::error!(%error, "an inbox task ended abnormally");
                self.objects.clear();
            }
            None => std::future::pending().await,
        }
    }
}
