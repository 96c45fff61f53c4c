//! Copies the embedded database while it runs.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::check::{damage, write_checksum};
use super::{Error, file_error};
use crate::access::OperatorScope;
use crate::audit;
use crate::db::{Kind, Lane};
use crate::engine::Engine;

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Copies the database into `target`, which must not be there. The copy is read whole and made durable before it gets its name.
///
/// # Errors
/// [`Error::NotEmbedded`] on PostgreSQL, [`Error::Exists`], [`Error::Damaged`], or a file's or database's.
pub async fn create(engine: &Engine, scope: &OperatorScope, target: &Path) -> Result<Created, Error> {
    let created = copy(engine, target).await?;
    let (task, by, after) = (engine.clone(), scope.clone(), json!({ "bytes": created.bytes }));
    let name = target.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let write = async move {
        let mut tx = task.db().begin(Lane::Control).await?;
        audit::append(&task, &mut tx, audit::Entry::server(&by, "backups.create", name).after(after)).await?;
        tx.commit().await
    };
    engine.db().detached(write).await?;
    Ok(created)
}

pub(super) async fn copy(engine: &Engine, target: &Path) -> Result<Created, Error> {
    if engine.db().kind() == Kind::Postgres {
        return Err(Error::NotEmbedded);
    }
    if target.exists() {
        return Err(Error::Exists(target.display().to_string()));
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(|error| file_error(&partial, error))?;
    }
    engine.db().copy_into(&partial).await?;
    if let Some(damage) = damage(&partial).await? {
        return Err(Error::Damaged(damage));
    }
    write_checksum(&partial, target)?;
    let bytes = make_durable(&partial, target)?;
    Ok(Created { path: target.to_owned(), bytes })
}

/// Syncs the file, gives it its name, syncs the folder.
pub(super) fn make_durable(partial: &Path, target: &Path) -> Result<u64, Error> {
    let file = std::fs::File::open(partial).map_err(|error| file_error(partial, error))?;
    file.sync_all().map_err(|error| file_error(partial, error))?;
    let bytes = file.metadata().map_err(|error| file_error(partial, error))?.len();
    std::fs::rename(partial, target).map_err(|error| file_error(target, error))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| file_error(folder, error))?;
    Ok(bytes)
}
