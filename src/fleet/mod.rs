//! What is known of the whole fleet: the one in-memory model that console and
//! commands read.
//!
//! Owns applying snapshots under the law of coverage, deltas, health with
//! evidence, lateness where the system does not judge itself, pending receipts,
//! duration series, alerts, and the indexes behind filter and sort. Pure: no
//! clock, no I/O; `now` is an argument. May import: `model`, `schedule`.

use chrono::{DateTime, Utc};

use crate::model::{
    Alert, Capabilities, Clean, EndpointName, EndpointSpec, Evidence, Health, Queue, Receipt, Run, Snapshot,
    Task, TaskKey, TaskState,
};

/// A failed poll, as the runtime reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `down` or `unauthorised`.
    pub health: Health,
    /// Why, in one line.
    pub reason: Clean,
    /// Which try in a row this was, from 1.
    pub tries: u32,
    /// When the next one is due.
    pub next_try: DateTime<Utc>,
}

/// What changed: enough to update an order, redraw and ring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Rows that are new.
    pub added: Vec<TaskKey>,
    /// Rows whose shown values changed.
    pub changed: Vec<TaskKey>,
    /// Rows that are gone.
    pub gone: Vec<TaskKey>,
    /// Endpoints whose health, latency step or error changed.
    pub endpoints: Vec<EndpointName>,
    /// Whether runs, queues or alerts changed.
    pub runs: bool,
    /// See `runs`.
    pub queues: bool,
    /// See `runs`.
    pub alerts: bool,
    /// Receipts that this moved to `observed`, `failed` or `unknown`.
    pub receipts: Vec<Receipt>,
}

impl Delta {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One task of the whole fleet, as it is shown.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Its identity.
    pub key: TaskKey,
    /// What its endpoint last told.
    pub task: Task,
    /// The state that is shown: the system's word, or vigie's judgement.
    pub state: TaskState,
    /// How well that is known.
    pub evidence: Evidence,
    /// Since when the state holds, where known.
    pub since: Option<DateTime<Utc>>,
    /// The earliest unsatisfied slot: in the past while due, late or absent.
    pub next_due: Option<DateTime<Utc>>,
    /// The slot that lateness counts from, while late or absent (fresh evidence).
    pub late_since: Option<DateTime<Utc>>,
    /// It would be late since then, but the evidence does not cover it: shown as "unverified".
    pub unverified_late_since: Option<DateTime<Utc>>,
    /// Receipts of intents on it that are not final, or ended moments ago; newest last.
    pub receipts: Vec<Receipt>,
}

/// What is known of an endpoint as a whole.
#[derive(Debug, Clone)]
pub struct EndpointRow {
    /// As configured.
    pub spec: EndpointSpec,
    /// Where it is, once known.
    pub url: Option<String>,
    /// Its health.
    pub health: Health,
    /// When the last good poll had arrived.
    pub last_ok: Option<DateTime<Utc>>,
    /// How long the last good poll took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The failure that it is in, if it is.
    pub failure: Option<Failure>,
    /// Since when it is in its health.
    pub since: DateTime<Utc>,
    /// Its clock minus ours, in milliseconds, where it tells its time.
    pub skew_ms: Option<i64>,
    /// A part that can't be read.
    pub degraded: Option<Clean>,
    /// Its version, where it tells.
    pub version: Option<Clean>,
    /// What may be asked of it as a whole.
    pub capabilities: Capabilities,
    /// How many tasks it has.
    pub tasks: usize,
}

/// An open alert with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// The endpoint that it is of.
    pub endpoint: EndpointName,
    /// The alert.
    pub alert: Alert,
    /// How well it is known.
    pub evidence: Evidence,
}

/// A queue with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// The endpoint that it is of.
    pub endpoint: EndpointName,
    /// The queue.
    pub queue: Queue,
    /// How well it is known.
    pub evidence: Evidence,
}

/// A run with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The endpoint that it is of.
    pub endpoint: EndpointName,
    /// The task's name, for display.
    pub task_name: Clean,
    /// The run.
    pub run: Run,
}

/// The fleet. See the module's text.
#[derive(Debug, Default)]
pub struct Fleet {}

impl Fleet {
    /// Makes the endpoints those of `specs`: unknown ones come in connecting,
    /// missing ones go with their rows, changed ones start anew.
    pub fn configure(&mut self, specs: &[EndpointSpec], now: DateTime<Utc>) -> Delta {
        todo!()
    }
    /// What is said of the endpoint by its backend rather than by a poll.
    pub fn describe(
        &mut self,
        endpoint: &EndpointName,
        url: Option<String>,
        capabilities: Capabilities,
    ) -> Delta {
        todo!()
    }
    /// Applies one answer. Applying it twice changes nothing the second time.
    pub fn apply(&mut self, endpoint: &EndpointName, snapshot: Snapshot, now: DateTime<Utc>) -> Delta {
        todo!()
    }
    /// A poll failed: ages the endpoint's own rows, deletes nothing.
    pub fn fail(&mut self, endpoint: &EndpointName, failure: Failure, now: DateTime<Utc>) -> Delta {
        todo!()
    }
    /// Runs fetched on demand: known history, never complete.
    pub fn learn_runs(&mut self, endpoint: &EndpointName, runs: Vec<Run>, now: DateTime<Utc>) -> Delta {
        todo!()
    }
    /// A receipt from the runtime.
    pub fn note_receipt(&mut self, receipt: Receipt, now: DateTime<Utc>) -> Delta {
        todo!()
    }
    /// Lets time pass: lateness, staleness, receipts that nobody confirms.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Delta {
        todo!()
    }
    /// When [`Fleet::tick`] has something to do at the earliest.
    pub fn next_change(&self) -> Option<DateTime<Utc>> {
        todo!()
    }

    /// All endpoints, as configured.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointRow> {
        std::iter::empty()
    }
    /// One endpoint.
    pub fn endpoint(&self, name: &EndpointName) -> Option<&EndpointRow> {
        todo!()
    }
    /// All tasks, in a stable order (endpoint as configured, then id).
    pub fn tasks(&self) -> impl Iterator<Item = &TaskRow> {
        std::iter::empty()
    }
    /// How many tasks there are.
    pub fn task_count(&self) -> usize {
        todo!()
    }
    /// One task.
    pub fn task(&self, key: &TaskKey) -> Option<&TaskRow> {
        todo!()
    }
    /// Open alerts, worst first, then newest.
    pub fn alerts(&self) -> Vec<AlertRow> {
        todo!()
    }
    /// Queues, as told.
    pub fn queues(&self) -> Vec<QueueRow> {
        todo!()
    }
    /// Known runs of the whole fleet, newest first, at most `limit`.
    pub fn runs(&self, limit: usize) -> Vec<RunRow> {
        todo!()
    }
    /// Known runs of one task, newest first.
    pub fn runs_of(&self, key: &TaskKey) -> Vec<&Run> {
        todo!()
    }
    /// Known durations of one task in milliseconds, oldest first: good runs only.
    pub fn durations(&self, key: &TaskKey) -> Vec<u64> {
        todo!()
    }
    /// Recent receipts of the whole console, newest first.
    pub fn receipts(&self) -> Vec<&Receipt> {
        todo!()
    }
}

/// Tasks by filter and order, with a cursor that is pinned to identity.
/// Kept up to date from deltas.
#[derive(Debug, Default)]
pub struct TaskList {}
