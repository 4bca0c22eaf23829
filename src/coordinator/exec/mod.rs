//! Carrying runs out: a command in a process group of its own, its output
//! captured, its end reported.
//!
//! A group is ended by SIGTERM, and SIGKILL after its grace: all of it, not
//! only its first process.

mod launch;
mod log;
mod process;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::model::{Clean, RunId, TaskId};

use super::domain::{Outcome, Process};
use super::shell;

pub use launch::Launch;
pub use log::{LogWriter, Logs};
pub(crate) use process::end_leftovers;

/// How long output may still come once the command has ended: what it left
/// behind in the background may hold the pipe for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// The most bytes that a pipe holds (Linux: `pipe-max-size`): what a command has
/// written by its end is no more.
const PIPE: usize = 1024 * 1024;

/// What becomes of a run that is carried out.
#[derive(Debug)]
pub enum Event {
    /// Its process is known.
    Started(RunId, Process),
    /// It has ended.
    Ended(RunId, Outcome),
}

/// One attempt of a run.
#[derive(Debug)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// How to run it.
    pub launch: Launch,
    /// Which retry it is.
    pub number: u32,
    /// Between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
}

/// Carries runs out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Executor {
    logs: Logs,
    events: mpsc::Sender<Event>,
    stops: Arc<Mutex<HashMap<RunId, CancellationToken>>>,
}

impl Executor {
    /// Logs go to `logs`, what happens to `events`.
    #[must_use]
    pub fn new(logs: Logs, events: mpsc::Sender<Event>) -> Self {
        Self { logs, events, stops: Arc::default() }
    }

    /// Starts an attempt; its end comes as [`Event::Ended`], however it went.
    pub fn start(&self, attempt: Attempt) {
        let stop = CancellationToken::new();
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.run.clone(), stop.clone());
        let this = self.clone();
        shell::spawn(async move {
            let (run, task) = (attempt.run.clone(), attempt.task.clone());
            let outcome = this.carry_out(attempt, &stop).await;
            this.stops.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
            let _ = this.events.send(Event::Ended(run, outcome)).await;
            if let Err(error) = this.logs.prune(&task) {
                tracing::warn!(%task, %error, "old logs can't be deleted");
            }
        });
    }

    /// Has a run's process group ended.
    pub fn stop(&self, run: &RunId) {
        if let Some(stop) = self.stops.lock().unwrap_or_else(PoisonError::into_inner).get(run) {
            stop.cancel();
        }
    }

    async fn carry_out(&self, attempt: Attempt, stop: &CancellationToken) -> Outcome {
        let mut log = match self.logs.append(&attempt.task, &attempt.run) {
            Ok(log) => log,
            Err(error) => return bad(format!("its log can't be written: {error}")),
        };
        if attempt.number > 0 {
            let _ = log.line(&format!("--- attempt {} ---", attempt.number + 1));
        }
        let (mut child, output) = match spawn(&attempt) {
            Ok(started) => started,
            Err(error) => {
                let message = start_error(&attempt.launch, &error);
                let _ = log.line(&message);
                return bad(message);
            }
        };
        let pid = child.id().unwrap_or(0);
        let _ = self.events.send(Event::Started(attempt.run.clone(), process::identify(pid))).await;
        let (status, log_error) =
            supervise(&mut child, pid, output, &mut log, stop, attempt.kill_grace).await;
        match (status, log_error) {
            (Err(error), _) => bad(format!("nobody knows how it ended: {error}")),
            (Ok(_), Some(error)) => bad(format!("its log could not be written: {error}")),
            (Ok(status), None) => outcome(status, log.last_line()),
        }
    }
}

fn bad(message: String) -> Outcome {
    Outcome { good: false, exit_code: None, message: Some(Clean::from(message)) }
}

fn outcome(status: ExitStatus, last_words: Option<String>) -> Outcome {
    let how = match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit code {code}")),
        (None, Some(signal)) => Some(format!("ended by signal {signal}")),
        (None, None) => Some("ended without an exit code".to_owned()),
    };
    let message = match (how, last_words) {
        (Some(how), Some(words)) => Some(format!("{how}: {words}")),
        (how, words) => how.or(words),
    };
    Outcome { good: status.success(), exit_code: status.code(), message: message.map(Clean::from) }
}

fn start_error(command: &Launch, error: &io::Error) -> String {
    let program = command.argv.first().map_or("", String::as_str);
    match &command.cwd {
        Some(cwd) if error.kind() == io::ErrorKind::NotFound && !cwd.is_dir() => {
            format!("can't start {program:?}: its cwd {} is not there", cwd.display())
        }
        _ => format!("can't start {program:?}: {error}"),
    }
}

/// Starts the command in a group of its own. Both of its outputs go into one
/// pipe, so that they stay in the order in which they were written.
fn spawn(attempt: &Attempt) -> io::Result<(Child, pipe::Receiver)> {
    let spec = &attempt.launch;
    let (program, arguments) =
        spec.argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
    let (reader, writer) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(&spec.env)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    match (&spec.cwd, std::env::var_os("HOME")) {
        (Some(cwd), _) => command.current_dir(cwd),
        (None, Some(home)) if std::path::Path::new(&home).is_dir() => command.current_dir(home),
        (None, _) => command.current_dir("/"),
    };
    // The command holds the write end: it has to go for the output to end.
    let child = command.spawn()?;
    drop(command);
    Ok((child, output))
}

/// Reads the output until the command has ended, and ends its group when told to.
async fn supervise(
    child: &mut Child,
    pid: u32,
    mut output: pipe::Receiver,
    log: &mut LogWriter,
    stop: &CancellationToken,
    kill_grace: Duration,
) -> (io::Result<ExitStatus>, Option<io::Error>) {
    let ended = CancellationToken::new();
    let capture = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut error = None;
        let mut over = pin!(async {
            ended.cancelled().await;
            tokio::time::sleep(LAST_OUTPUT).await;
        });
        // Once it is over: how much is still taken of what is there.
        let mut left = None;
        loop {
            let read = tokio::select! {
                biased;
                () = &mut over, if left.is_none() => {
                    left = Some(PIPE);
                    continue;
                }
                read = output.read(&mut buffer) => read,
                () = std::future::ready(()), if left.is_some() => Ok(0),
            };
            let count = match read {
                Ok(0) | Err(_) => return error,
                Ok(count) => count,
            };
            // A command must not block because its log can't be written: the rest is read and dropped.
            if error.is_none() {
                error = log.write(&buffer[..count]).err();
            }
            left = left.map(|left: usize| left.saturating_sub(count));
            if left == Some(0) {
                return error;
            }
        }
    };
    let wait = async {
        let status = tokio::select! {
            status = child.wait() => status,
            () = stop.cancelled() => {
                process::signal(pid, Signal::TERM);
                let leader = tokio::time::timeout(kill_grace, async {
                    let status = child.wait().await;
                    // What it started may need the rest of the grace.
                    process::gone(pid).await;
                    status
                });
                if let Ok(status) = leader.await {
                    status
                } else {
                    process::signal(pid, Signal::KILL);
                    child.wait().await
                }
            }
        };
        ended.cancel();
        status
    };
    tokio::join!(wait, capture)
}
