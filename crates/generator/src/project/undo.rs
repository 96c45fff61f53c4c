//! Taking back the last transaction; undoing twice brings it back.

use super::transaction::{self, Entry, UNDO};
use super::{After, Change, Error, Project, disk};
use crate::content::Hash;
use crate::plan::{CONFLICTS_FILE, PLAN_FILE};

/// Takes back what the last apply or resolve wrote; how many files of the project changed.
///
/// # Errors
/// There is nothing to undo, or one of its files was edited since; then nothing was written.
pub fn undo(project: &Project) -> Result<usize, Error> {
    if !project.directory().is_dir() {
        return Err(Error::Missing(format!("there is no project {}", project.name())));
    }
    let _lock = transaction::lock(project)?;
    transaction::recover(project)?;
    let directory = project.inner(UNDO);
    let missing = || Error::Missing(format!("{} has nothing to undo", project.name()));
    let entries = transaction::entries(&directory)?.ok_or_else(missing)?;
    let mut changes = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let after = match entry.before_mode {
            None => None,
            Some(mode) => Some(After { bytes: transaction::kept(&directory, number, "old")?, mode }),
        };
        changes.push(Change { path: entry.path.clone(), before: expected(project, entry)?, after });
    }
    let written = entries.iter().filter(|entry| !is_ours(entry)).count();
    transaction::commit(project, changes)?;
    Ok(written)
}

/// What must be there. A plan made since is only a plan: it goes with the state it was made for.
fn expected(project: &Project, entry: &Entry) -> Result<Option<Hash>, Error> {
    match entry.path.as_str() {
        PLAN_FILE | CONFLICTS_FILE => Ok(disk::read_one(project, &entry.path)?.map(|file| Hash::of(&file.bytes))),
        _ => Ok(entry.after.clone()),
    }
}

fn is_ours(entry: &Entry) -> bool {
    let path = entry.path.as_str();
    path.starts_with(".tollgate/") || path == PLAN_FILE || path == CONFLICTS_FILE
}
