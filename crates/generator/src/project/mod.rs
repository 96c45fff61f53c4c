//! A project on disk: reading it, planning its regeneration, applying a plan, resolving a conflict, undoing.
//!
//! Every write goes through a [`transaction`]: prepared beside the project, committed by one rename, carried out with
//! temporary file, fsync and rename, finished after a crash by whoever comes next.

mod apply;
mod disk;
mod generate;
mod resolve;
mod survey;
#[cfg(test)]
mod tests;
mod transaction;
mod undo;

use std::path::{Path, PathBuf};

pub use apply::{Applied, apply, dry_run};
pub use generate::{Generated, Request, generate, preview};
pub use resolve::{Resolution, resolve};
pub use undo::undo;

use crate::content::Hash;
use crate::description::Wrong;
use crate::path::{Refused, RelPath};

/// A project: a directory with a name.
#[derive(Clone, Debug)]
pub struct Project {
    name: String,
    directory: PathBuf,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The description is wrong.
    #[error(transparent)]
    Description(#[from] Wrong),
    /// The project may not be called so.
    #[error("{0}")]
    Name(String),
    /// There is no such project, plan or conflict.
    #[error("{0}")]
    Missing(String),
    /// Something changed since the plan was made.
    #[error("{}", stale(.0))]
    Stale(Vec<String>),
    /// What is there cannot be worked on safely.
    #[error("{0}")]
    Refused(String),
    /// The disk said no.
    #[error("{0}: {1}")]
    Disk(String, #[source] std::io::Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}

fn stale(changed: &[String]) -> String {
    let list: String = changed.iter().map(|line| format!("\n  {line}")).collect();
    format!("nothing was written: since the plan was made, this changed:{list}\nRun `tollgate generate` again.")
}

impl Project {
    /// The project of this name below a root directory, whether it exists yet or not.
    ///
    /// # Errors
    /// The name cannot be one.
    pub fn at(root: &Path, name: &str) -> Result<Self, Error> {
        crate::description::check_project_name(name).map_err(Error::Name)?;
        Ok(Self { name: name.to_owned(), directory: root.join(name) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&self, path: &RelPath) -> PathBuf {
        self.directory.join(path.as_str())
    }

    fn inner(&self, name: &str) -> PathBuf {
        self.directory.join(".tollgate").join(name)
    }
}

/// One file of a transaction.
#[derive(Clone, Debug)]
struct Change {
    path: RelPath,
    /// What must be there; nothing: the file must not exist.
    before: Option<Hash>,
    /// What will be there; nothing: the file goes.
    after: Option<After>,
}

#[derive(Clone, Debug)]
struct After {
    bytes: Vec<u8>,
    mode: u32,
}

/// The mode of a file that is not run, and of one that is.
const PLAIN: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;
