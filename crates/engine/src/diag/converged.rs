//! What is still under way: the time machine and tests wait until nothing is.

use crate::db::Error;
use crate::engine::Engine;
use crate::{inbox, jobs, operations};

/// Work that is due or runs, one line each; empty when the server is at rest. Housekeeping does not count.
///
/// # Errors
/// The database's.
pub async fn unconverged(engine: &Engine) -> Result<Vec<String>, Error> {
    let mut connection = engine.db().read().await?;
    let mut lines = Vec::new();
    for row in jobs::sql::open(&mut connection, engine.now()).await? {
        let kind = row.text("kind")?;
        if jobs::Kind::parse(&kind).is_some_and(jobs::Kind::is_recurring) {
            continue;
        }
        let error = row.opt_text("last_error")?.map_or(String::new(), |error| format!(": {error}"));
        lines.push(format!("job {kind} {} {}{error}", row.text("job_key")?, row.text("state")?));
    }
    for row in operations::sql::open(&mut connection).await? {
        lines.push(format!("operation {} {}", row.text("kind")?, row.text("operation_id")?));
    }
    drop(connection);
    let waiting = inbox::open(engine).await?;
    if waiting > 0 {
        lines.push(format!("inbox: {waiting} events wait"));
    }
    Ok(lines)
}
