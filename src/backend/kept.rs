//! What an adapter must not lose between two processes: a small file that only
//! its user may read, replaced as a whole, under one lock across all processes.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::AsyncWriteExt as _;

/// The folder of the sessions below the state directory.
const FOLDER: &str = "sessions";
/// The pause between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A token or a cookie. Shown by nothing; written to its file only.
#[derive(Clone)]
pub struct Secret(pub SecretString);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

/// The lock over what is done with a file. Given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The place of one such file.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
    key: String,
}

impl Kept {
    /// The one called `key` below the state directory.
    pub fn new(state: &Path, key: &str) -> Self {
        Self { folder: state.join(FOLDER), key: key.to_owned() }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.key))
    }

    /// Waits for the lock as long as nobody else interrupts.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn lock(&self) -> io::Result<Lock> {
        self.make_folder().await?;
        let file = self.lock_file().await?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// What is in it; `None`, if there is no file.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match tokio::fs::read(self.path()).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces it as a whole, and waits until the disk has it. For who holds the lock.
    ///
    /// # Errors
    /// What the file system says; the old file is then still there.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.make_folder().await?;
        let temporary = self.folder.join(format!("{}.new", self.key));
        let mut file = private().truncate(true).open(&temporary).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        tokio::fs::rename(&temporary, self.path()).await?;
        File::open(&self.folder)?.sync_all()
    }

    /// The others beside it, as far as they can be seen.
    pub async fn others(&self) -> Vec<Self> {
        let mut others = Vec::new();
        let Ok(mut files) = tokio::fs::read_dir(&self.folder).await else { return others };
        while let Ok(Some(file)) = files.next_entry().await {
            let path = file.path();
            let key = path.file_stem().and_then(|stem| stem.to_str()).filter(|key| *key != self.key);
            if let Some(key) = key.filter(|_| path.extension().is_some_and(|kind| kind == "json")) {
                others.push(Self { folder: self.folder.clone(), key: key.to_owned() });
            }
        }
        others
    }

    /// Removes it if its content is over and nobody is at work with it.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn remove_if(&self, is_over: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let lock = self.lock_file().await?;
        if lock.try_lock().is_ok() && self.read().await?.is_some_and(|bytes| is_over(&bytes)) {
            tokio::fs::remove_file(self.path()).await?;
        }
        Ok(())
    }

    /// Never removed: two processes would lock two files.
    async fn lock_file(&self) -> io::Result<File> {
        Ok(private().open(self.folder.join(format!("{}.lock", self.key))).await?.into_std().await)
    }

    async fn make_folder(&self) -> io::Result<()> {
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(&self.folder).await?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if tokio::fs::metadata(&self.folder).await?.permissions().mode() & 0o777 != 0o700 {
                tokio::fs::set_permissions(&self.folder, std::fs::Permissions::from_mode(0o700)).await?;
            }
        }
        Ok(())
    }
}

/// A file that only its user may read.
fn private() -> tokio::fs::OpenOptions {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}
