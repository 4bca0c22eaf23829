//! A coordinator as a child process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use super::super::{LocalPolicy, Places};
use crate::model::Clean;

/// A longer log is begun anew with the next child.
const MAX_LOG: u64 = 1024 * 1024;
/// How much of a log's end is searched for the last words.
const LAST_WORDS: u64 = 4 * 1024;

/// A child that was started and has not announced itself yet.
#[derive(Debug)]
pub struct Started {
    child: Option<Child>,
    pid: Option<u32>,
    log: PathBuf,
    /// Where the child's own output begins in the log.
    log_from: u64,
    lock_taken: bool,
}

impl Started {
    /// Starts `program serve …` for `places`, in its own process group, so
    /// that what a terminal sends to ours (Ctrl-C, Ctrl-Z) does not reach it.
    ///
    /// # Errors
    /// Why it can't be started, in one line.
    pub fn new(program: &Path, places: &Places, policy: LocalPolicy) -> Result<Self, Clean> {
        let log_path = places.coordinator_log();
        let unloggable = |error: io::Error| {
            Clean::from(format!(
                "no coordinator was started: {} can't be written: {error}",
                log_path.display()
            ))
        };
        let log = open_log(&log_path).map_err(unloggable)?;
        let log_from = log.metadata().map_err(unloggable)?.len();
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
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(unloggable)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Clean::from(format!("no coordinator was started: {}: {error}", program.display()))
            })?;
        Ok(Self { pid: child.id(), child: Some(child), log: log_path, log_from, lock_taken: false })
    }

    /// Whether it is the process `pid`.
    pub fn is(&self, pid: u32) -> bool {
        self.pid == Some(pid)
    }

    /// Why it has ended, if it has.
    pub fn ended(&mut self) -> Option<Clean> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        let said = last_line(&self.log, self.log_from);
        self.lock_taken = said.as_ref().is_some_and(|line| line.contains("already runs"));
        Some(reason(status, said, &self.log))
    }

    /// Whether it ended because another coordinator has the data directory.
    pub const fn lost_a_race(&self) -> bool {
        self.lock_taken
    }

    /// It goes on without us; tokio reaps it when it ends.
    pub fn let_go(&mut self) {
        self.child = None;
    }
}

fn reason(status: ExitStatus, said: Option<Clean>, log: &Path) -> Clean {
    let said = said.unwrap_or_else(|| "it said nothing".into());
    Clean::from(format!("the coordinator ended at once ({status}): {said} (see {})", log.display()))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn open_log(path: &Path) -> io::Result<File> {
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
    Ok(file)
}

/// The last line that is not empty, of what was written from `from` on.
fn last_line(path: &Path, from: u64) -> Option<Clean> {
    let mut file = File::open(path).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(LAST_WORDS)))).ok()?;
    let mut bytes = Vec::new();
    file.take(LAST_WORDS).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().map(Clean::line).find(|line| !line.trim().is_empty())
}
