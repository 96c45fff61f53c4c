//! Puts a backup in the place of the data file, while no server runs.

use std::path::{Path, PathBuf};

use super::check::{compare_checksum, damage};
use super::create::make_durable;
use super::{Error, file_error};
use crate::db::lock_file;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The data file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Where the data file that was there is now.
    pub kept: Option<PathBuf>,
}

/// Checks the backup, puts it in the place of `data_file`, and keeps what was there beside it (`….before-restore`).
///
/// # Errors
/// [`Error::InUse`] while a server has the data file, [`Error::Damaged`] for a backup that is not sound: then nothing is touched.
pub async fn restore(backup: &Path, data_file: &Path) -> Result<Restored, Error> {
    let _lock = lock_file(data_file)?;
    compare_checksum(backup)?;
    let partial = suffixed(data_file, ".restoring");
    std::fs::copy(backup, &partial).map_err(|error| file_error(backup, error))?;
    if let Some(damage) = damage(&partial).await? {
        std::fs::remove_file(&partial).map_err(|error| file_error(&partial, error))?;
        return Err(Error::Damaged(damage));
    }
    let kept = set_aside(data_file)?;
    let bytes = make_durable(&partial, data_file)?;
    Ok(Restored { path: data_file.to_owned(), bytes, kept })
}

/// Moves the data file away with its WAL, which belongs to it and must never meet another file.
fn set_aside(data_file: &Path) -> Result<Option<PathBuf>, Error> {
    let kept = suffixed(data_file, ".before-restore");
    let mut moved = false;
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (suffixed(data_file, suffix), suffixed(&kept, suffix));
        match std::fs::rename(&from, &to) {
            Ok(()) => moved = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A WAL of an older set-aside file must not stay beside this one.
                let _ = std::fs::remove_file(&to);
            }
            Err(error) => return Err(file_error(&from, error)),
        }
    }
    Ok(moved.then_some(kept))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
