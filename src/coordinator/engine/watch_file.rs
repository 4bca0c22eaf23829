//! Notices when `tasks.toml` changes.
//!
//! Its folder is watched, so that a new file counts. Not every file system
//! tells (network mounts, a folder that is not there yet), so the file is
//! looked at every now and then too. A change is told once it has been quiet
//! for a moment: editors write in several steps.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::message::Message;

/// How often the file is looked at, whoever tells or does not.
const LOOK: Duration = Duration::from_secs(2);
/// How long it has to be quiet.
const QUIET: Duration = Duration::from_millis(100);

/// Ends the watching when it is dropped.
#[derive(Debug)]
pub(super) struct Watching {
    end: Option<Sender<Signal>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(Signal::End);
        }
    }
}

enum Signal {
    Touched,
    End,
}

/// What tells one version of a file from another, without reading it.
pub(super) type Print = Option<(SystemTime, u64, u64)>;

pub(super) fn print(path: &Path) -> Print {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// Watches `path` on a thread of its own.
pub(super) fn start(path: &Path, seen: Print, mailbox: mpsc::WeakSender<Message>) -> Watching {
    let (signals, told) = channel();
    let path = path.to_owned();
    let of_notify = signals.clone();
    let started = std::thread::Builder::new()
        .name("vigie-tasks-file".to_owned())
        .spawn(move || watch(&path, seen, &of_notify, &told, &mailbox));
    if let Err(error) = started {
        tracing::warn!(%error, "the task file is not watched: reload it by hand");
    }
    Watching { end: Some(signals) }
}

fn watch(
    path: &Path,
    mut seen: Print,
    signals: &Sender<Signal>,
    told: &Receiver<Signal>,
    mailbox: &mpsc::WeakSender<Message>,
) {
    let mut watcher = None;
    loop {
        if watcher.is_none() {
            watcher = arm(path, signals.clone());
        }
        match told.recv_timeout(LOOK) {
            Ok(Signal::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Signal::Touched) | Err(RecvTimeoutError::Timeout) => {}
        }
        let now = print(path);
        if now == seen {
            continue;
        }
        loop {
            match told.recv_timeout(QUIET) {
                Ok(Signal::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Signal::Touched) => {}
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        seen = print(path);
        let Some(mailbox) = mailbox.upgrade() else { return };
        if mailbox.blocking_send(Message::Reload { actor: None, reply: None }).is_err() {
            return;
        }
    }
}

/// Watches the folder; `None` if it can't be, which is tried again.
fn arm(path: &Path, signals: Sender<Signal>) -> Option<RecommendedWatcher> {
    let folder = path.parent()?;
    let handler = move |_: notify::Result<notify::Event>| {
        let _ = signals.send(Signal::Touched);
    };
    let mut watcher = notify::recommended_watcher(handler).ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}
