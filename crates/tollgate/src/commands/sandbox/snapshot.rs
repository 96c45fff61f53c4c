//! `tollgate sandbox snapshot|restore`: the world of a `dev`, running or not, kept as a folder and put back.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::{Value, json};

use super::super::Done;
use crate::admin::{self, Request};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::output::{Format, field};
use crate::worlds;

/// Copies the world of the data directory into a new folder: through the running `dev`, else from its files.
///
/// # Errors
/// There is no world, or the folder is there.
pub(super) async fn snapshot(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let to = std::path::absolute(folder(matches, "to")).map_err(Failure::during("naming the folder"))?;
    let told = match admin::ask_running(config, &Request::WorldKeep { to: to.clone() }).await? {
        Some(told) => told,
        None => json!({"place": to, "now": kept(config, &to).await?}),
    };
    tell(format, &told, "kept in");
    Ok(Done::Ok)
}

async fn kept(config: &Config, to: &Path) -> Result<tollgate_rules::time::Timestamp, Failure> {
    let data = DataDir::new(&config.data);
    if !data.sandbox().exists() {
        let what = format!("{} holds no sandbox", config.data.display());
        return Err(Failure::new(what).exit(Exit::NotFound).remedy("Name its directory with --data."));
    }
    let _held = data.hold()?;
    worlds::keep_files(&data, to).await
}

/// Puts a world into the data directory; it is the moment again at which it was kept.
///
/// # Errors
/// A server is running on the data directory (both sides of its world are in its memory too), it holds another world, or the folder
/// is no snapshot.
pub(super) async fn restore(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let from = folder(matches, "from");
    let world = worlds::read(&from)?;
    let data = DataDir::new(&config.data);
    let _held = data.hold().map_err(|failure| {
        failure.remedy(
            "Stop the server, restore, and start it again; or restore into another directory with --data for a branch beside it.",
        )
    })?;
    if data.database().exists() || data.sandbox().exists() {
        if !matches.get_flag("replace") {
            let what = format!("{} holds a world already", config.data.display());
            let remedy = "Say --replace to give it up, or make a branch in another directory with --data.";
            return Err(Failure::new(what).exit(Exit::Conflict).remedy(remedy));
        }
        data.wipe()?;
    }
    let now = worlds::put(&world, &from, &data).await?;
    tell(format, &json!({"place": data.root(), "now": now}), "restored into");
    Ok(Done::Ok)
}

fn folder(matches: &ArgMatches, name: &str) -> PathBuf {
    PathBuf::from(matches.get_one::<String>(name).map(String::as_str).unwrap_or_default())
}

fn tell(format: Format, told: &Value, done: &str) {
    format.print(told, |told| format!("{done} {}: it is {} there", field(told, "place"), field(told, "now")));
}
