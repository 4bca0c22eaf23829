//! Notices that a file has changed, appeared or gone.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::ConfigError;

/// Editors write in several steps: this much quiet ends a change.
const QUIET: Duration = Duration::from_millis(100);
/// A file that never rests is read all the same after so many events.
const RESTLESS: u32 = 20;

/// Watches files through their folders, so that one that is replaced, or is
/// new, counts too. A folder that is not there yet is waited for.
#[derive(Debug)]
pub struct ConfigWatch {
    files: Vec<PathBuf>,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    events: mpsc::Receiver<()>,
    seen: Vec<Option<u64>>,
}

impl ConfigWatch {
    /// Watches `files` from now on.
    ///
    /// # Errors
    /// [`ConfigError::Unwatchable`] where the system refuses.
    pub fn new(files: Vec<PathBuf>) -> Result<Self, ConfigError> {
        let (sender, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is no change. A full channel already says that there is one.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                sender.try_send(()).unwrap_or_default();
            }
        })
        .map_err(|error| ConfigError::Unwatchable {
            path: files.first().cloned().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        let seen = fingerprints(&files);
        let mut watch = Self { files, watcher, watched: BTreeSet::new(), events, seen };
        watch.arm()?;
        Ok(watch)
    }

    /// Waits until the content of a file is another than before.
    pub async fn changed(&mut self) {
        loop {
            if self.events.recv().await.is_none() {
                // Only with the watcher itself: nothing will ever change again.
                std::future::pending::<()>().await;
            }
            for _ in 0..RESTLESS {
                if tokio::time::timeout(QUIET, self.events.recv()).await.is_err() {
                    break;
                }
            }
            // A folder may have come; one that went away is found again by the next event above it.
            self.arm().unwrap_or_default();
            let now = fingerprints(&self.files);
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Watches, for each file, its folder (or the nearest one above that is
    /// there), and the folder that it is a link into.
    fn arm(&mut self) -> Result<(), ConfigError> {
        let mut wanted = BTreeSet::new();
        for file in &self.files {
            wanted.extend(file.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_path_buf));
            wanted.extend(file.canonicalize().ok().as_deref().and_then(Path::parent).map(Path::to_path_buf));
        }
        for gone in self.watched.difference(&wanted) {
            // It may be gone already.
            self.watcher.unwatch(gone).unwrap_or_default();
        }
        for new in wanted.difference(&self.watched) {
            self.watcher
                .watch(new, RecursiveMode::NonRecursive)
                .map_err(|error| ConfigError::Unwatchable { path: new.clone(), reason: error.to_string() })?;
        }
        self.watched = wanted;
        Ok(())
    }
}

/// What each file holds, as a number; `None`: it can't be read.
fn fingerprints(files: &[PathBuf]) -> Vec<Option<u64>> {
    let of = |file: &PathBuf| {
        let mut hasher = DefaultHasher::new();
        std::fs::read(file).ok()?.hash(&mut hasher);
        Some(hasher.finish())
    };
    files.iter().map(of).collect()
}
