//! Processes events again, whatever became of them. Safe: it only fetches and overwrites.

use super::{Error, Filter, sql};
use crate::access::OperatorScope;
use crate::db::Lane;
use crate::engine::Engine;

/// Which events are replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// These, by billing's ids.
    Events(Vec<String>),
    /// All that fit.
    Matching {
        /// Which.
        filter: Filter,
        /// Whether to only count them.
        dry_run: bool,
    },
}

/// What a replay did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Events that will be processed again (or would be, in a dry run).
    pub enqueued: u64,
    /// Ids that are not in the inbox.
    pub unknown: Vec<String>,
}

/// Puts events back into the queue. Events that change nothing we keep stay done and are not counted.
///
/// # Errors
/// [`Error::Database`]; what was enqueued before stays enqueued, and a repeat is harmless.
pub async fn replay(engine: &Engine, scope: &OperatorScope, replay: Replay) -> Result<Replayed, Error> {
    let replayed = match replay {
        Replay::Events(ids) => by_ids(engine, ids).await?,
        Replay::Matching { filter, dry_run } => matching(engine, &filter, dry_run).await?,
    };
    tracing::info!(actor = scope.actor(), enqueued = replayed.enqueued, "webhooks were replayed");
    engine.inbox().wake.notify_one();
    Ok(replayed)
}

async fn by_ids(engine: &Engine, ids: Vec<String>) -> Result<Replayed, Error> {
    let mut replayed = Replayed::default();
    for chunk in ids.chunks(rows_max(engine)) {
        let mut known = Vec::new();
        let mut connection = engine.db().read().await?;
        for event_id in chunk {
            match sql::by_event(&mut connection, event_id).await? {
                Some(_) => known.push(event_id.clone()),
                None => replayed.unknown.push(event_id.clone()),
            }
        }
        drop(connection);
        replayed.enqueued += revive(engine, known).await?;
    }
    Ok(replayed)
}

async fn matching(engine: &Engine, filter: &Filter, dry_run: bool) -> Result<Replayed, Error> {
    let mut replayed = Replayed::default();
    let mut after = 0;
    loop {
        let limit = engine.limits().control_rows_max;
        let found = sql::matching(&mut engine.db().read().await?, filter, after, limit).await?;
        let Some((last, _)) = found.last() else { return Ok(replayed) };
        after = *last;
        let ids: Vec<String> = found.into_iter().map(|(_, event_id)| event_id).collect();
        replayed.enqueued += match dry_run {
            true => u64::try_from(ids.len()).unwrap_or(u64::MAX),
            false => revive(engine, ids).await?,
        };
    }
}

async fn revive(engine: &Engine, event_ids: Vec<String>) -> Result<u64, Error> {
    let writer = engine.clone();
    let revived = engine.db().detached(async move {
        let now = writer.clock().wall.now();
        let mut tx = writer.db().begin(Lane::Control).await?;
        let mut revived = 0;
        for event_id in &event_ids {
            revived += sql::revive(&mut tx, event_id, now).await?;
        }
        tx.commit().await?;
        Ok::<_, crate::db::Error>(revived)
    });
    Ok(revived.await?)
}

fn rows_max(engine: &Engine) -> usize {
    usize::try_from(engine.limits().control_rows_max).unwrap_or(1).max(1)
}
