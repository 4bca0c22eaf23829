//! What an endpoint tells beyond a poll, of what is looked at.

use chrono::{DateTime, Utc};

use super::{Clean, RunId, TaskId};

/// What is told of one task when somebody looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Names and values, in the system's order.
    pub facts: Vec<(Clean, Clean)>,
    /// What happened to it, newest first.
    pub events: Vec<Event>,
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in the system's own words.
    pub what: Clean,
    /// Who did it, where somebody did.
    pub by: Option<Clean>,
    /// More about it, one line.
    pub details: Option<Clean>,
}

/// A line of an endpoint's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditEntry {
    /// When, in UTC.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Option<Clean>,
    /// What was done, in the system's own words.
    pub action: Clean,
    /// To what.
    pub target: Option<Clean>,
    /// With which result, in the system's own words.
    pub result: Option<Clean>,
    /// More about it, one line.
    pub details: Option<Clean>,
    /// From where: an address.
    pub from: Option<Clean>,
}

/// Whose log is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogOf {
    /// One run's.
    Run {
        /// The task that it is a run of.
        task: TaskId,
        /// The run.
        run: RunId,
    },
    /// The endpoint's own.
    Endpoint,
}
