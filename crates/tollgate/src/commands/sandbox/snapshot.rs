//! `tollgate sandbox snapshot|restore`: the whole world of a `dev` — Stripe's side, Tollgate's side and the time it is — as a folder.
//! Restoring it into another data directory makes a branch: both go on by themselves from that moment.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tollgate_rules::time::Timestamp;

use super::super::Done;
use crate::config::Config;
use crate::data_dir::{DataDir, write_whole};
use crate::failure::{Exit, Failure};
use crate::output::{Format, field};

/// What makes a world; files that are not there (a sandbox that was served alone) are left out.
const FILES: [&str; 6] =
    ["tollgate.db", "tollgate.db-wal", "sandbox.db", "sandbox.db-wal", "operator.key", "demo.json"];
/// What says that a folder is a snapshot.
const MARK: &str = "world.json";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct World {
    tollgate_world: u32,
    now_micros: i64,
}

/// Copies the world of the data directory into a new folder.
///
/// # Errors
/// A server is running on it (it would change under the copy), there is no world, or the folder is there.
pub(super) async fn snapshot(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let to = folder(matches, "to");
    let data = DataDir::new(&config.data);
    if !data.sandbox().exists() {
        let what = format!("{} holds no sandbox", config.data.display());
        return Err(Failure::new(what).exit(Exit::NotFound).remedy("Name its directory with --data."));
    }
    let _held = data.hold()?;
    if to.exists() {
        let what = format!("{} is there already", to.display());
        return Err(Failure::new(what).exit(Exit::Conflict).remedy("Name a folder that does not exist yet."));
    }
    let now_micros = tollgate_sandbox::time_in(&data.sandbox()).await.map_err(Failure::during("reading the clock"))?;
    fs::create_dir_all(&to).map_err(Failure::during(format!("making {}", to.display())))?;
    copy(data.root(), &to)?;
    // Last: a folder without it is no snapshot.
    let world = World { tollgate_world: FORMAT, now_micros };
    let text = serde_json::to_string(&world).map_err(Failure::during("writing the snapshot"))?;
    write_whole(&to.join(MARK), &text)?;
    tell(format, &to, now_micros, "kept in");
    Ok(Done::Ok)
}

/// Puts a world into the data directory; it is the moment again at which it was kept.
///
/// # Errors
/// A server is running on the data directory, it holds another world, or the folder is no snapshot.
pub(super) async fn restore(config: &Config, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let from = folder(matches, "from");
    let world = read(&from)?;
    let data = DataDir::new(&config.data);
    let _held = data.hold()?;
    if data.database().exists() || data.sandbox().exists() {
        if !matches.get_flag("replace") {
            let what = format!("{} holds a world already", config.data.display());
            let remedy = "Say --replace to give it up, or make a branch in another directory with --data.";
            return Err(Failure::new(what).exit(Exit::Conflict).remedy(remedy));
        }
        data.wipe()?;
    }
    copy(&from, data.root())?;
    let put = tollgate_sandbox::set_time_in(&data.sandbox(), world.now_micros).await;
    put.map_err(Failure::during("setting the clock"))?;
    tell(format, data.root(), world.now_micros, "restored into");
    Ok(Done::Ok)
}

fn folder(matches: &ArgMatches, name: &str) -> PathBuf {
    PathBuf::from(matches.get_one::<String>(name).map(String::as_str).unwrap_or_default())
}

fn read(from: &Path) -> Result<World, Failure> {
    let path = from.join(MARK);
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("{}: no snapshot: {error}", from.display())).exit(Exit::NotFound))?;
    let world: World = serde_json::from_str(&text).map_err(Failure::during(format!("reading {}", path.display())))?;
    if world.tollgate_world != FORMAT {
        return Err(Failure::usage(format!("{}: format {} is not known", path.display(), world.tollgate_world)));
    }
    Ok(world)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    for name in FILES.iter().filter(|name| from.join(name).exists()) {
        let copied = fs::copy(from.join(name), to.join(name));
        copied.map_err(Failure::during(format!("copying {name} to {}", to.display())))?;
    }
    Ok(())
}

fn tell(format: Format, place: &Path, now_micros: i64, done: &str) {
    let now = Timestamp::from_micros(now_micros);
    let told = json!({"place": place, "now": now});
    format.print(&told, |told| format!("{done} {}: it is {} there", field(told, "place"), field(told, "now")));
}
