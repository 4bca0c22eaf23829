//! A coordinator as a child process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::super::{LocalPolicy, Places};
use crate::model::Clean;

/// A longer log is begun anew with the next child.
const MAX_LOG: u64 = 1024 * 1024;
/// What a coordinator says that finds the data directory locked by another.
pub const TAKEN: &str = "a coordinator already runs on";
/// How much of a log's end is searched for the last words.
const LAST_WORDS: u64 = 4 * 1024;

/// A child that was started and has not announced itself yet.
#[derive(Debug)]
pub struct Started {
    child: Option<Child>,
    pid: Option<u32>,
    log: PathBuf,
    /// Where the child's own output begins in the log, or why that is lost.
    log_from: Result<u64, Clean>,
}

impl Started {
    /// Starts `program serve …` for `places`, in its own process group, so
    /// that what a terminal sends to ours (Ctrl-C, Ctrl-Z) does not reach it.
    ///
    /// # Errors
    /// Why it can't be started, in one line.
    pub fn new(program: &Path, places: &Places, policy: LocalPolicy) -> Result<Self, Clean> {
        let log = places.coordinator_log();
        // Without its log it works all the same.
        let (log_from, out, err) = match open_log(&log) {
            Ok((from, out, err)) => (Ok(from), out.into(), err.into()),
            Err(error) => (Err(Clean::from(error.to_string())), Stdio::null(), Stdio::null()),
        };
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(absolute(&places.data))
            .arg("--tasks")
            .arg(absolute(&places.tasks));
        match policy {
            LocalPolicy::Child => command.args(["--linger", "2s"]),
            LocalPolicy::AnswerOnly => command.args(["--linger", "1s", "--answer-only"]),
        };
        // Where a task runs must not depend on where a console was started.
        if let Some(base) = directories::BaseDirs::new()
            && base.home_dir().is_dir()
        {
            command.current_dir(base.home_dir());
        }
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).spawn().map_err(
            |error| Clean::from(format!("no coordinator was started: {}: {error}", program.display())),
        )?;
        Ok(Self { pid: child.id(), child: Some(child), log, log_from })
    }

    /// Whether it is the process `pid`.
    pub fn is(&self, pid: u32) -> bool {
        self.pid == Some(pid)
    }

    /// How it has ended, if it has since the last time of asking.
    pub fn ended(&mut self) -> Option<End> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        let log = self.log.display();
        let (said, reason) = match &self.log_from {
            Ok(from) => {
                let said = last_words(&self.log, *from);
                let last = said.lines().rev().map(Clean::line).find(|line| !line.trim().is_empty());
                let last = last.unwrap_or_else(|| "it said nothing".into());
                (said, format!("the coordinator ended at once ({status}): {last} (see {log})"))
            }
            Err(error) => (
                String::new(),
                format!(
                    "the coordinator ended at once ({status}); why is lost, since {log} can't be written: {error}"
                ),
            ),
        };
        Some(End { lost_a_race: said.contains(TAKEN), reason: Clean::from(reason) })
    }
}

/// How a child came to its end before it had announced itself.
#[derive(Debug)]
pub struct End {
    /// Another coordinator has the data directory.
    pub lost_a_race: bool,
    /// Its last words, with where the others are.
    pub reason: Clean,
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The log's length, and the log for standard output and standard error.
fn open_log(path: &Path) -> io::Result<(u64, File, File)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if file.metadata()?.len() > MAX_LOG {
        file.set_len(0)?;
    }
    Ok((file.metadata()?.len(), file.try_clone()?, file))
}

/// The end of what was written from `from` on; empty if that can't be read.
fn last_words(path: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(LAST_WORDS))))?;
        let mut bytes = Vec::new();
        file.take(LAST_WORDS).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}
