//! The engine: the one owner of the coordinator's state. Every change goes
//! through it, is on disk before it is answered, and is seen by everybody who
//! waits for changes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::model::{Alert, AlertKey, Clean, Flip, Priority, Queue, QueueName, Run, RunId, Task, TaskId};

use super::{Options, SharedClock};

/// The state at one moment: immutable, shared, replaced at every change.
#[derive(Debug, Clone)]
pub struct View {
    /// Grows with every change; starts anew with every coordinator (see `epoch`).
    pub revision: u64,
    /// Random per start: cursors of another epoch are too old.
    pub epoch: u64,
    /// Tasks by id, with state, active runs and capabilities, as of `at`.
    pub tasks: Vec<Arc<Task>>,
    /// Queues by name.
    pub queues: Vec<Queue>,
    /// Open alerts, oldest first.
    pub alerts: Vec<Alert>,
    /// What is wrong with `tasks.toml`, each with file, line and cause: the
    /// tasks are those of before. Empty when the file was taken.
    pub file_problems: Vec<Clean>,
    /// When it was made.
    pub at: DateTime<Utc>,
}

/// What changed after a revision.
#[derive(Debug, Clone, Default)]
pub struct ChangesSince {
    /// The revision that this leads to.
    pub revision: u64,
    /// Tasks that are new or changed.
    pub tasks: Vec<Arc<Task>>,
    /// Tasks that are gone.
    pub tasks_gone: Vec<TaskId>,
    /// Runs that are new or changed.
    pub runs: Vec<Run>,
    /// Queues that are new or changed.
    pub queues: Vec<Queue>,
    /// Queues that are gone.
    pub queues_gone: Vec<QueueName>,
    /// Alerts that are new or changed.
    pub alerts: Vec<Alert>,
    /// Alerts that are closed.
    pub alerts_gone: Vec<AlertKey>,
}

/// Who asks, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `local`, `schedule`, a token's name.
    pub name: Clean,
    /// The idempotency key that came with the call.
    pub idempotency_key: Option<String>,
}

/// A call that was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No task of that id.
    #[error("no task {0:?}")]
    NoTask(TaskId),
    /// No run of that id.
    #[error("no run {0:?}")]
    NoRun(RunId),
    /// The state forbids it.
    #[error("{0}")]
    Conflict(Clean),
    /// This coordinator only answers.
    #[error("this coordinator does not schedule; start one with: vigie serve")]
    NotScheduling,
    /// The database or the engine is gone.
    #[error("the coordinator can't write: {0}")]
    Storage(Clean),
}

/// A reload that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {}", problems.len(), if problems.len() == 1 { "problem" } else { "problems" })]
pub struct ReloadError {
    /// Each with file, line and cause.
    pub problems: Vec<Clean>,
}

/// What duplistatus' `/health` tells, per task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthView {
    /// Scheduled tasks by id, in the file's order.
    pub active: Vec<TaskId>,
    /// When the newest good run ended, by task.
    pub last_success: Vec<(TaskId, DateTime<Utc>)>,
    /// The newest run's error, by task whose newest run was bad.
    pub errors: Vec<(TaskId, Clean)>,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this task.
    pub task: Option<TaskId>,
    /// At most so many.
    pub limit: usize,
    /// Only before this run, in the order newest first.
    pub before: Option<RunId>,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// Bytes from the offset on.
    pub bytes: Vec<u8>,
    /// Where the next piece begins.
    pub next_offset: u64,
    /// Bytes dropped to keep it bounded.
    pub dropped_bytes: u64,
    /// Nothing will follow.
    pub complete: bool,
}

/// Talks to the engine. Cheap to clone. Every mutating call returns once it is on disk.
#[derive(Debug, Clone)]
pub struct Engine {}

impl Engine {
    /// Opens the database under `options.data`, migrates, recovers what a
    /// killed coordinator left, loads tasks and starts scheduling.
    ///
    /// # Errors
    /// A sentence: what could not be opened, where, what to do.
    pub async fn start(options: Options, clock: SharedClock) -> Result<Self, StartError> {
        todo!()
    }
    /// The current state.
    pub fn view(&self) -> Arc<View> {
        todo!()
    }
    /// Announces each new revision.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        todo!()
    }
    /// What changed after `revision`; `None` when that is no longer known: read everything.
    pub fn since(&self, revision: u64) -> Option<ChangesSince> {
        todo!()
    }
    /// For the duplistatus surface.
    pub fn health(&self) -> HealthView {
        todo!()
    }
    /// Starts (or queues) a run.
    pub async fn trigger(
        &self,
        task: &TaskId,
        priority: Option<Priority>,
        actor: Actor,
    ) -> Result<Run, Refusal> {
        todo!()
    }
    /// Waits until a run has ended, and returns it.
    pub async fn ended(&self, run: &RunId) -> Result<Run, Refusal> {
        todo!()
    }
    /// Stops scheduling a task; survives restart and reload.
    pub async fn pause(&self, task: &TaskId, actor: Actor) -> Result<(), Refusal> {
        todo!()
    }
    /// Schedules it again; slots of the pause don't count.
    pub async fn resume(&self, task: &TaskId, actor: Actor) -> Result<(), Refusal> {
        todo!()
    }
    /// Runs an ended run's task again, as a new run.
    pub async fn retry(&self, run: &RunId, actor: Actor) -> Result<Run, Refusal> {
        todo!()
    }
    /// Unqueues a pending run, or ends one in progress (SIGTERM, then SIGKILL).
    pub async fn cancel(&self, run: &RunId, actor: Actor) -> Result<Run, Refusal> {
        todo!()
    }
    /// Sets the priority of one pending run.
    pub async fn reprioritise_run(
        &self,
        run: &RunId,
        priority: Priority,
        actor: Actor,
    ) -> Result<Run, Refusal> {
        todo!()
    }
    /// Sets the priority of a task's pending runs, and of those to come.
    pub async fn reprioritise_task(
        &self,
        task: &TaskId,
        priority: Priority,
        actor: Actor,
    ) -> Result<(), Refusal> {
        todo!()
    }
    /// Reads `tasks.toml` again; a bad file changes nothing.
    pub async fn reload(&self, actor: Actor) -> Result<(), ReloadError> {
        todo!()
    }
    /// Runs from disk, newest first.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<Run>, Refusal> {
        todo!()
    }
    /// One run.
    pub async fn run(&self, run: &RunId) -> Result<Run, Refusal> {
        todo!()
    }
    /// A piece of a run's log, from byte `offset`, at most `limit` bytes.
    pub async fn log(&self, run: &RunId, offset: u64, limit: usize) -> Result<LogPiece, Refusal> {
        todo!()
    }
    /// Flips, newest first.
    pub async fn flips(&self, limit: usize) -> Result<Vec<Flip>, Refusal> {
        todo!()
    }
    /// Stops scheduling, cancels what runs (in this cut), waits for it, closes the database.
    pub async fn shutdown(self) {
        todo!()
    }
}

/// The engine can't start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub Clean);
