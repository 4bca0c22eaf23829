//! Carrying runs out: each by a supervisor of its own, a process that outlives
//! the coordinator, so that a run goes on whatever becomes of it.
//!
//! - `launch`: what carries a run out;
//! - `records`: what a supervisor is told, and what it leaves on disk;
//! - `supervisor`: the supervisor;
//! - `adopt`: what became of an attempt whose supervisor was another coordinator's;
//! - `log`: output, bounded;
//! - `process`: who a process is, and how its group is ended.
//!
//! That no trigger is lost and no run doubled rests on an order of steps. The
//! database says that a run is in progress before its supervisor is started.
//! The supervisor takes the attempt (one file, made by one link) before it
//! starts the command, and starts nothing if it was taken. A coordinator that
//! finds an attempt which nobody took takes it itself: then it was never
//! started, never will be, and waits in the queue again. After a power cut what
//! was not flushed is not known, so there what nobody seems to have taken may
//! have run, and is not started again.

mod adopt;
mod launch;
mod log;
mod process;
mod records;
mod supervisor;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::model::{Clean, RunId, TaskId};

use super::domain::{Fate, Lost, Outcome};
use super::{SharedClock, shell};
use adopt::Found;
use process::Other;
use records::{Folder, Order};

pub use launch::{Elsewhere, Launch};
pub use log::{LogWriter, Logs};
pub(crate) use process::end_leftovers;
pub use supervisor::supervise;

/// The subcommand that a supervisor is.
pub const SUPERVISE: &str = "supervise";
/// In the tests of the library, which have no program, they themselves are
/// started as supervisors; this variable tells them of what folder.
#[cfg(test)]
const AS_TEST: &str = "VIGIE_TEST_SUPERVISE";
/// What systemd tells the coordinator is not for what it starts (`sd_notify(3)`, `sd_listen_fds(3)`).
const NOT_PASSED_ON: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
/// The pause before it is looked again at what could not be written down.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The longest words of a supervisor that could not begin.
const WORDS: u64 = 4_096;

/// What becomes of a run that is carried out.
#[derive(Debug)]
pub enum Event {
    /// It has ended.
    Ended(RunId, Outcome),
    /// It has ended, or never began, and nobody knows how.
    Lost(RunId, Lost),
    /// It was not started, and will not be by whoever was to: it may be started anew.
    NeverStarted(RunId),
}

/// One attempt of a run.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// Which retry it is.
    pub number: u32,
    /// Between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
    /// How long it may take.
    pub max_runtime: Option<Duration>,
}

/// A run that the database says is in progress.
#[derive(Debug, Clone)]
pub struct InProgress {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// Which retry it is.
    pub number: u32,
}

/// Carries runs out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Executor {
    program: Arc<Path>,
    runs: Arc<Path>,
    logs: Logs,
    clock: SharedClock,
    boot: Arc<str>,
    events: mpsc::Sender<Event>,
    stops: Arc<Mutex<HashMap<RunId, CancellationToken>>>,
}

/// This boot of the machine, so that what was on disk before it is known to be of another; empty: no telling.
#[must_use]
pub fn boot() -> String {
    process::boot()
}

impl Executor {
    /// Supervisors are processes of `program`, their records are below `runs`,
    /// logs go to `logs`, what happens to `events`.
    #[must_use]
    pub fn new(
        program: &Path,
        runs: &Path,
        logs: Logs,
        clock: SharedClock,
        events: mpsc::Sender<Event>,
    ) -> Self {
        // A supervisor has no reason to share the coordinator's idea of where it is.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            program: program.into(),
            runs: absolute(runs).into(),
            logs,
            clock,
            boot: boot().into(),
            events,
            stops: Arc::default(),
        }
    }

    /// What became of runs that were in progress when a coordinator ended.
    /// `whole`: the machine has not gone down since, so that what is not on disk never was.
    /// Folders of others go: their runs' ends are in the database.
    #[must_use]
    pub fn survey(&self, runs: &[InProgress], whole: bool) -> BTreeMap<RunId, Fate> {
        let now = self.clock.now();
        let whole = whole && !self.boot.is_empty();
        let mut known = Vec::new();
        let mut fates = BTreeMap::new();
        for run in runs {
            let folder = Folder::of(&self.runs, &run.run, run.number);
            let fate = match adopt::look(&folder, &self.boot, whole, now) {
                Found::Ended(outcome) => Fate::Ended(outcome),
                Found::Supervised(_) | Found::Left { .. } | Found::Untold => Fate::GoesOn,
                Found::Lost(lost) => Fate::Lost(lost),
                Found::NeverStarted => Fate::NeverStarted,
            };
            known.push(folder.path().to_owned());
            fates.insert(run.run.clone(), fate);
        }
        self.clean(&known);
        fates
    }

    /// Deletes the folders that are not among these, and that nobody works in.
    fn clean(&self, known: &[PathBuf]) {
        let entries = std::fs::read_dir(&self.runs).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| !known.contains(path)) {
            let folder = Folder::at(path);
            let supervisor = folder.claim().and_then(|claim| claim.supervisor);
            if supervisor.is_some_and(|supervisor| supervisor.is_alive(&self.boot)) {
                let path = folder.path().display();
                tracing::warn!(%path, "a supervisor is at work on a run that the database does not know");
            } else if let Err(error) = folder.remove() {
                tracing::warn!(path = %folder.path().display(), %error, "an old run's folder can't be deleted");
            }
        }
    }

    /// Starts an attempt once `launch` says how; its end comes as an [`Event`], however it went.
    pub fn start<F>(&self, attempt: Attempt, launch: F)
    where
        F: Future<Output = Result<Launch, Clean>> + Send + 'static,
    {
        self.beside(attempt.run.clone(), attempt.task.clone(), |this, stop| async move {
            this.carry_out(&attempt, launch, &stop).await
        });
    }

    /// Follows a run that goes on since before this coordinator.
    pub fn adopt(&self, run: InProgress) {
        self.beside(run.run.clone(), run.task.clone(), |this, stop| async move {
            let folder = Folder::of(&this.runs, &run.run, run.number);
            this.follow(run.run, &folder, &stop, None).await
        });
    }

    /// Has a run's process group ended.
    pub fn stop(&self, run: &RunId) {
        if let Some(stop) = self.stops.lock().unwrap_or_else(PoisonError::into_inner).get(run) {
            stop.cancel();
        }
    }

    /// The end of an attempt is in the database: its folder may go.
    pub fn forget(&self, run: &RunId, number: u32) {
        let folder = Folder::of(&self.runs, run, number);
        shell::spawn(async move {
            // What stays behind goes at the next start.
            let _ = shell::blocking(move || folder.remove()).await;
        });
    }

    fn beside<F, W>(&self, run: RunId, task: TaskId, work: W)
    where
        F: Future<Output = Event> + Send + 'static,
        W: FnOnce(Self, CancellationToken) -> F,
    {
        let stop = CancellationToken::new();
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).insert(run.clone(), stop.clone());
        let this = self.clone();
        let work = work(self.clone(), stop);
        shell::spawn(async move {
            let event = work.await;
            this.stops.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
            let _ = this.events.send(event).await;
            let logs = this.logs.clone();
            let pruned = shell::blocking(move || logs.prune(&task).map_err(|error| (task, error))).await;
            if let Some(Err((task, error))) = pruned {
                tracing::warn!(%task, %error, "old logs can't be deleted");
            }
        });
    }

    async fn carry_out<F>(&self, attempt: &Attempt, launch: F, stop: &CancellationToken) -> Event
    where
        F: Future<Output = Result<Launch, Clean>> + Send,
    {
        let run = attempt.run.clone();
        let launch = tokio::select! {
            biased;
            () = stop.cancelled() => return Event::Ended(run, Outcome { stopped: true, ..bad("it was not started") }),
            launch = launch => launch,
        };
        let heading = (attempt.number > 0).then(|| format!("--- attempt {} ---", attempt.number + 1));
        let launch = match launch {
            Ok(launch) => launch,
            Err(why) => {
                self.say(attempt, heading.as_deref(), &why);
                return Event::Ended(run, bad(&why));
            }
        };
        let folder = Folder::of(&self.runs, &attempt.run, attempt.number);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let order = Order {
            version: records::VERSION,
            launch,
            log: self.logs.head(&attempt.task, &attempt.run),
            heading,
            kill_grace_ms: millis(attempt.kill_grace),
            max_runtime_ms: attempt.max_runtime.map(millis),
        };
        if let Err(error) = folder.make() {
            let why = format!("its folder {} can't be made: {error}", folder.path().display());
            return Event::Ended(run, bad(&why));
        }
        let child = match self.supervisor(folder.path()).spawn() {
            Ok(child) => child,
            Err(error) => {
                let why = format!("its supervisor {} can't be started: {error}", self.program.display());
                return Event::Ended(run, bad(&why));
            }
        };
        let words = self.attend(child, &order, stop).await;
        self.follow(run, &folder, stop, Some(words)).await
    }

    fn supervisor(&self, folder: &Path) -> Command {
        let mut command = Command::new(&*self.program);
        command.arg0("vigie");
        for (name, value) in entry(folder) {
            match value {
                Some(value) => command.env(name, value),
                None => command.arg(name),
            };
        }
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Tells a supervisor what to do, and waits for its end. Gives its last words.
    async fn attend(&self, mut child: Child, order: &Order, stop: &CancellationToken) -> String {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let order = serde_json::to_vec(order).unwrap_or_default();
        let told = child.stdin.take();
        let said = child.stderr.take();
        let tell = async {
            if let Some(mut pipe) = told {
                // Half an order is none: it says so itself.
                let _ = pipe.write_all(&order).await;
            }
        };
        let listen = async {
            let mut words = Vec::new();
            if let Some(pipe) = said {
                let _ = pipe.take(WORDS).read_to_end(&mut words).await;
            }
            String::from_utf8_lossy(&words).trim().to_owned()
        };
        let wait = async {
            tokio::select! {
                _ = child.wait() => return,
                () = stop.cancelled() => {}
            }
            // Nobody has waited for it yet, so the number is still its own.
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, Signal::TERM);
            }
            let _ = child.wait().await;
        };
        let ((), words, ()) = tokio::join!(tell, listen, wait);
        words
    }

    /// Waits until it is known how an attempt ended. `words`: the last ones of our own supervisor, which has ended.
    async fn follow(
        &self,
        run: RunId,
        folder: &Folder,
        stop: &CancellationToken,
        words: Option<String>,
    ) -> Event {
        loop {
            let (place, boot, now) = (folder.clone(), self.boot.clone(), self.clock.now());
            let found = shell::blocking(move || adopt::look(&place, &boot, true, now)).await;
            match found {
                Some(Found::Ended(outcome)) => return Event::Ended(run, outcome),
                Some(Found::Supervised(supervisor)) => {
                    // `None`: it has ended meanwhile.
                    let Some(other) = Other::find(&supervisor, &self.boot) else { continue };
                    tokio::select! {
                        () = other.ended() => continue,
                        () = stop.cancelled() => other.terminate(),
                    }
                    other.ended().await;
                }
                Some(Found::Left { groups, kill_grace, lost }) => {
                    process::end_all(&groups, kill_grace).await;
                    return Event::Lost(run, lost);
                }
                Some(Found::Lost(lost)) => return Event::Lost(run, lost),
                // A supervisor of an earlier coordinator may still come to it.
                Some(Found::Untold) if words.is_none() => tokio::time::sleep(TRY_AGAIN).await,
                Some(Found::NeverStarted) if words.is_none() => return Event::NeverStarted(run),
                Some(Found::NeverStarted | Found::Untold) => {
                    let why = match words.as_deref() {
                        None | Some("") => "its supervisor ended before it could start it".to_owned(),
                        Some(words) => format!("its supervisor could not start it: {words}"),
                    };
                    return Event::Ended(run, Outcome { stopped: stop.is_cancelled(), ..bad(&why) });
                }
                // The coordinator is ending: another one will see.
                None => std::future::pending().await,
            }
        }
    }

    /// Writes into the log why there is nothing else in it.
    fn say(&self, attempt: &Attempt, heading: Option<&str>, why: &str) {
        if let Ok(mut log) = self.logs.append(&attempt.task, &attempt.run) {
            for line in heading.into_iter().chain([why]) {
                let _ = log.line(line);
            }
        }
    }
}

/// Arguments, and variables with their values, that make the program a supervisor.
#[cfg(not(test))]
fn entry(folder: &Path) -> Vec<(OsString, Option<OsString>)> {
    vec![(SUPERVISE.into(), None), (folder.into(), None)]
}

#[cfg(test)]
fn entry(folder: &Path) -> Vec<(OsString, Option<OsString>)> {
    vec![
        ("--exact".into(), None),
        ("coordinator::exec::supervisor::tests::entry".into(), None),
        (AS_TEST.into(), Some(folder.into())),
    ]
}

fn bad(message: &str) -> Outcome {
    Outcome { message: Some(Clean::line(message)), ..Outcome::default() }
}
