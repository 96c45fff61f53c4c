//! `tollgate backup FILE` while the server runs, `tollgate restore FILE` while it does not.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::json;
use tollgate_engine::backup;

use super::Done;
use crate::admin::{self, Request, backup_failed};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::{Format, field};

/// Copies the embedded database into a new file.
///
/// # Errors
/// The file exists, the copy is not sound, or the database is PostgreSQL.
pub(crate) async fn create(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let to = std::path::absolute(named(matches, "to")).map_err(Failure::during("reading the name of the backup"))?;
    let made = admin::ask(config, Request::Backup { to }).await?;
    format.print(&made, |made| format!("{}: {} bytes, read back and sound", field(made, "path"), field(made, "bytes")));
    Ok(Done::Ok)
}

/// Puts a backup in place of the embedded database and keeps what was there beside it.
///
/// # Errors
/// A server is running on the data directory, or the backup is damaged: then nothing is touched.
pub(crate) async fn restore(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    if config.database_url.is_some() {
        return Err(backup_failed(&backup::Error::NotEmbedded));
    }
    let data = DataDir::new(&config.data);
    let _held = data.hold()?;
    let restored = backup::restore(Path::new(&named(matches, "from")), &data.database()).await;
    let restored = restored.map_err(|error| backup_failed(&error))?;
    let told = json!({"path": restored.path, "bytes": restored.bytes, "kept": restored.kept});
    format.print(&told, |told| {
        let kept = field(told, "kept");
        let kept = if kept.is_empty() { kept } else { format!("; what was there is now {kept}") };
        format!(
            "{}: {} bytes{kept}\n  `tollgate usage verify` counts the ledger again.",
            field(told, "path"),
            field(told, "bytes")
        )
    });
    Ok(Done::Ok)
}

fn named(matches: &ArgMatches, name: &str) -> PathBuf {
    matches.get_one::<String>(name).map(PathBuf::from).unwrap_or_default()
}
