//! Whether a copy can be trusted: the file is sound, its checksum is the one written beside it, and its ledger adds up.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Error, file_error};
use crate::db::{self, check_file, open_copy};
use crate::ledger;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Reads a copy whole, counts its ledger again, and says what is wrong with it; nothing when it can be trusted.
pub(super) async fn damage(path: &Path) -> Result<Option<String>, db::Error> {
    if let Some(damage) = check_file(path).await? {
        return Ok(Some(damage));
    }
    let (pool, mut connection) = open_copy(path).await?;
    let differing = ledger::differing(&mut connection).await;
    drop(connection);
    pool.close().await;
    let differing = differing?;
    Ok((differing > 0).then(|| format!("{differing} numbers of its ledger differ from the sum of their events")))
}

/// Where the checksum of a backup stands: beside it, in the form `sha256sum --check` reads.
pub(super) fn checksum_path(backup: &Path) -> PathBuf {
    let mut path = backup.as_os_str().to_owned();
    path.push(".sha256");
    PathBuf::from(path)
}

/// Writes the checksum of the finished `file` beside the backup `target` it will become.
pub(super) fn write_checksum(file: &Path, target: &Path) -> Result<(), Error> {
    let name = target.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let path = checksum_path(target);
    std::fs::write(&path, format!("{}  {name}\n", digest(file)?)).map_err(|error| file_error(&path, error))
}

/// Compares the backup with the checksum beside it, where there is one.
///
/// # Errors
/// [`Error::Damaged`] when they differ.
pub(super) fn compare_checksum(backup: &Path) -> Result<(), Error> {
    let path = checksum_path(backup);
    let written = match std::fs::read_to_string(&path) {
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error(&path, error)),
    };
    let expected = written.split_whitespace().next().unwrap_or_default();
    if digest(backup)? == expected {
        return Ok(());
    }
    Err(Error::Damaged(format!("it is not the file whose checksum stands in {}", path.display())))
}

/// SHA-256 of a file in lower-case hexadecimal digits.
fn digest(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(|error| file_error(path, error))?;
    let mut hash = Sha256::new();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => hash.update(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(file_error(path, error)),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
