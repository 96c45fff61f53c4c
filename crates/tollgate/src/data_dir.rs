//! The data directory: who holds it, the names of what lies in it, and files written whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// A data directory; nothing is opened or made by naming it.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// The exclusive right to serve from a data directory, as long as it is kept. The kernel takes it back when the
/// process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

impl DataDir {
    /// Names the directory.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes it (mode 0700) when it is not there.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root);
        made.map_err(Failure::during(format!("making the data directory {}", self.root.display())))
            .map_err(|failure| failure.remedy("Choose a directory this user may write to with --data."))
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// Another process has it.
    pub(crate) fn hold(&self) -> Result<Held, Failure> {
        self.make()?;
        let path = self.root.join("tollgate.lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = opened.map_err(Failure::during(format!("opening {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Held { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let what = format!("another tollgate is running on the data directory {}", self.root.display());
                Err(Failure::new(what)
                    .exit(Exit::Conflict)
                    .remedy("Stop it first, or choose another directory with --data."))
            }
            Err(TryLockError::Error(error)) => Err(Failure::new(format!("locking {}: {error}", path.display()))),
        }
    }

    /// Deletes what `dev` leaves in it: databases, sandbox, keys, backups. Nothing else is touched.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn wipe(&self) -> Result<(), Failure> {
        let ours = ["tollgate.db", "sandbox.db", "operator.key", "demo.json", "admin.sock"];
        for name in ours {
            for suffix in ["", "-wal", "-shm", ".lock"] {
                let path = self.root.join(format!("{name}{suffix}"));
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(Failure::new(format!("deleting {}: {error}", path.display())));
                    }
                    _ => {}
                }
            }
        }
        match fs::remove_dir_all(self.mail()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::new(format!("deleting {}: {error}", self.mail().display())))
            }
            _ => Ok(()),
        }
    }

    /// The folder that letters are written into where there is no mail server.
    pub(crate) fn mail(&self) -> PathBuf {
        self.root.join("mail")
    }

    /// The embedded database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("tollgate.db")
    }

    /// The sandbox's file.
    pub(crate) fn sandbox(&self) -> PathBuf {
        self.root.join("sandbox.db")
    }

    /// The socket that operator commands talk to.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }

    /// The operator key that `dev` made for itself.
    pub(crate) fn operator_key(&self) -> PathBuf {
        self.root.join("operator.key")
    }

    /// The demo org and its key, for the banner and the start page.
    pub(crate) fn demo(&self) -> PathBuf {
        self.root.join("demo.json")
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Writes a file (mode 0600) beside its place and moves it there, so that a reader sees all of it or nothing.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(Failure::during(format!("writing {}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{DataDir, write_whole};
    use crate::failure::Exit;

    #[test]
    fn a_second_holder_of_the_same_directory_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::new(&place.path().join("data"));
        let held = directory.hold().unwrap();
        let failure = directory.hold().unwrap_err();
        assert_eq!(failure.exit, Exit::Conflict);
        drop(held);
        directory.hold().unwrap();
    }

    #[test]
    fn a_file_is_written_for_its_owner_only_and_leaves_nothing_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ready.json");
        write_whole(&path, "one").unwrap();
        write_whole(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn wiping_leaves_foreign_files_alone() {
        let place = tempfile::tempdir().unwrap();
        for name in ["tollgate.db", "tollgate.db-wal", "sandbox.db", "notes.txt"] {
            std::fs::write(place.path().join(name), "x").unwrap();
        }
        DataDir::new(place.path()).wipe().unwrap();
        let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }
}
