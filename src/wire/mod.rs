//! The native protocol's types, shared by the coordinator's API and the
//! `vigie` backend: the place where the two meet.
//!
//! Tasks, runs, queues, alerts and flips travel in the model's own JSON form;
//! here are the envelopes around them. All under `/api/v1`, all JSON, errors as
//! problem details (RFC 9457). May import: `model`.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /tasks` | – | [`Tasks`] |
//! | `GET /tasks?state=&team=&machine=&q=&limit=&after=` | – | [`TaskPage`] |
//! | `GET /tasks/{id}` | – | a task |
//! | `POST /tasks` | a task as JSON, with the fields of `tasks.toml` | 201 a task; 422 with [`Problem::problems`] |
//! | `GET /tasks/{id}/definition` | – | what it was defined as |
//! | `PUT /tasks/{id}` | the same, `id` may be left out | 200 a task; 201 when it is new |
//! | `DELETE /tasks/{id}` | – | 200 [`Done`] |
//! | `POST /tasks/{id}/archive` | – | 200 [`Done`] |
//! | `POST /tasks/{id}/runs` | [`TriggerRequest`], may be empty | 202 [`RunAccepted`] |
//! | `POST /tasks/{id}/pause`, `/resume` | – | 200 [`Done`] |
//! | `POST /tasks/{id}/priority` | [`PriorityRequest`] | 200 [`Done`] |
//! | `POST /tasks/{id}/acknowledge` | [`Acknowledge`], may be empty | 200 [`Done`] |
//! | `POST /tasks/{id}/snooze`, `/silence` | [`PutOff`], may be empty | 200 [`Done`] |
//! | `GET /silences` | – | [`Silences`] |
//! | `GET /silences/preview?task=&team=&machine=&kind=` | – | [`SilencePreview`] |
//! | `POST /silences` | [`NewSilence`] | 201 [`Silence`] |
//! | `DELETE /silences/{id}` | – | 200 [`Done`] |
//! | `GET /runs?task=&state=&limit=&before=` | – | [`Runs`] |
//! | `POST /runs` | [`Submission`] | 202 [`RunAccepted`] |
//! | `POST /tasks/{id}/reports` | [`Report`] | 202 [`RunAccepted`] |
//! | `GET /runs/{id}` | – | a run |
//! | `GET /runs/{id}/log?offset=` | – | [`Log`] |
//! | `POST /runs/{id}/retry` | – | 202 [`RunAccepted`] |
//! | `POST /runs/{id}/cancel` | – | 200 [`Done`] |
//! | `POST /runs/{id}/priority` | [`PriorityRequest`] | 200 [`Done`] |
//! | `GET /queues` | – | [`Queues`] |
//! | `GET /machines` | – | [`Machines`] |
//! | `GET /alerts` | – | [`Alerts`] |
//! | `GET /flips?limit=` | – | [`Flips`] |
//! | `GET /audit?limit=&before=`, `&after=` | – | [`Audit`] |
//! | `GET /audit/ends` | – | [`AuditEnds`] |
//! | `GET /changes?since=&wait_s=` | – | [`Changes`]; 410 when the cursor is too old |
//! | `GET /coordinator` | – | [`Coordinator`] |
//! | `POST /reload` | – | 200 [`Done`]; 422 when the tasks file has errors: nothing was changed |
//! | `GET /tokens` | – | [`Tokens`] |
//! | `POST /tokens` | [`NewToken`] | 201 [`TokenIssued`] |
//! | `DELETE /tokens/{name}` | – | 200 [`Done`] |
//! | `POST /tokens/{name}/rotate` | [`RotateToken`], may be empty | 201 [`TokenIssued`] |
//! | `GET /lease` | – | a stream that never ends: a console is there while it is open |
//!
//! Beside them, without a token, the pings of jobs that run elsewhere: `/ping/KEY`,
//! `/start`, `/fail`, `/log` and `/EXIT-STATUS` below it, with [`Task::ping_key`].
//!
//! Mutating calls take `Idempotency-Key`; the same key answers the same again.

pub mod audit;
mod handling;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{
    Alert, AlertKey, Clean, Flip, Priority, Queue, QueueName, Role, Run, RunId, Task, TaskId,
};

pub use audit::{Audit, AuditEnds, AuditPlace, AuditRow};
pub use handling::{Acknowledge, Matcher, NewSilence, PutOff, Silence, SilencePreview, Silences};

/// The file in the data directory that lets local consoles and commands find a running coordinator.
pub const COORDINATOR_FILE: &str = "coordinator.json";

/// The contents of [`COORDINATOR_FILE`], mode 0600.
#[derive(Clone, Serialize, Deserialize)]
pub struct CoordinatorFile {
    /// `http://127.0.0.1:PORT`, without trailing slash.
    pub url: String,
    /// The bearer token.
    pub token: String,
    /// The coordinator's process.
    pub pid: u32,
}

/// Without the token.
impl std::fmt::Debug for CoordinatorFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoordinatorFile")
            .field("url", &self.url)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// Everything, for a first or full poll: tasks, queues and open alerts are complete.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Tasks {
    /// For `changes?since=`.
    pub cursor: String,
    /// The coordinator's clock.
    pub now: DateTime<Utc>,
    /// All tasks.
    pub tasks: Vec<Task>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// All open alerts.
    pub alerts: Vec<Alert>,
    /// The newest runs, newest first; not all.
    pub runs: Vec<Run>,
    /// What is wrong with the tasks file, each with line and cause; the tasks are those of before.
    #[serde(default)]
    pub file_problems: Vec<Clean>,
    /// Who asks, as this coordinator knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<Caller>,
}

/// A page of tasks by their ids: those that a call with parameters asks for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskPage {
    /// The coordinator's clock.
    pub now: DateTime<Utc>,
    /// The page.
    pub tasks: Vec<Task>,
    /// For `after=` of the next page; `None` on the last.
    pub next: Option<TaskId>,
}

/// What changed since a cursor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// For the next `changes?since=`.
    pub cursor: String,
    /// The coordinator's clock.
    pub now: DateTime<Utc>,
    /// Tasks that are new or changed.
    pub tasks: Vec<Task>,
    /// Tasks that are gone.
    pub gone: Vec<TaskId>,
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
    /// What is wrong with the tasks file now: all of it, not what changed.
    #[serde(default)]
    pub file_problems: Vec<Clean>,
}

/// A page of runs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// The page.
    pub runs: Vec<Run>,
    /// For `before=` of the next page; `None` on the last.
    pub next: Option<String>,
}

/// A piece of a run's log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// The text, as captured: invalid UTF-8 replaced, not cleaned (a reader cleans).
    pub text: String,
    /// Where the next piece begins, in bytes.
    pub next_offset: u64,
    /// Bytes that were dropped from the middle to keep the log bounded.
    pub dropped_bytes: u64,
    /// Whether the run has ended and nothing will follow.
    pub complete: bool,
}

/// All queues.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Queues {
    /// Queues by name.
    pub queues: Vec<Queue>,
}

/// All machines that runs are or may be carried out on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Machines {
    /// The coordinator's own first, then by name.
    pub machines: Vec<Machine>,
}

/// Where runs are carried out, with what waits and runs there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its name; the coordinator's own is `local`.
    pub name: Clean,
    /// What ssh calls it; `None` for the coordinator's own.
    pub host: Option<Clean>,
    /// Whether it can be reached.
    pub health: MachineHealth,
    /// Since when it can, or can't.
    pub since: Option<DateTime<Utc>>,
    /// When it last answered, while it can be reached.
    pub seen: Option<DateTime<Utc>>,
    /// Why it can't be reached, and what to do.
    pub error: Option<Clean>,
    /// When it is tried again at the earliest, if there is work for it.
    pub next_try: Option<DateTime<Utc>>,
    /// How many runs there may be at once there.
    pub limit: Option<u32>,
    /// Runs in progress.
    pub running: u64,
    /// Pending runs.
    pub depth: u64,
    /// Pending runs per priority, 1 first.
    pub by_priority: [u64; Priority::COUNT],
    /// Since when the oldest pending run waits.
    pub oldest_pending: Option<DateTime<Utc>>,
    /// The same per priority, 1 first.
    pub oldest_by_priority: [Option<DateTime<Utc>>; Priority::COUNT],
}

impl Machine {
    /// One of which nothing is known but the name.
    #[must_use]
    pub const fn bare(name: Clean) -> Self {
        Self {
            name,
            host: None,
            health: MachineHealth::Unknown,
            since: None,
            seen: None,
            error: None,
            next_try: None,
            limit: None,
            running: 0,
            depth: 0,
            by_priority: [0; Priority::COUNT],
            oldest_pending: None,
            oldest_by_priority: [None; Priority::COUNT],
        }
    }
}

/// Whether a machine can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineHealth {
    /// It was never asked: there was no work for it yet.
    Unknown,
    /// It answered when it was last asked.
    Reachable,
    /// It did not.
    Unreachable,
    /// It is switched off: nothing is started there.
    Off,
}

/// All open alerts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Alerts {
    /// Alerts, oldest first.
    pub alerts: Vec<Alert>,
}

/// Transitions, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Flips {
    /// Flips.
    pub flips: Vec<Flip>,
}

/// Starts a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerRequest {
    /// Its priority; the task's own, if absent.
    pub priority: Option<Priority>,
}

/// Work that is wanted once: `POST /runs`.
///
/// It becomes a task of its own, that keeps its run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// What people call it; its program's name, if absent.
    pub name: Option<Clean>,
    /// Program and arguments; this or `shell`.
    pub command: Vec<String>,
    /// A line of shell.
    pub shell: Option<String>,
    /// Where it runs; on the coordinator's machine, if absent.
    pub machine: Option<Clean>,
    /// Whose it is.
    pub team: Option<Clean>,
    /// 1 (highest) to 5; 3, if absent.
    pub priority: Option<Priority>,
    /// When a failed attempt is tried again; never, if absent.
    pub retry: Option<RetrySpec>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Environment variables whose values are in the vault, by their names there.
    pub secrets: BTreeMap<String, String>,
    /// Where it runs, an absolute path.
    pub cwd: Option<String>,
    /// How long it may run, in seconds.
    pub max_runtime_s: Option<u32>,
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySpec {
    /// Retries at most.
    pub count: u32,
    /// Before the first retry, in seconds; 30, if absent.
    pub delay_s: Option<u32>,
    /// Each further delay is so many times the one before; 1, if absent.
    pub backoff: Option<f64>,
}

/// What somebody who carries a run out elsewhere says of it, such as
/// `vigie run`: `POST /tasks/{id}/reports`. A report may come late and more
/// than once; what counts is `at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The run, as the reporter calls it; a UUID is a good one. 1 to 128 visible ASCII characters.
    pub rid: String,
    /// What happened.
    pub what: Reported,
    /// When, by the reporter's clock.
    pub at: DateTime<Utc>,
    /// The newest output, invalid UTF-8 replaced; not more than 64 KiB are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Clean>,
}

/// What happened to a run elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reported {
    /// It started.
    Started,
    /// It goes on.
    Beat,
    /// It ended, with this exit code: 128 and the signal's number where it was ended by one.
    Ended {
        /// 0 is good.
        exit_code: i32,
    },
}

/// Sets a priority.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorityRequest {
    /// 1 (highest) to 5.
    pub priority: Priority,
}

/// A run was accepted: it is on disk, and will start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunAccepted {
    /// Its id.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
}

/// It was done, and is on disk.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// One line for the operator.
    pub message: Clean,
}

/// What the coordinator says of itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Coordinator {
    /// vigie's version.
    pub version: Clean,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started: DateTime<Utc>,
    /// Whether it schedules, or only answers.
    pub scheduling: bool,
    /// Whether it ends when its last console has gone.
    pub ends_with_consoles: bool,
    /// How many consoles hold a lease.
    pub consoles: usize,
    /// Who asks, as this coordinator knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<Caller>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// The token's name, `local` or `loopback`.
    pub name: Clean,
    /// What they may do.
    pub role: Role,
    /// Whose tasks they see and act on; `None`: everybody's.
    pub teams: Option<BTreeSet<String>>,
}

/// All tokens that the caller may see; none of them can be read back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Tokens by name, revoked and expired ones too.
    pub tokens: Vec<TokenInfo>,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// What people call it.
    pub name: Clean,
    /// What its bearer may do.
    pub role: Role,
    /// Whose tasks its bearer sees and acts on; `None`: everybody's.
    pub teams: Option<BTreeSet<String>>,
    /// Since when it is.
    pub created: DateTime<Utc>,
    /// From when on it is no longer good; `None`: never.
    pub expires: Option<DateTime<Utc>>,
    /// When it was used last, to about a minute.
    pub last_used: Option<DateTime<Utc>>,
    /// Since when another of the same name took its place.
    pub replaced: Option<DateTime<Utc>>,
    /// Since when it is revoked.
    pub revoked: Option<DateTime<Utc>>,
}

/// Makes a token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What people call it: letters, digits, `.`, `_` and `-`, 1 to 64 of them.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Whose tasks its bearer sees and acts on; empty: everybody's.
    #[serde(default)]
    pub teams: BTreeSet<String>,
    /// How long it is good, in seconds; for ever, if absent.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

/// Puts a new token in the place of one. The new one is good as long as the old one was made for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateToken {
    /// How much longer the old one is good, in seconds; not at all, if absent.
    pub grace_s: Option<u64>,
}

/// A token that was made. It is told this once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenIssued {
    /// The token itself.
    pub token: String,
    /// What is kept of it.
    pub info: TokenInfo,
}

/// Without the token.
impl std::fmt::Debug for TokenIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssued").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Problem details (RFC 9457), media type `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable word for programs, such as `task-not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This case, for people: what, where, what to do.
    pub detail: String,
    /// Where several things are wrong with what was sent: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FieldProblem>,
}

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldProblem {
    /// The field, such as `retry.count`; empty where it is the whole.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub detail: Clean,
}

/// `retry.count: must be …`
impl std::fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}", self.detail)
    }
}
