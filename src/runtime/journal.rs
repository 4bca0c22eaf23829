//! The journal: every intent on disk before its request leaves, every receipt
//! as soon as it is known.
//!
//! One JSON value per line. Several processes may write to it at once: each
//! batch is written under a lock of the file. It is bounded: at [`MAX_BYTES`]
//! it becomes `journal.1.jsonl`, and the one before that goes. Intents and
//! receipts hold no secret.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::shell;
use crate::model::{Clean, Intent, Receipt};

/// At this size a new file is begun; one older is kept.
pub const MAX_BYTES: u64 = 5 * 1024 * 1024;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalEntry {
    /// Somebody wanted this.
    Intent(Intent),
    /// An intent came so far at one target.
    Receipt(Receipt),
}

/// The newest `n` entries, oldest first. Lines that can't be read (a torn one,
/// a newer version's) are left out; no journal is an empty one.
///
/// # Errors
/// What the file system says.
pub fn tail(path: &Path, n: usize) -> io::Result<Vec<JournalEntry>> {
    let mut entries = read(path)?;
    if entries.len() < n {
        let mut older = read(&older(path))?;
        older.append(&mut entries);
        entries = older;
    }
    Ok(entries.split_off(entries.len().saturating_sub(n)))
}

fn read(path: &Path) -> io::Result<Vec<JournalEntry>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        // Twice the bound is what a batch that is being written could make of it.
        Ok(file) => file.take(2 * MAX_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

/// The journal as it is written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    max_bytes: u64,
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever writes; the others' entries are written with its own.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    lines: Vec<u8>,
    done: oneshot::Sender<Result<(), Clean>>,
}

impl Journal {
    /// The journal at `path`; nothing is touched yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self::bounded(path, MAX_BYTES)
    }

    fn bounded(path: PathBuf, max_bytes: u64) -> Self {
        let (waiting, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { path, max_bytes, waiting, turn }))
    }

    /// Writes `entries` and waits until the disk has them. Calls at the same
    /// time share one write.
    ///
    /// # Errors
    /// Why it could not be written, in one line.
    pub async fn write(&self, entries: &[JournalEntry]) -> Result<(), Clean> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|error| Clean::from(error.to_string()))?;
            lines.push(b'\n');
        }
        let (done, mut result) = oneshot::channel();
        self.waiting().push(Waiting { lines, done });
        let _turn = self.0.turn.lock().await;
        let batch = std::mem::take(&mut *self.waiting());
        if !batch.is_empty() {
            let shared = Arc::clone(&self.0);
            let (lines, dones): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.lines, w.done)).unzip();
            let written = shell::blocking(move || append(&shared.path, &lines.concat(), shared.max_bytes))
                .await
                .unwrap_or_else(|| Err(io::Error::other("interrupted")))
                .map_err(|error| Clean::from(format!("{}: {error}", self.0.path.display())));
            for done in dones {
                // Who no longer waits need not know.
                done.send(written.clone()).unwrap_or_default();
            }
        }
        result.try_recv().unwrap_or_else(|_| Err("the journal was interrupted".into()))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path, lines: &[u8], max_bytes: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = open_locked(path)?;
    let size = file.metadata()?.len();
    if size > 0 && size + lines.len() as u64 > max_bytes {
        std::fs::rename(path, older(path))?;
        // Others that wait for the old file's lock see that it is no longer at its place.
        file = open_locked(path)?;
    }
    if !ends_with_line_break(&mut file)? {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    file.sync_data()
}

/// Opens the file for appending and locks it against other writers; again, if
/// it was replaced meanwhile.
fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        file.lock()?;
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => id(open) == id(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// A line torn by a crash must not swallow the next one.
fn ends_with_line_break(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::intent;
    use super::*;
    use crate::model::Verb;

    fn entry(target: &str) -> JournalEntry {
        JournalEntry::Intent(intent(Verb::Trigger, &[("a", target)]))
    }

    #[tokio::test]
    async fn what_is_written_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/journal.jsonl");
        assert_eq!(tail(&path, 5).unwrap(), []);
        let journal = Journal::new(path.clone());
        let entries: Vec<_> = ["1", "2", "3"].map(entry).into();
        journal.write(&entries[..1]).await.unwrap();
        journal.write(&entries[1..]).await.unwrap();
        assert_eq!(tail(&path, 10).unwrap(), entries);
        assert_eq!(tail(&path, 2).unwrap(), entries[1..]);
    }

    #[tokio::test]
    async fn many_at_once_share_the_disk_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        // As two processes would.
        let (one, two) = (Journal::new(path.clone()), Journal::new(path.clone()));
        let writes = (0..60).map(|i| {
            let journal = if i % 2 == 0 { one.clone() } else { two.clone() };
            async move { journal.write(&[entry(&i.to_string())]).await }
        });
        for written in futures_util::future::join_all(writes).await {
            written.unwrap();
        }
        assert_eq!(tail(&path, 100).unwrap().len(), 60);
    }

    #[tokio::test]
    async fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::new(path.clone());
        journal.write(&[entry("1")]).await.unwrap();
        let mut text = std::fs::read(&path).unwrap();
        text.extend(b"{\"intent\":{\"id\":");
        std::fs::write(&path, text).unwrap();
        journal.write(&[entry("2")]).await.unwrap();
        assert_eq!(tail(&path, 10).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn it_is_bounded_and_keeps_one_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let line = serde_json::to_vec(&entry("10")).unwrap().len() as u64 + 1;
        let journal = Journal::bounded(path.clone(), 3 * line);
        let entries: Vec<_> = (10..20).map(|i| entry(&i.to_string())).collect();
        for entry in &entries {
            journal.write(std::slice::from_ref(entry)).await.unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(tail(&path, 100).unwrap(), entries[6..]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn it_is_private_and_says_why_it_cannot_be_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::new(path.clone()).write(&[entry("1")]).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let below_a_file = Journal::new(path.join("journal.jsonl"));
        let error = below_a_file.write(&[entry("1")]).await.unwrap_err();
        assert!(error.contains("journal.jsonl: "), "{error}");
    }
}
