//! What a supervisor is told, and what it leaves in its run's folder.
//!
//! Each attempt of a run has a folder, `runs/<run>.<attempt>`. In it come to be,
//! in this order, each whole or not at all:
//!
//! - `claim`: somebody has taken the attempt, and nobody else may start it: its
//!   supervisor, or a later coordinator, which thereby says that nobody will;
//! - `started`: the command has started;
//! - `ended`: how it ended.
//!
//! All three are JSON with a version; fields that a reader doesn't know are
//! passed over, so that coordinator and supervisor may be of different versions.
//! No secret is in any of them.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::coordinator::private;
use crate::model::RunId;

use super::launch::Launch;
use super::log::safe;
use super::process::Identity;

/// Of what is written here.
pub(super) const VERSION: u32 = 1;

const CLAIM: &str = "claim";
const STARTED: &str = "started";
const ENDED: &str = "ended";

/// What a supervisor reads on its standard input. May hold secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// [`VERSION`] of whoever gives it.
    pub(super) version: u32,
    /// The command.
    pub(super) launch: Launch,
    /// The first file of the run's log.
    pub(super) log: PathBuf,
    /// A line of the coordinator's own before the output.
    pub(super) heading: Option<String>,
    /// Between SIGTERM and SIGKILL.
    pub(super) kill_grace_ms: u64,
    /// How long the command may take; the coordinator, where one runs, ends it then too.
    #[serde(default)]
    pub(super) max_runtime_ms: Option<u64>,
}

/// Who has taken an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) version: u32,
    pub(super) at: DateTime<Utc>,
    /// The supervisor; absent: a coordinator, so that nobody starts it.
    pub(super) supervisor: Option<Identity>,
    /// Between SIGTERM and SIGKILL.
    #[serde(default)]
    pub(super) kill_grace_ms: u64,
    /// The machine that it runs on, if that is another one.
    #[serde(default)]
    pub(super) machine: Option<String>,
}

/// The command has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) version: u32,
    pub(super) at: DateTime<Utc>,
    /// Its process, which leads its group.
    pub(super) command: Identity,
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) version: u32,
    pub(super) at: DateTime<Utc>,
    #[serde(default)]
    pub(super) exit_code: Option<i32>,
    #[serde(default)]
    pub(super) signal: Option<i32>,
    /// Why it was not started at all.
    #[serde(default)]
    pub(super) error: Option<String>,
    /// Why its log is not whole.
    #[serde(default)]
    pub(super) log_error: Option<String>,
    /// Its last words.
    #[serde(default)]
    pub(super) last_line: Option<String>,
    /// Its supervisor had it end: it was told to, or its time was over.
    #[serde(default)]
    pub(super) stopped: bool,
    /// It was over this time, and nobody had asked for its end before.
    #[serde(default)]
    pub(super) overran_ms: Option<u64>,
}

/// The folder of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder of an attempt below `runs`.
    pub(super) fn of(runs: &Path, run: &RunId, attempt: u32) -> Self {
        Self { path: runs.join(format!("{}.{attempt}", safe(run.as_raw()))) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, empty: what an attempt that nobody started left there goes.
    pub(super) fn make(&self) -> io::Result<()> {
        self.remove()?;
        private::folder(&self.path)
    }

    /// Deletes it, if it is there.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn claim(&self) -> Option<Claim> {
        self.read(CLAIM)
    }

    pub(super) fn started(&self) -> Option<Started> {
        self.read(STARTED)
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.read(ENDED)
    }

    /// Takes the attempt. Of all who try one succeeds; the others get its claim.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn take(&self, claim: &Claim) -> io::Result<Result<(), Claim>> {
        let temporary = self.path.join(format!(".{CLAIM}.{}", std::process::id()));
        private::replace(&temporary)?.write_all(&json(claim)?)?;
        let taken = std::fs::hard_link(&temporary, self.path.join(CLAIM));
        let _ = std::fs::remove_file(&temporary);
        match taken {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self
                .claim()
                .map(Err)
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "its claim can't be read")),
            Err(error) => Err(error),
        }
    }

    /// Keeps that the command has started, also through a power cut.
    pub(super) fn keep_started(&self, started: &Started) -> io::Result<()> {
        self.keep(STARTED, &json(started)?)
    }

    /// Keeps how it ended, also through a power cut.
    pub(super) fn keep_ended(&self, ended: &Ended) -> io::Result<()> {
        self.keep(ENDED, &json(ended)?)
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!(".{name}"));
        let mut file = private::replace(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// What is not there, or was cut off by a power cut, is not known.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = std::fs::read(self.path.join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(pid: Option<u32>) -> Claim {
        let supervisor = pid.map(|pid| Identity { pid, start_ticks: 1, boot: "b".to_owned() });
        Claim { version: VERSION, at: DateTime::UNIX_EPOCH, supervisor, kill_grace_ms: 5, machine: None }
    }

    #[test]
    fn an_attempt_is_taken_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path(), &RunId::new("../a b"), 2);
        assert_eq!(folder.path(), home.path().join(".._a_b.2"));
        assert!(folder.take(&claim(Some(1))).is_err(), "nobody takes what is not there");
        folder.make().unwrap();
        assert_eq!(folder.claim(), None);
        folder.take(&claim(Some(1))).unwrap().unwrap();
        assert_eq!(folder.take(&claim(None)).unwrap().unwrap_err(), claim(Some(1)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        folder.make().unwrap();
        assert_eq!(folder.claim(), None);
    }

    #[test]
    fn a_record_of_a_later_version_is_understood() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path().to_owned());
        let later = r#"{"version":9,"at":"2026-01-02T03:04:05Z","exit_code":3,"colour":"red"}"#;
        std::fs::write(home.path().join(ENDED), later).unwrap();
        let ended = folder.ended().unwrap();
        assert_eq!((ended.version, ended.exit_code, ended.signal), (9, Some(3), None));
        std::fs::write(home.path().join(ENDED), &later[..20]).unwrap();
        assert_eq!(folder.ended(), None, "half a record is none");
        folder.keep_ended(&ended).unwrap();
        assert_eq!(folder.ended(), Some(ended));
    }
}
