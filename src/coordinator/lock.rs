//! One coordinator per data directory: a lock that the operating system holds,
//! and gives back however its process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::Clean;

use super::announce;

/// The file that is locked. It stays when the lock is gone; only the lock counts.
const LOCK_FILE: &str = "coordinator.lock";

/// How often a lock is tried that nobody may be holding any more.
const LOOKS: u32 = 50;
/// The pause between.
const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// The lock on a data directory, held until it is dropped.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another coordinator has the directory.
    #[error(
        "a coordinator already runs on {}: {}", data.display(),
        match by {
            Some(holder) => format!("pid {} at {}", holder.pid, holder.url),
            None => "it has not said yet where it listens".to_owned(),
        }
    )]
    Taken {
        /// The data directory.
        data: PathBuf,
        /// The one that has it, if it has announced itself.
        by: Option<Holder>,
    },
    /// The directory or the file in it can't be used.
    #[error("can't lock {}: {cause}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's word.
        cause: Clean,
    },
}

/// The coordinator that has a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub url: Clean,
}

/// Locks `data`, which is made (mode 0700) if it is not there.
///
/// # Errors
/// [`LockError::Taken`] with the process that has it, or what the file system says.
pub fn acquire(data: &Path) -> Result<DataLock, LockError> {
    let failed = |path: &Path, error: &std::io::Error| LockError::Io {
        path: path.to_owned(),
        cause: Clean::from(error.to_string()),
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|error| failed(data, &error))?;
    check_folder(data).map_err(|error| failed(data, &error))?;
    let path = data.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed(&path, &error))?;
    let mut looks = LOOKS;
    let mut locked = file.try_lock();
    while looks > 0 && matches!(locked, Err(TryLockError::WouldBlock)) && !is_held(data) {
        looks -= 1;
        std::thread::sleep(LOOK);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(DataLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(LockError::Taken {
            data: data.to_owned(),
            by: announce::read(data).map(|file| Holder { pid: file.pid, url: Clean::from(file.url) }),
        }),
        Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

/// A folder that everybody can write into is none to keep a database, tokens and the way to them in: anybody could put
/// others in their place.
fn check_folder(data: &Path) -> std::io::Result<()> {
    let mode = std::fs::metadata(data)?.permissions().mode();
    if mode & 0o002 == 0 {
        return Ok(());
    }
    let why = format!("everybody can write there (mode {:o}): chmod o-w it, or name another", mode & 0o7777);
    Err(std::io::Error::other(why))
}

/// Whether the process that announced itself is still there. One that was
/// killed while it started something is not, and its lock is for a moment yet:
/// what it was about to start lets go of it only once it is another program.
fn is_held(data: &Path) -> bool {
    announce::read(data)
        .and_then(|file| rustix::process::Pid::from_raw(i32::try_from(file.pid).ok()?))
        .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("new/data");
        let first = acquire(&data).unwrap();
        let refused = acquire(&data).unwrap_err();
        assert!(refused.to_string().ends_with("it has not said yet where it listens"), "{refused}");

        let announced = announce::Announced::write(&data, "http://127.0.0.1:1".to_owned()).unwrap();
        let refused = acquire(&data).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        assert!(refused.ends_with("at http://127.0.0.1:1"), "{refused}");

        drop(announced);
        drop(first);
        acquire(&data).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = acquire(&file.join("data")).unwrap_err().to_string();
        assert!(refused.starts_with("can't lock ") && refused.contains("file/data"), "{refused}");
    }

    #[test]
    fn a_directory_that_everybody_can_write_into_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let mode =
            |mode| std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o1777);
        let refused = acquire(home.path()).unwrap_err().to_string();
        assert!(refused.contains("everybody can write there (mode 1777)"), "{refused}");
        assert!(!home.path().join(LOCK_FILE).exists());
        mode(0o755);
        drop(acquire(home.path()).unwrap());
        mode(0o700);
    }
}
