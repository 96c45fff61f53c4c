//! Letters as files.

use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::Error;

/// A folder of `.eml` files, readable by this user only.
#[derive(Debug, Clone)]
pub struct Folder {
    pub(super) path: PathBuf,
    pub(super) from: Mailbox,
}

impl Folder {
    /// Where the files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the letter whole or not at all.
    pub(super) async fn put(&self, id: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let written = self.write(id, &bytes).await;
        written.map_err(|error| Error::Unavailable(format!("writing a letter into the mail folder: {error}")))
    }

    async fn write(&self, id: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true);
        #[cfg(unix)]
        folder.mode(0o700);
        folder.create(&self.path).await?;
        let (part, whole) = (self.path.join(format!(".{id}.part")), self.path.join(format!("{id}.eml")));
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&part).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&part, &whole).await
    }
}
