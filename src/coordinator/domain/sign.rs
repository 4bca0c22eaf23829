//! Signs of runs that are carried out elsewhere: what pings and reports say.

use chrono::{DateTime, Utc};

use crate::model::{Clean, Run, RunId, TaskId};

use super::RunRow;

/// Of whom something is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The task with this key for pings.
    Key(String),
    /// This task.
    Task(TaskId),
}

/// How it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A ping: it counts when it comes.
    Ping,
    /// A report: it has its own time, and may come late and twice.
    Report,
}

/// The cause of a run that a report told of.
pub(super) const REPORT: &str = "report";

impl Via {
    /// The cause of a run that is told of so.
    pub(super) const fn cause(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Report => REPORT,
        }
    }

    /// Whether somebody elsewhere told of a run: it takes no place on any machine.
    #[must_use]
    pub fn is_told(run: &Run) -> bool {
        let cause = run.cause.as_deref();
        [Self::Ping, Self::Report].into_iter().any(|via| cause == Some(via.cause()))
    }
}

/// What somebody elsewhere tells of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It started.
    Started,
    /// It goes on.
    Beat,
    /// It ended.
    Ended {
        /// Whether that is good.
        good: bool,
        /// The exit code, where there is one.
        exit_code: Option<i32>,
    },
    /// Words for its log.
    Logged,
}

/// A sign, with all that came with it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What is told.
    pub sign: Sign,
    /// How it came.
    pub via: Via,
    /// How those who carry the run out call it.
    pub rid: Option<String>,
    /// When, by their clock; never later than it came.
    pub at: DateTime<Utc>,
    /// The last words of its output.
    pub words: Option<Clean>,
    /// Where it runs.
    pub machine: Option<Clean>,
    /// The newest run of that `rid` on disk.
    pub known: Option<Box<RunRow>>,
}

/// What became of a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The task.
    pub task: TaskId,
    /// The run that it is about; `None`: there is none.
    pub run: Option<RunId>,
    /// Whether the output that came with it belongs into the run's log.
    pub keeps_output: bool,
}
