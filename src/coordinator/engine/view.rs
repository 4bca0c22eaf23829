//! What the engine shows: the state at one moment, and what has changed since.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{Alert, AlertKey, Clean, Queue, QueueName, Run, Task, TaskId};
use crate::wire::{Machine, Silence};

use super::Listed;

/// The state at one moment: immutable, shared, replaced at every change.
#[derive(Debug, Clone)]
pub struct View {
    /// Grows with every change; starts anew with every coordinator (see `epoch`).
    pub revision: u64,
    /// Random per start: cursors of another epoch are too old.
    pub epoch: u64,
    /// Tasks by id, with state, active runs and capabilities, as of `at`.
    pub tasks: Listed<TaskId, Arc<Task>>,
    /// Queues by name.
    pub queues: Listed<QueueName, Queue>,
    /// Open alerts, oldest first.
    pub alerts: Listed<(DateTime<Utc>, AlertKey), Alert>,
    /// Machines, the coordinator's own first.
    pub machines: Arc<Vec<Machine>>,
    /// Silences, oldest first.
    pub silences: Arc<Vec<Silence>>,
    /// What is wrong with `tasks.toml`, each with file, line and cause: the
    /// tasks are those of before. Empty when the file was taken.
    pub file_problems: Arc<[Clean]>,
    /// Why nothing can be written to the database, while that is so: nothing is
    /// started and nothing is taken until it can.
    pub trouble: Option<Clean>,
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

/// What duplistatus' `/health` tells, per task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthView {
    /// Scheduled tasks by id, in the file's order.
    pub active: Vec<TaskId>,
    /// When the newest good run ended, by task.
    pub last_success: Vec<(TaskId, DateTime<Utc>)>,
    /// The newest run's error, by task whose newest run was bad.
    pub errors: Vec<(TaskId, Clean)>,
    /// Why nothing can be written to the database, while that is so.
    pub trouble: Option<Clean>,
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
