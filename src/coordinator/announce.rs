//! `coordinator.json`: how local consoles and commands find a running coordinator.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::Clean;
pub(super) use crate::wire::audit::hex;
use crate::wire::{COORDINATOR_FILE, CoordinatorFile};

/// The file says where we are; dropping this takes it away, if it is still ours.
#[derive(Debug)]
pub struct Announced {
    data: PathBuf,
    file: CoordinatorFile,
}

/// The file can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't write {}: {cause}", path.display())]
pub struct AnnounceError {
    /// The file.
    pub path: PathBuf,
    /// The system's word.
    pub cause: Clean,
}

impl Announced {
    /// Writes the file for a coordinator at `url`, with a new random token.
    /// Only for whoever holds the lock on `data`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(data: &Path, url: String) -> Result<Self, AnnounceError> {
        let file = CoordinatorFile { url, token: new_token(), pid: std::process::id() };
        let path = data.join(COORDINATOR_FILE);
        replace(&path, &file)
            .map_err(|error| AnnounceError { path, cause: Clean::from(error.to_string()) })?;
        Ok(Self { data: data.to_owned(), file })
    }

    /// What the file says.
    #[must_use]
    pub const fn file(&self) -> &CoordinatorFile {
        &self.file
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if read(&self.data).is_some_and(|found| found.token == self.file.token)
            && let Err(error) = std::fs::remove_file(self.data.join(COORDINATOR_FILE))
        {
            tracing::warn!(%error, "{COORDINATOR_FILE} could not be removed");
        }
    }
}

/// What `coordinator.json` in `data` says; `None` if it is not there or can't
/// be read. A coordinator that was killed leaves it behind: only one that
/// answers is one.
#[must_use]
pub fn read(data: &Path) -> Option<CoordinatorFile> {
    serde_json::from_slice(&std::fs::read(data.join(COORDINATOR_FILE)).ok()?).ok()
}

/// 256 random bits.
fn new_token() -> String {
    hex(&rand::random::<[u8; 32]>())
}

/// Through a new file and a rename, so that a reader sees the old or the new
/// one whole, and nobody else ever sees the token.
fn replace(path: &Path, file: &CoordinatorFile) -> std::io::Result<()> {
    let fresh = path.with_extension("json.new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    serde_json::to_writer(&mut out, file)?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private_and_goes_with_its_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(COORDINATOR_FILE);
        std::fs::write(&path, "left behind by a killed one").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();

        let first = Announced::write(data.path(), "http://127.0.0.1:1".to_owned()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.file().token.len(), 64);
        assert!(!format!("{first:?}").contains(&first.file().token));

        let second = Announced::write(data.path(), "http://127.0.0.1:2".to_owned()).unwrap();
        assert_ne!(second.file().token, first.file().token);
        drop(first);
        assert_eq!(read(data.path()).unwrap().url, "http://127.0.0.1:2");
        drop(second);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
    }
}
