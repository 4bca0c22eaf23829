//! From Duty Duck's words to the model's: tasks, runs, monitors, and the freeze of its detection. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use url::Url;

use super::reasons::{self, Incidents, Phase, Sort};
use super::rights::Rights;
use super::wire;
use crate::model::{
    Alert, AlertKind, Capabilities, Clean, Dialect, Labels, Policy, Run, RunState, Schedule, Task, TaskId,
    TaskState, Timing,
};

/// How far its word may lag behind its own windows: its collectors go round
/// every 10 s and take up to 3 s; measured up to 10 s. Twice that, with room.
pub const LAG_S: u32 = 30;
/// What a monitor is called.
pub const MONITOR: &str = "http monitor";

/// Its defaults (`startWindowSeconds`, `latenessWindowSeconds`, `heartbeatTimeoutSeconds`).
const WINDOWS: (u32, u32, u32) = (120, 240, 30);

/// What may be done to whom, each combination made once.
#[derive(Debug)]
pub struct Permits<'a> {
    rights: &'a Rights,
    made: HashMap<(Sort, Phase, Incidents), Capabilities>,
}

impl<'a> Permits<'a> {
    /// By the token's rights.
    pub fn new(rights: &'a Rights) -> Self {
        Self { rights, made: HashMap::new() }
    }

    fn of(&mut self, sort: Sort, phase: Phase, incidents: &Incidents) -> Capabilities {
        let rights = self.rights;
        let made = self.made.entry((sort, phase, incidents.clone()));
        made.or_insert_with(|| reasons::capabilities(sort, phase, incidents, rights)).clone()
    }
}

/// A task's state by Duty Duck's word.
pub fn state_of(status: &str) -> TaskState {
    match status {
        "healthy" => TaskState::Healthy,
        "failing" => TaskState::Failing,
        "running" => TaskState::Running,
        "due" => TaskState::Due,
        "late" => TaskState::Late,
        "absent" => TaskState::Absent,
        "archived" => TaskState::Archived,
        _ => TaskState::Unknown,
    }
}

/// A monitor's state by Duty Duck's word: while it is not sure of good or bad, the last sure thing was bad.
fn monitor_state(status: &str) -> TaskState {
    match status {
        "up" => TaskState::Healthy,
        "recovering" | "suspicious" | "down" => TaskState::Failing,
        "inactive" => TaskState::Paused,
        "archived" => TaskState::Archived,
        _ => TaskState::Unknown,
    }
}

/// A run's state by Duty Duck's word; an unknown one is told by whether it has ended.
pub fn run_state(run: &wire::Run) -> RunState {
    match run.status.as_str() {
        "running" => RunState::Running,
        "finished" => RunState::Succeeded,
        "failed" => RunState::Failed,
        "aborted" => RunState::Aborted,
        "dead" => RunState::Dead,
        _ if run.completed_at.is_none() => RunState::Running,
        _ if run.exit_code.is_some_and(|code| code != 0) => RunState::Failed,
        _ => RunState::Succeeded,
    }
}

/// A run of `task`.
pub fn run(task: &TaskId, told: wire::Run) -> Run {
    let state = run_state(&told);
    let span = told.started_at.zip(told.completed_at).map(|(start, end)| (end - start).num_milliseconds());
    let message = told.error_message.or_else(|| {
        let beat = told.last_heartbeat_at.filter(|_| state == RunState::Dead)?;
        Some(Clean::from(format!("no heartbeat after {}", instant(beat))))
    });
    Run {
        id: Some(told.id),
        remote_state: Some(told.status),
        started: told.started_at,
        ended: told.completed_at,
        last_beat: told.last_heartbeat_at,
        duration_ms: span.and_then(|ms| u64::try_from(ms).ok()),
        exit_code: told.exit_code.and_then(|code| i32::try_from(code).ok()),
        message,
        ..Run::bare(task.clone(), state)
    }
}

/// A task.
pub fn task(
    told: wire::Task,
    runs: (Option<Run>, Vec<Run>),
    incidents: &Incidents,
    permits: &mut Permits<'_>,
) -> Task {
    let state = state_of(&told.status);
    let archived = state == TaskState::Archived;
    let capabilities = permits.of(Sort::Task, Phase::of(&told.status), incidents);
    let (last_run, active_runs) = runs;
    let name = match (told.name, &told.user_id) {
        (Some(name), _) if !name.trim().is_empty() => name,
        (_, Some(alias)) => alias.clone(),
        _ => told.id.shown(),
    };
    let schedule = told.cron_schedule.map(|text| schedule(&text, told.schedule_timezone));
    Task {
        alias: told.user_id,
        description: told.description.filter(|text| !text.trim().is_empty()),
        state: Some(state),
        remote_state: Some(told.status),
        archived,
        labels: labels(told.metadata),
        policy: Policy {
            start_window_s: seconds(told.start_window_seconds, WINDOWS.0),
            lateness_window_s: seconds(told.lateness_window_seconds, WINDOWS.1),
            heartbeat_timeout_s: Some(seconds(told.heartbeat_timeout_seconds, WINDOWS.2)),
            ..Policy::default()
        },
        // What is put away is due no more.
        next_due: told.next_due_at.filter(|_| !archived),
        judged_within_s: (schedule.is_some() && !archived).then_some(LAG_S),
        schedule,
        last_run,
        active_runs,
        ..Task::bare(told.id, name, capabilities)
    }
}

/// As `cron` reads it, in the stored form: six fields are five and a year,
/// since the seconds are cut off; six of another version begin with seconds.
fn schedule(text: &str, zone: Option<Clean>) -> Schedule {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let has_year = |last: &str| last.contains('*') || last.split(['-', ',', '/']).any(|n| n.len() == 4);
    let text = match fields.as_slice() {
        [_, _, _, _, _, last] if has_year(last) => format!("0 {}", fields.join(" ")),
        _ => fields.join(" "),
    };
    Schedule {
        timing: Timing::Cron { expression: Clean::from(text), dialect: Dialect::Quartz },
        zone: zone.unwrap_or_else(|| "UTC".into()),
        assumed: false,
    }
}

fn seconds(told: Option<i64>, default: u32) -> u32 {
    told.map_or(default, |told| u32::try_from(told.max(0)).unwrap_or(u32::MAX))
}

/// Labels: words as they are, all else as JSON.
fn labels(metadata: Option<wire::Metadata>) -> Labels {
    let records = metadata.and_then(|metadata| metadata.records).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => Clean::from(text),
        Value::Null => Clean::line(""),
        other => Clean::from(other.to_string()),
    };
    Arc::new(records.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// A monitor, as a task of its own class.
pub fn monitor(told: wire::Monitor, incidents: &Incidents, permits: &mut Permits<'_>) -> Task {
    let state = monitor_state(&told.status);
    let (paused, archived) = (state == TaskState::Paused, state == TaskState::Archived);
    let capabilities = permits.of(Sort::Monitor, Phase::of(&told.status), incidents);
    let interval = told.interval_seconds.and_then(|s| u32::try_from(s).ok()).filter(|s| *s > 0);
    let remark = match told.status.as_str() {
        "suspicious" => confirmation("bad", told.status_counter, told.downtime_confirmation_threshold),
        "recovering" => confirmation("good", told.status_counter, told.recovery_confirmation_threshold),
        _ => None,
    };
    let last_run = told.last_ping_at.map(|at| {
        let kind = told.error_kind.as_ref().filter(|kind| **kind != "none");
        let state = if kind.is_some() { RunState::Failed } else { RunState::Succeeded };
        let message = met(kind, told.last_http_code);
        Run { ended: Some(at), message, ..Run::bare(told.id.clone(), state) }
    });
    Task {
        class: Some(MONITOR.into()),
        state: Some(state),
        remote_state: Some(told.status),
        paused,
        archived,
        labels: labels(told.metadata),
        schedule: interval.map(|seconds| Schedule {
            timing: Timing::Every { seconds },
            zone: "UTC".into(),
            assumed: false,
        }),
        next_due: told.next_ping_at.filter(|_| !paused && !archived),
        last_run,
        remarks: remark.into_iter().collect(),
        ..Task::bare(told.id, shown_url(&told.url), capabilities)
    }
}

/// `2 of 3 bad checks that confirm it`.
fn confirmation(what: &str, counted: Option<i64>, of: Option<i64>) -> Option<Clean> {
    let (counted, of) = counted.zip(of)?;
    Some(Clean::from(format!("not confirmed yet: {counted} of {of} {what} checks in a row")))
}

/// What a check met: `HTTP 503`, `timeout`.
pub fn met(kind: Option<&Clean>, code: Option<i64>) -> Option<Clean> {
    match (kind.map(Clean::as_str), code) {
        (None | Some("none" | "httpcode"), Some(code)) => Some(Clean::from(format!("HTTP {code}"))),
        (Some("httpcode"), None) => Some("a status that is an error".into()),
        (Some("none") | None, None) => None,
        (Some("connect"), _) => Some("no connection".into()),
        (Some("timeout"), _) => Some("no answer in time".into()),
        (Some(kind), Some(code)) => Some(Clean::from(format!("{kind}, HTTP {code}"))),
        (Some(kind), None) => Some(Clean::line(kind)),
    }
}

/// A URL without what may be secret: user, password, the values of its query, its fragment.
fn shown_url(text: &str) -> Clean {
    let Ok(mut url) = Url::parse(text) else {
        return Clean::line(text.split(['?', '#']).next().unwrap_or(""));
    };
    let query = url.query().is_some_and(|query| !query.is_empty());
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only where a URL can't hold them, and then it holds none.
    let _ = (url.set_username(""), url.set_password(None));
    Clean::from(if query { format!("{url}?…") } else { url.to_string() })
}

/// A word of theirs for a sentence: as long as words are.
pub fn brief(word: &str) -> Clean {
    const LONGEST: usize = 80;
    let mut short: String = word.chars().take(LONGEST).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    Clean::from(short)
}

/// An instant for a sentence.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The task that stops all detection, and since when. Its collector of due
/// tasks fails as a whole on a failing task whose due time has come, every
/// 10 s, so that no task turns due, late or absent any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Since when, by their clock.
    pub since: DateTime<Utc>,
    /// The culprits, longest overdue first.
    pub culprits: Vec<(TaskId, Clean)>,
}

impl Freeze {
    /// Looks for it. `now` is the server's.
    pub fn of(tasks: &[Task], now: DateTime<Utc>) -> Option<Self> {
        let limit = now.checked_sub_signed(TimeDelta::seconds(i64::from(LAG_S)))?;
        let is_stuck = |task: &&Task| task.class.is_none() && task.state == Some(TaskState::Failing);
        let mut stuck: Vec<(DateTime<Utc>, &Task)> = tasks
            .iter()
            .filter(is_stuck)
            .filter(|task| task.schedule.is_some())
            .filter_map(|task| Some((task.next_due.filter(|due| *due < limit)?, task)))
            .collect();
        stuck.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        let since = stuck.first()?.0;
        let name = |task: &Task| task.alias.clone().unwrap_or_else(|| task.name.clone());
        Some(Self {
            since,
            culprits: stuck.into_iter().map(|(_, task)| (task.id.clone(), name(task))).collect(),
        })
    }

    /// As an alert of the endpoint, which names culprit and cure.
    pub fn alert(&self) -> Alert {
        let names: Vec<&str> = self.culprits.iter().take(3).map(|(_, name)| name.as_str()).collect();
        let more = self.culprits.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let several = self.culprits.len() > 1;
        let (freezes, it, its) = if several { ("freeze", "them", "their") } else { ("freezes", "it", "its") };
        // Culprit and cure stand where a narrow line cuts last.
        let summary = Clean::from(format!(
            "{}{more} {freezes} all detection: archive {it}, or let {its} wrapper start {it}; failing and past due \
             since {}, which Duty Duck stumbles over, so that no task turns due, late or absent there",
            names.join(", "),
            instant(self.since),
        ));
        Alert {
            task: None,
            queue: None,
            kind: AlertKind::SchedulerSilent,
            severity: AlertKind::SchedulerSilent.severity(),
            since: self.since,
            summary,
            acknowledged_by: None,
            silenced_until: None,
            handling: None,
        }
    }

    /// Says so at the culprits themselves.
    pub fn mark(&self, tasks: &mut [Task]) {
        for task in tasks {
            if self.culprits.iter().any(|(id, _)| *id == task.id) {
                task.remarks.push(
                    "failing and past due: this stops Duty Duck's detection for all tasks; archive it, or let \
                     its wrapper start it"
                        .into(),
                );
            }
        }
    }
}
