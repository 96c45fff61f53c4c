//! Writes down when keys were used, behind the calls.

use super::sql;
use crate::db::{Error, Lane};
use crate::engine::Engine;

/// Writes the uses since the last time, in few statements; what fails is lost, which costs a minute of accuracy.
pub(crate) async fn write_uses(engine: &Engine) -> Result<(), Error> {
    let uses = engine.credentials().take_uses();
    for batch in uses.chunks(500) {
        let batch: Vec<(String, i64)> = batch.iter().map(|(key, at)| (key.key_id.clone(), *at)).collect();
        let task = engine.clone();
        let write = async move {
            let mut tx = task.db().begin(Lane::Control).await?;
            sql::set_last_used(&mut tx, &batch).await?;
            tx.commit().await
        };
        engine.db().detached(write).await?;
    }
    Ok(())
}
