//! A ledger on disk, and the lock that makes one process its keeper.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use crate::model::{Clean, EndpointName, EndpointSpec};
use crate::runtime::shell;

/// The folder below the state directory.
const FOLDER: &str = "policy";
/// The version of the file.
const VERSION: u32 = 1;

/// The file of one endpoint's ledger. Ours alone until this is dropped.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// What the ledger is of: another address has other tasks.
    url: Option<String>,
    lock: File,
}

/// Let go at once: a child that is being started would hold what is only closed here for a moment.
impl Drop for Store {
    fn drop(&mut self) {
        // One that can't be let go goes with the file.
        let _ = self.lock.unlock();
    }
}

/// Why there is no ledger.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has it.
    Taken,
    /// What is wrong, in one line.
    Wrong(Clean),
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    url: Option<String>,
    #[serde(flatten)]
    ledger: Ledger,
}

impl Store {
    /// Takes charge of the ledger of `spec`, and reads it.
    ///
    /// # Errors
    /// See [`StoreError`]. One that can't be read is not begun anew: that could retry what was retried before.
    pub async fn open(state: &Path, spec: &EndpointSpec) -> Result<(Self, Ledger), StoreError> {
        let (folder, name) = (state.join(FOLDER), file_name(&spec.name));
        let path = folder.join(format!("{name}.json"));
        let (lock, url) = (folder.join(format!("{name}.lock")), spec.url.clone());
        let opened = shell::blocking(move || {
            let wrong = |path: &Path, error: &dyn std::fmt::Display| {
                StoreError::Wrong(Clean::from(format!("{}: {error}", path.display())))
            };
            std::fs::create_dir_all(&folder).map_err(|error| wrong(&folder, &error))?;
            let file = private().truncate(false).open(&lock).map_err(|error| wrong(&lock, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StoreError::Taken),
                Err(TryLockError::Error(error)) => return Err(wrong(&lock, &error)),
            }
            let ledger = match std::fs::read(&path) {
                Ok(bytes) => match serde_json::from_slice::<Content>(&bytes) {
                    Ok(content) if content.version != VERSION => {
                        return Err(wrong(&path, &"written by another version of vigie"));
                    }
                    Ok(content) if content.url == url => content.ledger,
                    Ok(_) => Ledger::default(),
                    Err(error) => {
                        let cause = format!("can't be read ({error}): remove it to begin anew");
                        return Err(wrong(&path, &cause));
                    }
                },
                Err(error) if error.kind() == ErrorKind::NotFound => Ledger::default(),
                Err(error) => return Err(wrong(&path, &error)),
            };
            Ok((Self { path, url, lock: file }, ledger))
        });
        opened.await.unwrap_or_else(|| Err(StoreError::Wrong("interrupted".into())))
    }

    /// Replaces the file as a whole, and waits until the disk has it.
    ///
    /// # Errors
    /// Why it can't be written, in one line.
    pub async fn save(&self, ledger: &Ledger) -> Result<(), Clean> {
        let wrong = |error: &dyn std::fmt::Display| Clean::from(format!("{}: {error}", self.path.display()));
        let content = Content { version: VERSION, url: self.url.clone(), ledger: ledger.clone() };
        let bytes = serde_json::to_vec(&content).map_err(|error| wrong(&error))?;
        let path = self.path.clone();
        let written = shell::blocking(move || replace(&path, &bytes)).await;
        written.unwrap_or_else(|| Err(io::Error::other("interrupted"))).map_err(|error| wrong(&error))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().truncate(true).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A name that is a file name everywhere, and no two the same.
fn file_name(endpoint: &EndpointName) -> String {
    let mut name = String::new();
    for byte in endpoint.as_raw().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            // Capitals too: some file systems take them for small ones.
            other => name.extend(['%', hex(other >> 4), hex(other & 0xf)]),
        }
    }
    name
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn spec(url: &str) -> EndpointSpec {
        EndpointSpec::new("Prod/../rq".into(), Kind::Rediacc, Some(url.to_owned()))
    }

    fn ledger() -> Ledger {
        serde_json::from_value(serde_json::json!({"tasks": {"x": {
            "tries": 2, "failure": {"attempt": 1, "run": null, "queued": null, "ended": null},
            "due": "2026-01-20T09:00:00Z", "answered": true, "moved": false, "given_up": false,
        }}}))
        .unwrap()
    }

    #[tokio::test]
    async fn what_was_done_outlasts_its_keeper_and_has_one_keeper_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (store, empty) = Store::open(folder.path(), &spec("http://a")).await.unwrap();
        assert!(empty.is_empty());
        store.save(&ledger()).await.unwrap();
        assert!(matches!(Store::open(folder.path(), &spec("http://a")).await, Err(StoreError::Taken)));
        drop(store);
        let (store, read) = Store::open(folder.path(), &spec("http://a")).await.unwrap();
        assert_eq!(read, ledger());
        drop(store);
        let (_, other) = Store::open(folder.path(), &spec("http://b")).await.unwrap();
        assert!(other.is_empty(), "the tasks of another address are others");
    }

    #[tokio::test]
    async fn one_that_cannot_be_read_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path(), &spec("http://a")).await.unwrap();
        let path = store.path.clone();
        drop(store);
        for (content, said) in [
            ("{\"version\":1,\"tas", "remove it to begin anew"),
            ("{\"version\":9,\"url\":null,\"tasks\":{}}", "another version of vigie"),
        ] {
            std::fs::write(&path, content).unwrap();
            let Err(StoreError::Wrong(why)) = Store::open(folder.path(), &spec("http://a")).await else {
                panic!("{content} was taken")
            };
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn file_names_are_plain_and_distinct() {
        assert_eq!(file_name(&"prod-1_x".into()), "prod-1_x");
        assert_eq!(file_name(&"A/..".into()), "%41%2f%2e%2e");
    }
}
