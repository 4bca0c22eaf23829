//! The stable JSON of the reading commands. Keys, their order and their words
//! are a contract: [`VERSION`] is raised on any breaking change.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::fleet::{AlertRow, EndpointRow, QueueRow, RunRow, TaskRow};
use crate::model::{Clean, Labels, Priority, Run, RunState, Schedule, TaskState, Verb};

/// The version of the format.
pub const VERSION: u32 = 1;

/// RFC 3339 in UTC, with milliseconds where there are any.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    let format = if at.timestamp_subsec_millis() == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    at.to_rfc3339_opts(format, true)
}

fn stamped(at: Option<DateTime<Utc>>) -> Option<String> {
    at.map(stamp)
}

/// Whole seconds from `since` to `now`, never negative.
fn seconds(since: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - since).num_seconds().max(0)
}

/// `vigie status -o json`.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// [`VERSION`].
    pub version: u32,
    /// When it was made.
    pub at: String,
    /// `ok`, `warning`, `critical` or `unknown`; agrees with the exit code.
    pub worst: &'static str,
    /// The requested endpoints.
    pub endpoints: Vec<EndpointReport>,
    /// Their tasks.
    pub tasks: Vec<TaskReport>,
    /// Their queues.
    pub queues: Vec<QueueReport>,
    /// Their open alerts.
    pub alerts: Vec<AlertReport>,
}

/// An endpoint.
#[derive(Debug, Default, Serialize)]
pub struct EndpointReport {
    name: String,
    kind: String,
    url: Option<String>,
    health: String,
    latency_ms: Option<u64>,
    last_ok: Option<String>,
    error: Option<Clean>,
    version: Option<Clean>,
    skew_ms: Option<i64>,
    remarks: Vec<Clean>,
}

impl From<&EndpointRow> for EndpointReport {
    fn from(row: &EndpointRow) -> Self {
        Self {
            name: row.spec.name.to_string(),
            kind: row.spec.kind.to_string(),
            url: row.url.clone().or_else(|| row.spec.url.clone()),
            health: row.health.to_string(),
            latency_ms: row.latency_ms,
            last_ok: stamped(row.last_ok),
            error: row
                .failure
                .as_ref()
                .map(|failure| failure.reason.clone())
                .or_else(|| row.degraded.clone()),
            version: row.version.clone(),
            skew_ms: row.skew_ms,
            remarks: row.remarks.clone(),
        }
    }
}

/// The last run of a task: always an object, unknown members null.
#[derive(Debug, Default, Serialize)]
pub struct LastRunReport {
    id: Option<String>,
    state: Option<&'static str>,
    started: Option<String>,
    ended: Option<String>,
    duration_ms: Option<u64>,
    exit_code: Option<i32>,
    message: Option<Clean>,
}

impl From<&Run> for LastRunReport {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.as_ref().map(ToString::to_string),
            state: Some(run.state.word()),
            started: stamped(run.started),
            ended: stamped(run.ended),
            duration_ms: run.duration_ms,
            exit_code: run.exit_code,
            message: run.message.clone(),
        }
    }
}

/// Retries of a task: always an object.
#[derive(Debug, Default, Serialize)]
pub struct RetryReport {
    attempt: u32,
    max: u32,
    next_at: Option<String>,
}

/// A task.
#[derive(Debug, Default, Serialize)]
pub struct TaskReport {
    endpoint: String,
    id: String,
    name: String,
    state: &'static str,
    evidence: &'static str,
    paused: bool,
    priority: Option<u8>,
    team: Option<Clean>,
    machine: Option<Clean>,
    schedule: Option<Clean>,
    zone: Option<Clean>,
    next_due: Option<String>,
    late_by_s: Option<i64>,
    last_run: LastRunReport,
    retry: RetryReport,
    actions: Map<String, Value>,
    description: Option<Clean>,
    remote_state: Option<Clean>,
    schedule_assumed: bool,
    unverified_late_by_s: Option<i64>,
    running: usize,
    queued: usize,
    judged_by: &'static str,
    class: Option<Clean>,
    alias: Option<Clean>,
    labels: Labels,
    remarks: Vec<Clean>,
}

impl TaskReport {
    /// `row` as of `now`.
    #[must_use]
    pub fn new(row: &TaskRow, now: DateTime<Utc>) -> Self {
        let task = &row.task;
        let late = matches!(row.state, TaskState::Late | TaskState::Absent);
        let active = |state| task.active_runs.iter().filter(|run| run.state == state).count();
        Self {
            endpoint: row.key.endpoint.to_string(),
            id: row.key.task.to_string(),
            name: task.name.to_string(),
            state: row.state.word(),
            evidence: row.evidence.word(),
            paused: task.paused,
            priority: task.priority.map(Priority::level),
            team: task.team.clone(),
            machine: task.machine.clone(),
            schedule: task.schedule.as_ref().map(Schedule::text),
            zone: task.schedule.as_ref().map(|schedule| schedule.zone.clone()),
            next_due: stamped(row.next_due),
            late_by_s: row.late_since.or(row.next_due).filter(|_| late).map(|due| seconds(due, now)),
            last_run: task.last_run.as_ref().map(LastRunReport::from).unwrap_or_default(),
            retry: RetryReport {
                attempt: task.retry.attempt,
                max: task.retry.max,
                next_at: stamped(task.retry.next_at),
            },
            actions: task
                .capabilities
                .iter()
                .map(|(deed, reason)| (deed.word().to_owned(), reason.map(Clean::as_str).into()))
                .collect(),
            description: task.description.clone(),
            remote_state: task.remote_state.clone(),
            schedule_assumed: task.schedule.as_ref().is_some_and(|schedule| schedule.assumed),
            unverified_late_by_s: row.unverified_late_since.map(|due| seconds(due, now)),
            running: active(RunState::Running),
            queued: active(RunState::Queued),
            judged_by: if row.is_judged_here() { "vigie" } else { "endpoint" },
            class: task.class.clone(),
            alias: task.alias.clone(),
            labels: row.labels.clone(),
            remarks: task.remarks.clone(),
        }
    }

    /// An empty row with every member, for the header of a table: commands
    /// that only one system has are in its rows, but have no column.
    #[must_use]
    pub fn sample() -> Self {
        Self {
            actions: Verb::ALL.iter().map(|verb| (verb.word().to_owned(), Value::Null)).collect(),
            ..Self::default()
        }
    }
}

/// A run.
#[derive(Debug, Default, Serialize)]
pub struct RunReport {
    endpoint: String,
    task: String,
    id: Option<String>,
    state: &'static str,
    started: Option<String>,
    ended: Option<String>,
    duration_ms: Option<u64>,
    exit_code: Option<i32>,
    message: Option<Clean>,
    attempt: u32,
    cause: Option<Clean>,
    priority: Option<u8>,
    slot: Option<String>,
    queued: Option<String>,
}

impl From<&RunRow> for RunReport {
    fn from(row: &RunRow) -> Self {
        let run = &row.run;
        Self {
            endpoint: row.endpoint.to_string(),
            task: run.task.to_string(),
            id: run.id.as_ref().map(ToString::to_string),
            state: run.state.word(),
            started: stamped(run.started),
            ended: stamped(run.ended),
            duration_ms: run.duration_ms,
            exit_code: run.exit_code,
            message: run.message.clone(),
            attempt: run.attempt,
            cause: run.cause.clone(),
            priority: run.priority.map(Priority::level),
            slot: stamped(run.slot),
            queued: stamped(run.queued),
        }
    }
}

/// A queue.
#[derive(Debug, Default, Serialize)]
pub struct QueueReport {
    endpoint: String,
    name: String,
    depth: u64,
    by_priority: Option<[u64; Priority::COUNT]>,
    running: u64,
    stale: u64,
    oldest_pending_s: Option<i64>,
}

impl QueueReport {
    /// `row` as of `now`.
    #[must_use]
    pub fn new(row: &QueueRow, now: DateTime<Utc>) -> Self {
        let queue = &row.queue;
        Self {
            endpoint: row.endpoint.to_string(),
            name: queue.name.to_string(),
            depth: queue.depth,
            by_priority: queue.by_priority,
            running: queue.running,
            stale: queue.stale,
            oldest_pending_s: queue.oldest_pending.map(|since| seconds(since, now)),
        }
    }
}

/// An open alert.
#[derive(Debug, Default, Serialize)]
pub struct AlertReport {
    endpoint: String,
    task: Option<String>,
    kind: &'static str,
    severity: &'static str,
    since: String,
    summary: String,
    acknowledged_by: Option<Clean>,
    silenced_until: Option<String>,
    queue: Option<String>,
    evidence: &'static str,
    acknowledged_at: Option<String>,
    note: Option<Clean>,
    silenced_by: Option<Clean>,
    comment: Option<Clean>,
    snoozed: bool,
}

impl From<&AlertRow> for AlertReport {
    fn from(row: &AlertRow) -> Self {
        let alert = &row.alert;
        let handling = alert.handling.as_deref().cloned().unwrap_or_default();
        Self {
            endpoint: row.endpoint.to_string(),
            task: alert.task.as_ref().map(ToString::to_string),
            kind: alert.kind.word(),
            severity: alert.severity.word(),
            since: stamp(alert.since),
            summary: alert.summary.to_string(),
            acknowledged_by: alert.acknowledged_by.clone(),
            silenced_until: stamped(alert.silenced_until),
            queue: alert.queue.as_ref().map(ToString::to_string),
            evidence: row.evidence.word(),
            acknowledged_at: stamped(handling.acknowledged_at),
            note: handling.note,
            silenced_by: handling.silenced_by,
            comment: handling.comment,
            snoozed: handling.snoozed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;
    use crate::model::{Capabilities, EndpointSpec, Kind, Part, Policy, Snapshot, Task};

    #[test]
    fn reports_say_who_judged_and_what_an_endpoint_remarks() {
        let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let task = |id: &str, due| Task {
            state: Some(TaskState::Healthy),
            next_due: Some(due),
            judged_within_s: Some(10),
            policy: Policy { start_window_s: 60, lateness_window_s: 3_600, ..Policy::default() },
            ..Task::bare(id.into(), id.into(), Capabilities::none("a test"))
        };
        let mut fleet = Fleet::default();
        let spec = EndpointSpec::new("a".into(), Kind::DutyDuck, Some("http://duck".to_owned()));
        fleet.configure(std::slice::from_ref(&spec), at);
        let snapshot = Snapshot {
            tasks: Part::complete(vec![task("x", at), task("y", at - chrono::TimeDelta::seconds(70))]),
            version: Some("G2".into()),
            server_time: Some(at),
            remarks: vec!["scopes: readTasks".into()],
            ..Snapshot::unchanged(at, 3)
        };
        fleet.apply(&spec.name, snapshot, at);
        let tasks: Vec<Value> =
            fleet.tasks().map(|row| serde_json::to_value(TaskReport::new(row, at)).unwrap()).collect();
        assert_eq!((&tasks[0]["state"], &tasks[0]["judged_by"]), (&"healthy".into(), &"endpoint".into()));
        assert_eq!((&tasks[1]["state"], &tasks[1]["judged_by"]), (&"late".into(), &"vigie".into()));
        assert_eq!(tasks[1]["late_by_s"], 70);
        let alert = serde_json::to_value(AlertReport::from(&fleet.alerts()[0])).unwrap();
        let summary = alert["summary"].as_str().unwrap();
        assert!(summary.ends_with("by vigie's own reckoning: duty-duck has not judged it"), "{summary}");
        let endpoint =
            serde_json::to_value(EndpointReport::from(fleet.endpoint(&spec.name).unwrap())).unwrap();
        assert_eq!((&endpoint["version"], &endpoint["skew_ms"]), (&"G2".into(), &0.into()));
        assert_eq!(endpoint["remarks"], serde_json::json!(["scopes: readTasks"]));
    }
}
