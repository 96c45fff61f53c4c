//! Gives committed messages their sequence, and each to the endpoints that want it.

use super::{Endpoint, sql};
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// Numbers what waits, in one transaction; says how many messages that were.
pub(super) async fn sequence(engine: &Engine) -> Result<usize, Error> {
    if sql::unsequenced(&mut engine.db().read().await?, 1).await?.is_empty() {
        return Ok(0);
    }
    let task = engine.clone();
    let write = async move {
        let (rows, now) = (task.limits().control_rows_max, task.now());
        let mut tx = task.db().begin(Lane::Control).await?;
        // Whoever has this row numbers; the next one sees what was numbered.
        let mut last = sql::last_sequence(&mut tx).await?;
        let waiting = sql::unsequenced(&mut tx, rows / 10).await?;
        let endpoints = sql::endpoints(&mut tx, task.sealer()).await?;
        for (message_id, kind) in &waiting {
            last += 1;
            sql::number(&mut tx, message_id, last).await?;
            for endpoint in endpoints.iter().filter(|endpoint: &&Endpoint| endpoint.wants(kind)) {
                sql::insert_delivery(&mut tx, &endpoint.endpoint_id, last, now).await?;
            }
        }
        sql::move_sequence(&mut tx, last).await?;
        tx.commit().await?;
        Ok::<_, Error>(waiting.len())
    };
    engine.db().detached(write).await
}
