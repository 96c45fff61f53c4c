//! Numbers messages and delivers them beside the callers: one endpoint never waits for another.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::attempt::{self, Next};
use super::{sequence, sql};
use crate::db::Error;
use crate::engine::Engine;

/// How often it is looked what is due.
const POLL: Duration = Duration::from_millis(250);
/// Deliveries of one endpoint before it is looked anew.
const TURN_MAX: usize = 100;

/// Runs until `stop` says so; attempts under way still end.
pub(crate) async fn run(engine: Engine, mut stop: watch::Receiver<bool>) {
    let mut crew = Crew::default();
    while !*stop.borrow() {
        if let Err(error) = crew.start_due(&engine).await {
            tracing::warn!(%error, "outgoing webhooks cannot be read; it is tried again");
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = crew.one_ended() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    while !crew.running.is_empty() {
        crew.one_ended().await;
    }
}

/// Numbers and delivers everything that is due now.
///
/// # Errors
/// The database's.
#[cfg(test)]
pub(crate) async fn run_due(engine: &Engine) -> Result<(), Error> {
    let mut crew = Crew::default();
    while crew.start_due(engine).await? > 0 || !crew.running.is_empty() {
        crew.one_ended().await;
    }
    Ok(())
}

/// The endpoints this process is delivering to.
#[derive(Default)]
struct Crew {
    running: JoinSet<String>,
    endpoints: HashSet<String>,
}

impl Crew {
    /// Starts a turn for each endpoint with something due that has none; says how many.
    async fn start_due(&mut self, engine: &Engine) -> Result<usize, Error> {
        while sequence::sequence(engine).await? > 0 {}
        let now = engine.now();
        let due = sql::due_endpoints(&mut engine.db().read().await?, now).await?;
        let hands = engine.limits().outside.endpoints_max;
        let mut started = 0;
        for endpoint_id in due {
            let free = i64::try_from(self.endpoints.len()).unwrap_or(i64::MAX) < hands;
            if !free || !self.endpoints.insert(endpoint_id.clone()) {
                continue;
            }
            started += 1;
            let engine = engine.clone();
            self.running.spawn(async move {
                if let Err(error) = turn(&engine, &endpoint_id).await {
                    tracing::warn!(endpoint_id, %error, "deliveries to an endpoint stopped; they are tried again");
                    tokio::time::sleep(POLL).await;
                }
                endpoint_id
            });
        }
        Ok(started)
    }

    /// Waits until one turn has ended; for ever when none runs. Safe to cut.
    async fn one_ended(&mut self) {
        match self.running.join_next().await {
            Some(Ok(endpoint_id)) => {
                self.endpoints.remove(&endpoint_id);
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a turn of deliveries ended abnormally");
                self.endpoints.clear();
            }
            None => std::future::pending().await,
        }
    }
}

/// Delivers what is due to one endpoint, in order, until something fails. The lease keeps other nodes from the same.
async fn turn(engine: &Engine, endpoint_id: &str) -> Result<(), Error> {
    let lane = format!("outgoing:{endpoint_id}");
    let Ok(lease) = crate::inbox::Lease::acquire(engine, &lane).await else { return Ok(()) };
    for _ in 0..TURN_MAX {
        let now = engine.now();
        let found = {
            let mut connection = engine.db().read().await?;
            let endpoint = sql::endpoint(&mut connection, engine.sealer(), endpoint_id).await?;
            let due = sql::next_due(&mut connection, endpoint_id, now).await?;
            endpoint.filter(|endpoint| endpoint.state == super::State::Enabled && endpoint.held_until <= now).zip(due)
        };
        let Some((endpoint, due)) = found else { break };
        if attempt::attempt(engine, &endpoint, &due).await? == Next::Stop {
            break;
        }
    }
    lease.release(engine).await;
    Ok(())
}
