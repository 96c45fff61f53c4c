//! The daily backup of `tollgate serve`: seven days and four weeks are kept, in the folder `backups` beside the data file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::check::checksum_path;
use super::create::copy;
use crate::db::{Error, Lane};
use crate::engine::Engine;
use crate::jobs::{self, Failure, Outcome};

const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS_KEPT: usize = 7;
const WEEKS_KEPT: usize = 4;

/// Queues the daily backup, where the database is embedded and it is not queued yet.
///
/// # Errors
/// The database's.
pub async fn keep_daily(engine: &Engine) -> Result<(), Error> {
    if engine.db().path().is_none() {
        return Ok(());
    }
    let task = engine.clone();
    let write = async move {
        let job = jobs::Job {
            kind: jobs::Kind::Backup,
            key: "daily".to_owned(),
            org_key: None,
            payload: Value::Null,
            run_at: task.now().plus(DAY),
            corr_id: String::new(),
        };
        let mut tx = task.db().begin(Lane::Control).await?;
        jobs::enqueue(&task, &mut tx, &job).await?;
        tx.commit().await
    };
    engine.db().detached(write).await
}

/// Makes today's backup, checked, and deletes the ones that are no longer kept.
pub(crate) async fn daily(engine: &Engine) -> Result<Outcome, Failure> {
    let Some(folder) = engine.db().path().map(|path| path.with_file_name("backups")) else {
        return Err(Failure::Dead(super::Error::NotEmbedded.to_string()));
    };
    std::fs::create_dir_all(&folder).map_err(|error| Failure::Retry(error.to_string()))?;
    let name = format!("tollgate-{}.db", engine.clock().wall.now().to_string().replace(':', "-"));
    copy(engine, &folder.join(name)).await.map_err(|error| Failure::Retry(error.to_string()))?;
    let names = names(&folder).map_err(|error| Failure::Retry(error.to_string()))?;
    for name in to_delete(&names) {
        if let Err(error) = std::fs::remove_file(folder.join(&name)) {
            tracing::warn!(%error, name, "an old backup could not be deleted");
        }
        // Backups of earlier releases have no checksum.
        let _ = std::fs::remove_file(checksum_path(&folder.join(&name)));
    }
    Ok(Outcome::Again { at: engine.now().plus(DAY) })
}

fn names(folder: &PathBuf) -> Result<Vec<String>, std::io::Error> {
    let entries = std::fs::read_dir(folder)?;
    let names = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| date(name).is_some()).collect())
}

/// Which of these backups (`tollgate-2026-01-15T….db`) are no longer kept: all but the newest of each of the last
/// seven days and of each of the last four weeks that have one.
#[must_use]
pub fn to_delete(names: &[String]) -> Vec<String> {
    let mut newest_first: Vec<&String> = names.iter().filter(|name| date(name).is_some()).collect();
    newest_first.sort_unstable_by(|left, right| right.cmp(left));
    let (mut days, mut weeks) = (BTreeSet::new(), BTreeSet::new());
    let mut gone = Vec::new();
    for name in newest_first {
        let Some(date) = date(name) else { continue };
        let week = date.iso_week_date();
        let new_day = days.len() < DAYS_KEPT && days.insert(date);
        let new_week = weeks.len() < WEEKS_KEPT && weeks.insert((week.year(), week.week()));
        if !new_day && !new_week {
            gone.push(name.clone());
        }
    }
    gone
}

fn date(name: &str) -> Option<jiff::civil::Date> {
    let rest = name.strip_prefix("tollgate-")?.strip_suffix(".db")?;
    rest.get(..10)?.parse().ok()
}
