//! A set of file changes that happens whole.
//!
//! `.tollgate/journal.tmp` is filled with the old and new bytes of every file and renamed to `.tollgate/journal`: that
//! rename is the commit. The changes are then carried out one by one, each skipped where it is already so; a crash
//! leaves a journal, and the next command finishes it. What was carried out stays as `.tollgate/undo`.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{After, Change, Error, PLAIN, Project, disk};
use crate::content::Hash;
use crate::path::RelPath;
use crate::plan::PROPOSED;

pub(super) const JOURNAL: &str = "journal";
pub(super) const UNDO: &str = "undo";
const PREPARED: &str = "journal.tmp";
const LIST: &str = "journal.json";

/// A change as the journal keeps it; the bytes lie beside the list as `N.old` and `N.new`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: RelPath,
    pub(super) before: Option<Hash>,
    pub(super) before_mode: Option<u32>,
    pub(super) after: Option<Hash>,
    pub(super) after_mode: Option<u32>,
}

/// Held while something is written; freed with the process, however it ends.
pub(super) fn lock(project: &Project) -> Result<fs::File, Error> {
    let path = project.inner("lock");
    let during = |error| Error::Disk(path.display().to_string(), error);
    fs::create_dir_all(project.inner("")).map_err(during)?;
    let file = fs::File::create(&path).map_err(during)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::Refused(format!("another tollgate works on {}; wait for it", project.name())))
        }
        Err(fs::TryLockError::Error(error)) => Err(during(error)),
    }
}

/// Checks every precondition, commits, carries out.
pub(super) fn commit(project: &Project, changes: Vec<Change>) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut entries = Vec::new();
    let mut stale = Vec::new();
    let prepared = project.inner(PREPARED);
    let during = |error| Error::Disk(prepared.display().to_string(), error);
    remove(&prepared).map_err(during)?;
    fs::create_dir_all(&prepared).map_err(during)?;
    for (number, change) in changes.into_iter().enumerate() {
        let there = disk::read_one(project, &change.path)?;
        let before = there.as_ref().map(|file| Hash::of(&file.bytes));
        if before != change.before {
            stale.push(change.path.to_string());
            continue;
        }
        step().map_err(during)?;
        if let Some(file) = &there {
            disk::write(&prepared.join(format!("{number}.old")), &file.bytes, PLAIN).map_err(during)?;
        }
        if let Some(After { bytes, .. }) = &change.after {
            disk::write(&prepared.join(format!("{number}.new")), bytes, PLAIN).map_err(during)?;
        }
        entries.push(Entry {
            path: change.path,
            before,
            before_mode: there.map(|file| file.mode),
            after: change.after.as_ref().map(|after| Hash::of(&after.bytes)),
            after_mode: change.after.map(|after| after.mode),
        });
    }
    if !stale.is_empty() {
        remove(&prepared).map_err(during)?;
        return Err(Error::Stale(stale));
    }
    let list = serde_json::to_vec_pretty(&entries).expect("a journal is plain data");
    disk::write(&prepared.join(LIST), &list, PLAIN).map_err(during)?;
    step().map_err(during)?;
    fs::rename(&prepared, project.inner(JOURNAL)).map_err(during)?;
    disk::sync(&project.inner("")).map_err(during)?;
    finish(project)
}

/// Finishes what a crash interrupted.
pub(super) fn recover(project: &Project) -> Result<(), Error> {
    let prepared = project.inner(PREPARED);
    remove(&prepared).map_err(|error| Error::Disk(prepared.display().to_string(), error))?;
    if project.inner(JOURNAL).exists() { finish(project) } else { Ok(()) }
}

/// Whether a crash left something to finish.
pub(super) fn is_interrupted(project: &Project) -> bool {
    project.inner(JOURNAL).exists()
}

/// The entries of a journal that lies in this directory.
pub(super) fn entries(directory: &Path) -> Result<Option<Vec<Entry>>, Error> {
    let Some(text) = disk::text(&directory.join(LIST))? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| Error::Refused(format!("{} cannot be read: {error}", directory.display())))
}

/// The bytes a journal keeps of one entry.
pub(super) fn kept(directory: &Path, number: usize, which: &str) -> Result<Vec<u8>, Error> {
    let path = directory.join(format!("{number}.{which}"));
    fs::read(&path).map_err(|error| Error::Disk(path.display().to_string(), error))
}

fn finish(project: &Project) -> Result<(), Error> {
    let journal = project.inner(JOURNAL);
    for (number, entry) in entries(&journal)?.unwrap_or_default().iter().enumerate() {
        let during = |error| Error::Disk(entry.path.to_string(), error);
        step().map_err(during)?;
        let there = disk::read_one(project, &entry.path)?.map(|file| Hash::of(&file.bytes));
        let target = project.file(&entry.path);
        if there == entry.after {
            continue;
        }
        let expected = there == entry.before;
        match entry.after_mode {
            None if expected => delete(project, &target).map_err(during)?,
            // Edited while we were away: the edit wins.
            None => {}
            Some(mode) => {
                let bytes = kept(&journal, number, "new")?;
                let to = if expected { target } else { project.file(&entry.path.with_suffix(PROPOSED)) };
                disk::write(&to, &bytes, mode).map_err(during)?;
            }
        }
    }
    let undo = project.inner(UNDO);
    let during = |error| Error::Disk(undo.display().to_string(), error);
    remove(&undo).map_err(during)?;
    step().map_err(during)?;
    fs::rename(&journal, &undo).map_err(during)?;
    disk::sync(&project.inner("")).map_err(during)
}

/// Removes a file and the directories that it leaves empty.
fn delete(project: &Project, target: &Path) -> io::Result<()> {
    fs::remove_file(target)?;
    let mut directory = target.parent();
    while let Some(empty) = directory.filter(|at| *at != project.directory()) {
        if fs::remove_dir(empty).is_err() {
            break;
        }
        directory = empty.parent();
    }
    Ok(())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "the tests end a process here")]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use crash::step;

/// A process that ends in the middle, for the tests: nothing after the chosen step runs, as after `kill -9`.
#[cfg(test)]
pub(super) mod crash {
    use std::cell::Cell;
    use std::io;

    thread_local!(static LEFT: Cell<Option<usize>> = const { Cell::new(None) });

    /// Ends the next transaction of this thread after so many steps; nothing: let it run.
    pub(in crate::project) fn after(steps: Option<usize>) {
        LEFT.set(steps);
    }

    pub(in crate::project) fn step() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
