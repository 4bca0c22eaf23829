//! Tasks, runs, queues and alerts as an endpoint tells them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{
    AlertKind, Capabilities, Clean, Deed, Facts, Policy, Priority, QueueName, RunId, RunMark, RunState,
    Schedule, Severity, TaskId, TaskState, Verb,
};

/// Labels by name. Shared, since most tasks of an endpoint carry the same.
pub type Labels = Arc<BTreeMap<Clean, Clean>>;

words! {
    /// Where a coordinator's task comes from.
    TaskSource {
        /// It is always there.
        BuiltIn = "built-in",
        /// The task file.
        File = "file",
        /// Somebody defined it over the API.
        Api = "api",
        /// Work that was submitted once.
        OneOff = "one-off",
    }
}

/// Something that should happen once or repeatedly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its id at its endpoint.
    pub id: TaskId,
    /// Its name; the id where the system has no names.
    pub name: Clean,
    /// What jobs that run elsewhere are pinged by: `/ping/KEY`. Whoever knows it can report runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_key: Option<Clean>,
    /// Another id that its system knows it by, and that people type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Clean>,
    /// What sort of thing it is, where its system watches several: `http monitor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Clean>,
    /// Where it comes from, where its system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<TaskSource>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<Clean>,
    /// Its state by the system's own judgement; `None` where vigie judges from [`Task::facts`].
    #[serde(default)]
    pub state: Option<TaskState>,
    /// The system's own word for the state, known to us or not.
    #[serde(default)]
    pub remote_state: Option<Clean>,
    /// Not scheduled, on purpose.
    #[serde(default)]
    pub paused: bool,
    /// Put away.
    #[serde(default)]
    pub archived: bool,
    /// The priority of its runs.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// The team that owns it.
    #[serde(default)]
    pub team: Option<Clean>,
    /// Where it runs.
    #[serde(default)]
    pub machine: Option<Clean>,
    /// Labels by name.
    #[serde(default)]
    pub labels: Labels,
    /// When it should run; `None`: on demand only.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// The tasks whose success starts it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// Its lateness windows, limits and thresholds.
    #[serde(default)]
    pub policy: Policy,
    /// The earliest unsatisfied slot: in the past while due, late or absent.
    #[serde(default)]
    pub next_due: Option<DateTime<Utc>>,
    /// The newest run that has ended.
    #[serde(default)]
    pub last_run: Option<Run>,
    /// The runs in progress or pending, oldest first; bounded by the endpoint.
    #[serde(default)]
    pub active_runs: Vec<Run>,
    /// Retries of the newest run.
    #[serde(default)]
    pub retry: Retry,
    /// What may be done to it now.
    #[serde(rename = "actions")]
    pub capabilities: Capabilities,
    /// What an operator should know beyond the state, each one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Clean>,
    /// What running it destroys, in one line: a trigger then asks as a destructive verb does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caution: Option<Clean>,
    /// The system judges lateness itself, and its word follows what the
    /// windows after [`Task::next_due`] say within so many seconds. Where it
    /// does not, vigie judges by them, and says that this is its own finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_within_s: Option<u32>,
    /// What lateness is computed from here, where the system does not judge itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<Facts>>,
}

impl Task {
    /// A task of which nothing but its name and what may be done to it is known.
    #[must_use]
    pub fn bare(id: TaskId, name: Clean, capabilities: Capabilities) -> Self {
        Self {
            id,
            name,
            ping_key: None,
            alias: None,
            class: None,
            source: None,
            description: None,
            state: None,
            remote_state: None,
            paused: false,
            archived: false,
            priority: None,
            team: None,
            machine: None,
            labels: Labels::default(),
            schedule: None,
            after: Vec::new(),
            policy: Policy::default(),
            next_due: None,
            last_run: None,
            active_runs: Vec::new(),
            retry: Retry::default(),
            capabilities,
            remarks: Vec::new(),
            caution: None,
            judged_within_s: None,
            facts: None,
        }
    }

    /// Whether `deed` loses something here.
    #[must_use]
    pub fn is_destroyed_by(&self, deed: Deed) -> bool {
        deed.is_destructive() || (deed == Verb::Trigger && self.caution.is_some())
    }
}

/// Retries of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// Retries made so far; 0 on the first attempt.
    pub attempt: u32,
    /// Retries there are at most.
    pub max: u32,
    /// When the next one is due.
    pub next_at: Option<DateTime<Utc>>,
}

/// One execution, or one expected execution, of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id; `None` where the system gives runs no id.
    pub id: Option<RunId>,
    /// The task that it is a run of.
    pub task: TaskId,
    /// Its state.
    pub state: RunState,
    /// The system's own word for the state.
    #[serde(default)]
    pub remote_state: Option<Clean>,
    /// The due time that it answers; `None` for a run on demand.
    #[serde(default)]
    pub slot: Option<DateTime<Utc>>,
    /// When it entered its queue.
    #[serde(default)]
    pub queued: Option<DateTime<Utc>>,
    /// When it started.
    #[serde(default)]
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<DateTime<Utc>>,
    /// When its newest heartbeat came, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_beat: Option<DateTime<Utc>>,
    /// How long it ran, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The exit code of its command; `None` when it has none or was killed.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// One line: the error, or the last words.
    #[serde(default)]
    pub message: Option<Clean>,
    /// Retries made within it; 0 on the first attempt.
    #[serde(default)]
    pub attempt: u32,
    /// Its priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// When its next attempt is due, while it waits for one.
    #[serde(default)]
    pub next_at: Option<DateTime<Utc>>,
    /// Where it runs.
    #[serde(default)]
    pub machine: Option<Clean>,
    /// Why it was started: `schedule`, `manual`, `retry`, `ping`, `report`, …
    #[serde(default)]
    pub cause: Option<Clean>,
    /// What else is to be known of it, in the order in which it came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<RunMark>,
}

impl Run {
    /// A run of `task` in `state` of which nothing else is known.
    #[must_use]
    pub fn bare(task: TaskId, state: RunState) -> Self {
        Self {
            id: None,
            task,
            state,
            remote_state: None,
            slot: None,
            queued: None,
            started: None,
            ended: None,
            last_beat: None,
            duration_ms: None,
            exit_code: None,
            message: None,
            attempt: 0,
            priority: None,
            next_at: None,
            machine: None,
            cause: None,
            marks: Vec::new(),
        }
    }

    /// Whether it bears a mark.
    #[must_use]
    pub fn is_marked(&self, mark: RunMark) -> bool {
        self.marks.contains(&mark)
    }
}

/// Pending runs at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// Pending runs, without those already assigned.
    pub depth: u64,
    /// Pending runs per priority, 1 first; `None` where the system gives only a total.
    #[serde(default)]
    pub by_priority: Option<[u64; Priority::COUNT]>,
    /// Runs in progress.
    pub running: u64,
    /// Runs that the system itself calls stale.
    #[serde(default)]
    pub stale: u64,
    /// Since when the oldest pending run waits.
    #[serde(default)]
    pub oldest_pending: Option<DateTime<Utc>>,
    /// The same per priority, 1 first, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_by_priority: Option<[Option<DateTime<Utc>>; Priority::COUNT]>,
}

/// An open problem of a task, a queue or the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// The task; `None` for a queue or the endpoint itself.
    pub task: Option<TaskId>,
    /// The queue, if it is about one.
    #[serde(default)]
    pub queue: Option<QueueName>,
    /// What kind of problem.
    pub kind: AlertKind,
    /// How bad.
    pub severity: Severity,
    /// When the problem began, by computed time.
    pub since: DateTime<Utc>,
    /// One line for the operator.
    pub summary: Clean,
    /// Who took it.
    #[serde(default)]
    pub acknowledged_by: Option<Clean>,
    /// Until when it is silenced or snoozed.
    #[serde(default)]
    pub silenced_until: Option<DateTime<Utc>>,
    /// What operators have said beyond that, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<Box<Handling>>,
}

/// What operators have said of an alert, beyond who took it and until when it is quiet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handling {
    /// When it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// What was noted with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Clean>,
    /// Who silenced or snoozed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_by: Option<Clean>,
    /// What was noted with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Clean>,
    /// It is snoozed: the task's next good run ends that too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub snoozed: bool,
}

impl Alert {
    /// What identifies it within its endpoint: one open alert per (task, queue, kind).
    #[must_use]
    pub fn key(&self) -> AlertKey {
        AlertKey { task: self.task.clone(), queue: self.queue.clone(), kind: self.kind }
    }
}

/// The identity of an alert within its endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct AlertKey {
    /// The task; `None` for a queue or the endpoint itself.
    pub task: Option<TaskId>,
    /// The queue, if it is about one.
    pub queue: Option<QueueName>,
    /// What kind of problem.
    pub kind: AlertKind,
}

/// One state transition of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flip {
    /// The task.
    pub task: TaskId,
    /// The state before.
    pub old: TaskState,
    /// The state after.
    pub new: TaskState,
    /// One line: why.
    pub reason: Clean,
    /// When it happened, by the rules.
    pub computed: DateTime<Utc>,
    /// When it was noticed.
    pub noticed: DateTime<Utc>,
    /// How well it is known.
    pub evidence: super::Evidence,
    /// The failure that it tells of. One that leaves the state as it was
    /// (`overrun`, `dead`, `too-often`) has the same state before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<AlertKind>,
    /// The run that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}
