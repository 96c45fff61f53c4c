//! Whole worlds of a `dev` as folders: Stripe's side, Tollgate's side and the time it is. One that is restored into another data
//! directory is a branch: both go on by themselves from that moment.
//!
//! While a `dev` runs, both sides are copied at one moment: Stripe's side stands still, and Tollgate's database gives a copy of itself
//! meanwhile. What is under way then is like after a crash at that moment: it is stored, and goes on when the copy is started.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tollgate_engine::{Engine, backup};
use tollgate_rules::access::Permission;
use tollgate_rules::time::Timestamp;

use crate::admin::{World, backup_failed, operator};
use crate::data_dir::{DataDir, write_whole};
use crate::failure::{Exit, Failure};

/// What makes a world; files that are not there (a sandbox that was served alone) are left out.
const FILES: [&str; 6] =
    ["tollgate.db", "tollgate.db-wal", "sandbox.db", "sandbox.db-wal", "operator.key", "demo.json"];
/// What lies beside both sides, and does not change while they run.
const BESIDE: [&str; 2] = ["operator.key", "demo.json"];
/// What says that a folder is a snapshot.
const MARK: &str = "world.json";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    tollgate_world: u32,
    now_micros: i64,
}

/// Makes the folder of a snapshot.
///
/// # Errors
/// It is there already.
fn make(to: &Path) -> Result<(), Failure> {
    if to.exists() {
        let what = format!("{} is there already", to.display());
        return Err(Failure::new(what).exit(Exit::Conflict).remedy("Name a folder that does not exist yet."));
    }
    fs::create_dir_all(to).map_err(Failure::during(format!("making {}", to.display())))
}

/// Last: a folder without it is no snapshot.
fn mark(to: &Path, now_micros: i64) -> Result<(), Failure> {
    let mark = Mark { tollgate_world: FORMAT, now_micros };
    let text = serde_json::to_string(&mark).map_err(Failure::during("writing the snapshot"))?;
    write_whole(&to.join(MARK), &text)
}

/// Copies the world of a data directory that nothing runs on; what time it is there.
///
/// # Errors
/// The folder is there already, or the files cannot be read or written.
pub(crate) async fn keep_files(data: &DataDir, to: &Path) -> Result<Timestamp, Failure> {
    let now_micros = tollgate_sandbox::time_in(&data.sandbox()).await.map_err(Failure::during("reading the clock"))?;
    make(to)?;
    copy(data.root(), to, &FILES)?;
    mark(to, now_micros)?;
    Ok(Timestamp::from_micros(now_micros))
}

/// Copies the world of a running `dev`; what time it was in it.
///
/// # Errors
/// The folder is there already, the database is a server of its own, or the files cannot be written.
pub(crate) async fn keep_running(engine: &Engine, world: &World, to: &Path) -> Result<Timestamp, Failure> {
    make(to)?;
    let scope = operator(Permission::DiagnosticsRead)?;
    let (engine, target, handle) = (engine.clone(), to.join("tollgate.db"), tokio::runtime::Handle::current());
    // Called on the sandbox's own thread, while nothing happens at Stripe.
    let ours = move || {
        let made = handle.block_on(backup::create(&engine, &scope, &target));
        made.map(drop).map_err(|error| backup_failed(&error).what)
    };
    let kept = world.sandbox.copy_into(to, ours).await;
    let now_micros = match kept {
        Ok(now_micros) => now_micros,
        Err(error) => {
            // Nothing half kept is left behind.
            let _gone = fs::remove_dir_all(to);
            return Err(Failure::new(format!("keeping the world: {error}")));
        }
    };
    copy(world.data.root(), to, &BESIDE)?;
    mark(to, now_micros)?;
    Ok(Timestamp::from_micros(now_micros))
}

/// Puts a world into a data directory that is held and empty; it is the moment again at which it was kept.
///
/// # Errors
/// The folder is no snapshot, or the files cannot be written.
pub(crate) async fn put(world: &Kept, from: &Path, data: &DataDir) -> Result<Timestamp, Failure> {
    copy(from, data.root(), &FILES)?;
    let put = tollgate_sandbox::set_time_in(&data.sandbox(), world.now_micros).await;
    put.map_err(Failure::during("setting the clock"))?;
    Ok(Timestamp::from_micros(world.now_micros))
}

/// A snapshot that was looked at.
pub(crate) struct Kept {
    now_micros: i64,
}

/// Looks at a folder.
///
/// # Errors
/// It is no snapshot, or of another format.
pub(crate) fn read(from: &Path) -> Result<Kept, Failure> {
    let path = from.join(MARK);
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("{}: no snapshot: {error}", from.display())).exit(Exit::NotFound))?;
    let mark: Mark = serde_json::from_str(&text).map_err(Failure::during(format!("reading {}", path.display())))?;
    if mark.tollgate_world != FORMAT {
        return Err(Failure::usage(format!("{}: format {} is not known", path.display(), mark.tollgate_world)));
    }
    Ok(Kept { now_micros: mark.now_micros })
}

fn copy(from: &Path, to: &Path, names: &[&str]) -> Result<(), Failure> {
    for name in names.iter().filter(|name| from.join(name).exists()) {
        let copied = fs::copy(from.join(name), to.join(name));
        copied.map_err(Failure::during(format!("copying {name} to {}", to.display())))?;
    }
    Ok(())
}
