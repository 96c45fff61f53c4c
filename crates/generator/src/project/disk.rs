//! Reading a project: only plain files, never through a symbolic link.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Error, Project};
use crate::path::RelPath;
use crate::plan::DiskFile;

/// The largest file we compare; what is larger is nothing we generated.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The files that exist among these paths.
pub(super) fn read<'a>(
    project: &Project,
    paths: impl Iterator<Item = &'a RelPath>,
) -> Result<BTreeMap<RelPath, DiskFile>, Error> {
    let mut found = BTreeMap::new();
    for path in paths {
        if let Some(file) = read_one(project, path)? {
            found.insert(path.clone(), file);
        }
    }
    Ok(found)
}

/// One file, if it exists.
pub(super) fn read_one(project: &Project, path: &RelPath) -> Result<Option<DiskFile>, Error> {
    let refuse = |what: &str| Err(Error::Refused(format!("{path}: {what}; move it out of the way first")));
    let mut at = project.directory().to_path_buf();
    if is_link(&at)? {
        return refuse("the project's directory is a symbolic link");
    }
    let parts: Vec<&str> = path.as_str().split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        if let Some(other) = other_spelling(&at, part)? {
            return refuse(&format!("{other:?} differs from it only in case"));
        }
        at.push(part);
        let about = match fs::symlink_metadata(&at) {
            Ok(about) => about,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Disk(at.display().to_string(), error)),
        };
        let last = index + 1 == parts.len();
        if about.is_symlink() {
            return refuse("there is a symbolic link");
        }
        if last != about.is_file() {
            return refuse(if last { "it is not a plain file" } else { "a file stands where a directory must be" });
        }
        if last && about.len() > BYTES_MAX {
            return refuse("it is larger than anything generated");
        }
    }
    let during = |error| Error::Disk(at.display().to_string(), error);
    let mode = fs::metadata(&at).map_err(during)?.permissions().mode() & 0o777;
    Ok(Some(DiskFile { bytes: fs::read(&at).map_err(during)?, mode }))
}

/// The text of one of our own files, if it exists.
pub(super) fn text(path: &Path) -> Result<Option<String>, Error> {
    if is_link(path)? {
        return Err(Error::Refused(format!("{}: it is a symbolic link", path.display())));
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Disk(path.display().to_string(), error)),
    }
}

/// The names in a directory; none when it does not exist.
pub(super) fn names(path: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(Error::Disk(path.display().to_string(), error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::Disk(path.display().to_string(), error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Puts a file in place: written beside it, synced, renamed, the directory synced.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.tollgate-writing"));
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync(directory)
}

/// Makes the names in a directory durable.
pub(super) fn sync(directory: &Path) -> std::io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

fn is_link(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(about) => Ok(about.is_symlink()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::Disk(path.display().to_string(), error)),
    }
}

/// Another name in this directory that a system which ignores case takes for this one.
fn other_spelling(directory: &Path, name: &str) -> Result<Option<String>, Error> {
    let folded = name.to_lowercase();
    let names = names(directory)?;
    if names.iter().any(|other| other == name) {
        return Ok(None);
    }
    Ok(names.into_iter().find(|other| other.to_lowercase() == folded))
}
