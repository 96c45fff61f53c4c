//! Readiness: a durable write, on demand, remembered for a second.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::settings;

/// How long the write may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// When the last write was tried, and how it went.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Duration, Result<(), String>)>>);

/// Whether the server can make something durable now. Callers that come together share one write.
///
/// # Errors
/// Why not, in words for the log.
pub async fn ready(engine: &Engine) -> Result<(), String> {
    let mut last = engine.readiness().0.lock().await;
    let now = engine.clock().monotonic.now();
    if let Some((at, result)) = &*last
        && now.saturating_sub(*at) < engine.limits().ready_cache
    {
        return result.clone();
    }
    let result = match tokio::time::timeout(PATIENCE, write(engine)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the database took longer than 3 s".to_owned()),
    };
    *last = Some((engine.clock().monotonic.now(), result.clone()));
    result
}

pub(super) async fn write(engine: &Engine) -> Result<(), Error> {
    let task = engine.clone();
    let write = async move {
        let at = task.clock().wall.now();
        let mut tx = task.db().begin(Lane::Control).await?;
        settings::sql::put(&mut tx, "ready", &at.to_string(), at).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}
