//! What the engine is asked, by whom, and how it says no.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::coordinator::domain::Sign;
use crate::model::{Clean, Role, RunId, RunState, Scope, TaskId};
use crate::wire::FieldProblem;

/// Who asks: for what is allowed, and for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `local`, `schedule`, a token's name.
    pub name: Clean,
    /// What it may do.
    pub role: Role,
    /// Whose tasks it sees and acts on.
    pub scope: Scope,
    /// From where it asks: an address, or `here`.
    pub from: Clean,
    /// The idempotency key that came with the call.
    pub idempotency_key: Option<String>,
}

impl Actor {
    /// Somebody at this machine who may do everything, such as a signal's sender.
    #[must_use]
    pub fn here(name: &str) -> Self {
        Self {
            name: Clean::line(name),
            role: Role::Admin,
            scope: Scope::All,
            from: "here".into(),
            idempotency_key: None,
        }
    }
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
    /// No silence of that id.
    #[error("no silence {0:?}")]
    NoSilence(String),
    /// The state forbids it.
    #[error("{0}")]
    Conflict(Clean),
    /// It is another team's.
    #[error("{0}")]
    OtherTeam(Clean),
    /// What was sent is no task.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<FieldProblem>),
    /// What was sent with a call can't be taken.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unfit(Vec<FieldProblem>),
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

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this task.
    pub task: Option<TaskId>,
    /// Only in this state.
    pub state: Option<RunState>,
    /// Only of these tasks.
    pub of: Option<Arc<[TaskId]>>,
    /// At most so many.
    pub limit: usize,
    /// Only before this run, in the order newest first.
    pub before: Option<RunId>,
}

/// A ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The task's key.
    pub key: String,
    /// What it tells.
    pub sign: Sign,
    /// How its sender calls the run.
    pub rid: Option<String>,
    /// When it came.
    pub at: DateTime<Utc>,
    /// What its body had.
    pub output: Vec<u8>,
}

/// The engine can't start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub Clean);
