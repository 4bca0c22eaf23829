//! What is kept of tasks and runs, and what a transition gives back: rows to
//! write, and effects to carry out once they are written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::{
    Alert, AlertKey, Blackout, Clean, Facts, Flip, Policy, Queue, QueueName, Role, Run, RunId, RunMark,
    RunState, Schedule, Scope, Task, TaskId, TaskSource, TaskState,
};
use crate::wire::{FieldProblem, Silence};

use super::{Definition, MachineSpec, Snooze};

/// What instants are told apart by: a slot at the very moment from which on slots count is one of them.
const INSTANT: TimeDelta = TimeDelta::milliseconds(1);

/// What is remembered of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What lateness is judged by, without the active runs: those are rows of their own.
    pub facts: Facts,
    /// The newest slot that was looked at.
    pub considered: DateTime<Utc>,
    /// The state as of the last flip.
    pub state: TaskState,
    /// Since when, and by whom, it is paused.
    #[serde(default)]
    pub paused: Option<Paused>,
    /// Since when, and by whom, it is put away.
    #[serde(default)]
    pub archived: Option<Paused>,
    /// The priority that an operator set.
    #[serde(default)]
    pub priority: Option<crate::model::Priority>,
    /// The newest run that has ended.
    #[serde(default)]
    pub last_run: Option<Box<Run>>,
    /// When the newest good run ended.
    #[serde(default)]
    pub last_success: Option<DateTime<Utc>>,
    /// What the newest bad run ended by.
    #[serde(default)]
    pub bad: Option<Bad>,
    /// Of the tasks that start it, those that have succeeded since it last started.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub succeeded: BTreeSet<TaskId>,
    /// The key that was made for its pings; one that its definition has goes before.
    #[serde(default)]
    pub ping_key: Option<Clean>,
    /// What it was last told while no run of it could take it; until the next one starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// The last flip to late or absent, by its computed time: one that comes back tells of nothing new.
    #[serde(default)]
    pub last_lateness: Option<(TaskState, DateTime<Utc>)>,
    /// The run whose failure a flip told of last.
    #[serde(default)]
    pub last_failure: Option<RunId>,
    /// Its alerts are put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<Snooze>,
}

impl Record {
    /// Of a task that came to be now.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            facts: Facts { since: Some(now), ..Facts::default() },
            considered: now - INSTANT,
            state: TaskState::Healthy,
            paused: None,
            archived: None,
            priority: None,
            last_run: None,
            last_success: None,
            bad: None,
            succeeded: BTreeSet::new(),
            ping_key: None,
            said: None,
            last_lateness: None,
            last_failure: None,
            snoozed: None,
        }
    }

    /// Slots before `now` no longer count.
    pub fn forget_slots(&mut self, now: DateTime<Utc>) {
        self.facts.since = Some(now);
        self.considered = now - INSTANT;
    }

    /// A slot was dealt with.
    pub fn satisfy(&mut self, slot: Option<DateTime<Utc>>) {
        self.facts.satisfied = self.facts.satisfied.max(slot);
    }
}

/// A pause, or a putting away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Since when.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: Clean,
}

/// Words without a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When they came.
    pub at: DateTime<Utc>,
    /// The last of them.
    pub words: Clean,
}

/// What a bad run ended by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bad {
    /// A bad exit.
    Failed,
    /// A bad exit after the last retry.
    Exhausted,
    /// Its max runtime.
    Overrun,
    /// Nobody knows how: its coordinator, or its machine, ended first.
    Dead,
}

/// Who carries a run out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Carrier {
    /// This coordinator.
    #[default]
    Here,
    /// Somebody else, who reports what becomes of it.
    Elsewhere {
        /// How they call it.
        rid: Option<String>,
    },
}

/// A run with its place in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The order of coming; unique, grows.
    pub seq: u64,
    /// The run.
    pub run: Run,
    /// Who carries it out.
    pub carrier: Carrier,
}

impl RunRow {
    /// Of a run that this coordinator carries out.
    #[must_use]
    pub const fn here(seq: u64, run: Run) -> Self {
        Self { seq, run, carrier: Carrier::Here }
    }

    /// Whether it is carried out by somebody else, who reports on it.
    #[must_use]
    pub const fn is_elsewhere(&self) -> bool {
        matches!(self.carrier, Carrier::Elsewhere { .. })
    }

    /// How those who carry it out call it.
    #[must_use]
    pub fn rid(&self) -> Option<&str> {
        match &self.carrier {
            Carrier::Here => None,
            Carrier::Elsewhere { rid } => rid.as_deref(),
        }
    }
}

/// The process of a run that a coordinator of an earlier version started, which kept no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its process id, which is its group's too.
    pub pid: u32,
    /// When the kernel says that it started, in clock ticks since boot.
    pub start_ticks: u64,
}

/// Why a run is being stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// An operator, or the coordinator's own end; the message says which.
    Asked(Clean),
    /// Its max runtime.
    Overrun,
}

/// How the work of a run came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is good.
    pub good: bool,
    /// The exit code, where there is one.
    pub exit_code: Option<i32>,
    /// The error, or the last words.
    pub message: Option<Clean>,
    /// When it ended, where somebody was there; else now.
    pub at: Option<DateTime<Utc>>,
    /// It was told to end, by whomever.
    pub stopped: bool,
    /// Its supervisor ended it by itself: it was over this max runtime.
    pub overran: Option<Duration>,
    /// It was carried out elsewhere, and this is how the connection ended: whether the work has is not known.
    pub cut: bool,
}

/// An attempt that has ended, or never began, and nobody knows how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What is known.
    pub why: Clean,
    /// It certainly began, and certainly does not run any more. What only may
    /// have run is never tried again by itself.
    pub certain: bool,
}

impl Lost {
    /// What ran inside a coordinator, and ended with it.
    #[must_use]
    pub fn with_its_coordinator() -> Self {
        Self { why: "the coordinator ended while it ran".into(), certain: true }
    }
}

/// What became of a run that was in progress when a coordinator ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    GoesOn,
    /// It has ended.
    Ended(Outcome),
    /// Nobody knows.
    Lost(Lost),
    /// It was not started, for certain.
    NeverStarted,
    /// It is of a backup: it may have run since, and how it ended is not known.
    Unknown(Clean),
}

/// A run that has not ended.
#[derive(Debug, Clone)]
pub struct Active {
    /// Its row.
    pub row: RunRow,
    /// Its task as it was when the run came to be.
    pub definition: Arc<Definition>,
    /// Why it is being stopped, if it is.
    pub stopping: Option<Stop>,
    /// Since when it waits for a place; `None` while it runs, or waits for its next attempt.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Since when it waits for its next attempt, where that is known.
    pub resting_since: Option<DateTime<Utc>>,
    /// How long the machine was asleep while it ran.
    pub asleep: TimeDelta,
    /// It started after its start window.
    pub late_start: Option<Clean>,
    /// Until then neither silence nor its length counts against it: what it
    /// tells could not be heard, and comes late.
    pub excused_until: Option<DateTime<Utc>>,
}

impl Active {
    /// When it has to end, or is stopped: one that is carried out elsewhere can't be.
    #[must_use]
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        if self.row.run.state != RunState::Running || self.stopping.is_some() || self.row.is_elsewhere() {
            return None;
        }
        let max = self.definition.policy.max_runtime_s?;
        Some(self.row.run.started? + self.asleep + TimeDelta::seconds(i64::from(max)))
    }
}

impl Active {
    /// Whether neither silence nor length counts against it yet.
    #[must_use]
    pub fn is_excused(&self, now: DateTime<Utc>) -> bool {
        self.excused_until.is_some_and(|until| now < until)
    }
}

/// Whether a run may go from one state to another. `None`: it comes to be.
/// One whose end nobody knew may be told of later; one that is over may be told of at once.
#[must_use]
pub const fn legal(from: Option<RunState>, to: RunState) -> bool {
    use RunState::{Aborted, Dead, Failed, Missed, Queued, Running, Succeeded};
    match from {
        None => matches!(to, Queued | Running | Missed | Succeeded | Failed),
        Some(Queued) => matches!(to, Queued | Running | Aborted),
        Some(Running) => matches!(to, Running | Queued | Succeeded | Failed | Aborted | Dead),
        Some(Dead) => matches!(to, Dead | Succeeded | Failed),
        // What is told late of its beginning is filled in.
        Some(Succeeded) => matches!(to, Succeeded),
        Some(Failed) => matches!(to, Failed),
        Some(Aborted) => matches!(to, Aborted),
        Some(Missed) => false,
    }
}

/// One change on disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A task as it is now remembered.
    Task {
        /// Which.
        id: TaskId,
        /// What is remembered.
        record: Box<Record>,
        /// Its schedule, so that lateness can be judged from the database alone.
        schedule: Option<Schedule>,
        /// When it does not start by itself, for the same.
        blackout: Vec<Blackout>,
        /// Its windows and limits, for the same.
        policy: Policy,
        /// Whether it is not scheduled.
        paused: bool,
    },
    /// A task is no longer defined. What is remembered stays.
    TaskGone(TaskId),
    /// A run as it is now.
    Run(Box<RunRow>),
    /// A run is being stopped: the next coordinator has to know why it ends.
    Stopping(RunId, Stop),
    /// The boot of the machine that everything from here on is of.
    Boot(String),
    /// What was noticed of a run in progress.
    Noted {
        /// The run.
        run: RunId,
        /// Its newest heartbeat.
        last_beat: Option<DateTime<Utc>>,
        /// Its marks.
        marks: Vec<RunMark>,
    },
    /// A flip.
    Flip(Flip),
    /// An episode begins.
    AlertOpened(Alert),
    /// An open episode reads otherwise.
    AlertChanged(Alert),
    /// An episode is open: one that is missing on disk is opened there.
    AlertRestated(Alert),
    /// An episode ends.
    AlertClosed(AlertKey, DateTime<Utc>),
    /// A silence begins.
    Silence(Box<Silence>),
    /// The silence of this id is over.
    SilenceEnded(String),
    /// Somebody did, or tried, something.
    Audit(Audit),
    /// The answer to a call that came with an idempotency key.
    Answer(Answer),
    /// The text of the task file that was last taken.
    TaskFile(String),
    /// The database is no backup any more: a coordinator has taken it over.
    Restored,
    /// A task was defined over the API, or is defined otherwise.
    Defined {
        /// Which.
        id: TaskId,
        /// Defined to stay, or submitted once.
        source: TaskSource,
        /// What it is, as a JSON object with the fields of the task file.
        text: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A task of the API is no longer defined.
    Undefined(TaskId),
    /// A token as it is now.
    Token(Box<TokenRow>),
    /// When a token was last used, coarsely.
    TokenUsed([u8; 32], DateTime<Utc>),
}

/// What is kept of a token: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The SHA-256 of the token; unique.
    pub digest: [u8; 32],
    /// What people call it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Whose tasks its bearer sees and acts on.
    pub scope: Scope,
    /// Since when it is.
    pub created: DateTime<Utc>,
    /// From when on it is no longer good.
    pub expires: Option<DateTime<Utc>>,
    /// When it was used last, to about a minute, as far as it was noted.
    pub last_used: Option<DateTime<Utc>>,
    /// Since when another took its place: this one goes on until it expires.
    pub replaced: Option<DateTime<Utc>>,
    /// Since when it is no longer good because somebody said so.
    pub revoked: Option<DateTime<Utc>>,
}

/// A row of the audit log, without its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Clean,
    /// From where: an address, or `here`.
    pub from: Clean,
    /// A verb's word.
    pub action: &'static str,
    /// On what: a task's or a run's id.
    pub target: Clean,
    /// With what.
    pub detail: Clean,
    /// `ok`, or why not.
    pub outcome: Clean,
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The caller's key.
    pub key: String,
    /// The verb's word.
    pub action: String,
    /// On what.
    pub target: String,
    /// The run that was answered with, if any.
    pub run: Option<Run>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Something to do once the rows are on disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Carry a run out.
    Start {
        /// The run.
        run: RunId,
        /// Which retry it is.
        attempt: u32,
        /// Of what task, as it was when the run came to be: work, machine, secrets, grace.
        definition: Arc<Definition>,
    },
    /// End a run's process group.
    Stop(RunId),
    /// Ask a machine whether it is there.
    Probe(Arc<MachineSpec>),
    /// Ask a machine what became of a run whose connection was cut.
    Ask {
        /// The run.
        run: RunId,
        /// Which retry it is.
        attempt: u32,
        /// Where it was started.
        machine: Arc<MachineSpec>,
    },
    /// End the process group of a run whose connection was cut.
    EndThere {
        /// The run.
        run: RunId,
        /// Which retry it is.
        attempt: u32,
        /// Where it was started.
        machine: Arc<MachineSpec>,
        /// Between SIGTERM and SIGKILL.
        grace: Duration,
    },
}

/// What a step of the domain comes to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows, in order.
    pub writes: Vec<Write>,
    /// Effects, in order.
    pub effects: Vec<Effect>,
    /// Tasks that are new or read otherwise.
    pub tasks: IndexMap<TaskId, Arc<Task>>,
    /// Tasks that are gone.
    pub tasks_gone: Vec<TaskId>,
    /// Runs that are new or changed, as they are now.
    pub runs: IndexMap<RunId, Run>,
    /// Queues that are new or changed.
    pub queues: Vec<Queue>,
    /// Queues that are gone.
    pub queues_gone: Vec<QueueName>,
    /// Alerts that are new or changed.
    pub alerts: IndexMap<AlertKey, Alert>,
    /// Alerts that are closed.
    pub alerts_gone: Vec<AlertKey>,
    /// Machines read otherwise.
    pub machines_changed: bool,
    /// Silences began or ended.
    pub silences_changed: bool,
}

impl Batch {
    /// Whether nothing is to be told.
    #[must_use]
    pub fn tells_nothing(&self) -> bool {
        self.tasks.is_empty()
            && self.tasks_gone.is_empty()
            && self.runs.is_empty()
            && self.queues.is_empty()
            && self.queues_gone.is_empty()
            && self.alerts.is_empty()
            && self.alerts_gone.is_empty()
            && !self.machines_changed
            && !self.silences_changed
    }
}

/// A call that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No task of that id.
    NoTask(TaskId),
    /// No run of that id that is not over.
    NoRun(RunId),
    /// No silence of that id.
    NoSilence(String),
    /// The state forbids it.
    Conflict(Clean),
    /// What was sent is no task.
    Invalid(Vec<FieldProblem>),
    /// What was sent with a call can't be taken.
    Unfit(Vec<FieldProblem>),
}
