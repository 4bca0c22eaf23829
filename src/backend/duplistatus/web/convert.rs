//! From the web application's words to the model's. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;

use super::wire::{ApplicationLog, AuditRow, Backup, Collected, DryRun, Job, Server};
use crate::backend::LogChunk;
use crate::model::{
    Alert, AlertKind, AuditEntry, Capabilities, Clean, Command, Policy, Run, RunId, RunState, Schedule, Task,
    TaskId, TaskState, Trace, Verb, duration_text,
};
use crate::schedule::{Plan, windows};

/// What a backup job is called among tasks.
const CLASS: &str = "backup job";
/// Between what it calls overdue and what we make of its dates, so much may lie.
const SLACK: TimeDelta = TimeDelta::minutes(2);

/// The id of a job as a task: `<server id>/<job>`. A slash or percent sign within
/// the server's id is escaped, so that the first slash is the one between.
pub fn task_id(server: &str, job: &str) -> TaskId {
    TaskId::new(&format!("{}/{job}", server.replace('%', "%25").replace('/', "%2F")))
}

/// Server and job of such an id; `None` for a task of the cron service.
pub fn parts(task: &TaskId) -> Option<(String, &str)> {
    let (server, job) = task.as_raw().split_once('/')?;
    (!server.is_empty() && !job.is_empty()).then(|| (server.replace("%2F", "/").replace("%25", "%"), job))
}

/// An overdue tolerance in seconds; `None` where the word is not known.
pub fn tolerance(word: &str) -> Option<u32> {
    let minutes = match word {
        "no_tolerance" => 0,
        "5min" => 5,
        "15min" => 15,
        "30min" => 30,
        "1h" => 60,
        "2h" => 120,
        "4h" => 240,
        "6h" => 360,
        "12h" => 720,
        "1d" => 1440,
        _ => return None,
    };
    Some(minutes * 60)
}

/// A date as the web application writes them; what is none costs only itself.
pub fn date(text: Option<&Clean>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text?).ok().map(|date| date.to_utc())
}

/// The jobs of all servers as tasks, and the alerts that they are worth, as of `now` by its clock.
pub fn jobs(servers: &[Server], tolerance_s: Option<u32>, now: DateTime<Utc>) -> (Vec<Task>, Vec<Alert>) {
    let mut alerts = Vec::new();
    let tasks = servers
        .iter()
        .flat_map(|server| server.backup_info.iter().map(move |job| (server, job)))
        .map(|(server, job)| {
            let seen = Seen::of(server, job, tolerance_s, now);
            alerts.extend(seen.alerts());
            seen.task()
        })
        .collect();
    (tasks, alerts)
}

/// One job, with what follows from its dates.
struct Seen<'a> {
    server: &'a Server,
    job: &'a Job,
    id: TaskId,
    tolerance_s: Option<u32>,
    expected: Option<DateTime<Utc>>,
    last: Option<Run>,
    state: TaskState,
    /// Past what is expected, and yet not overdue: nobody watches it.
    unwatched: bool,
}

impl<'a> Seen<'a> {
    fn of(server: &'a Server, job: &'a Job, tolerance_s: Option<u32>, now: DateTime<Utc>) -> Self {
        let id = task_id(&server.id, &job.name);
        let expected = date(job.expected_backup_date.as_ref());
        let last = last_run(&id, job);
        let grace = TimeDelta::seconds(tolerance_s.unwrap_or_default().into());
        let past_grace = expected.is_some_and(|expected| now > expected + grace + SLACK);
        let began = last.as_ref().and_then(|run| run.started);
        // From one backup to the next expected one; a second one missed makes it absent.
        let interval = expected.zip(began).map(|(expected, began)| expected - began);
        let next = expected.zip(interval.filter(|i| *i > TimeDelta::zero())).map(|(e, i)| e + i);
        let state = match (&last, job.is_backup_overdue) {
            (_, true) if next.is_some_and(|next| now >= next) => TaskState::Absent,
            (_, true) => TaskState::Late,
            (None, false) => TaskState::Unknown,
            (Some(_), false) => match job.last_backup_status.as_deref() {
                Some("Error" | "Fatal") => TaskState::Failing,
                _ if expected.is_some_and(|expected| now >= expected) && !past_grace => TaskState::Due,
                Some("Success" | "Warning") => TaskState::Healthy,
                _ => TaskState::Unknown,
            },
        };
        let unwatched = past_grace && tolerance_s.is_some() && !job.is_backup_overdue;
        Self { server, job, id, tolerance_s, expected, last, state, unwatched }
    }

    fn name(&self) -> Clean {
        let server = self.server.alias.as_ref().or(self.server.name.as_ref());
        let server = server.cloned().unwrap_or_else(|| Clean::line(&self.server.id));
        Clean::from(format!("{server} / {}", Clean::line(&self.job.name)))
    }

    fn task(self) -> Task {
        let labels = [("server", self.server.name.as_ref()), ("alias", self.server.alias.as_ref())];
        let labels: BTreeMap<Clean, Clean> = labels
            .into_iter()
            .filter_map(|(name, value)| Some((Clean::line(name), value?.clone())))
            .collect();
        let policy = self.tolerance_s.map_or_else(Policy::default, |tolerance| Policy {
            start_window_s: tolerance,
            ..Policy::default()
        });
        let why = (!self.server.has_password).then(|| {
            Clean::line("duplistatus keeps no password of this server: set it there, under its servers")
        });
        let capabilities = Capabilities::by(|verb| Some(Clean::line(lacks(verb))))
            .with([(Command::DuplistatusCollect, why)]);
        Task {
            class: Some(CLASS.into()),
            description: self.server.note.clone(),
            alias: self.server.name.as_ref().map(|name| Clean::from(format!("{name}/{}", self.job.name))),
            state: Some(self.state),
            remote_state: Some(self.remote_state()),
            machine: self.server.name.clone(),
            labels: Arc::new(labels),
            policy,
            // It owes nothing by a date that nobody watches.
            next_due: self.expected.filter(|_| !self.unwatched),
            remarks: self.remarks(),
            last_run: self.last.clone(),
            ..Task::bare(self.id.clone(), self.name(), capabilities)
        }
    }

    fn remote_state(&self) -> Clean {
        let status = self.job.last_backup_status.clone().unwrap_or_else(|| "N/A".into());
        if self.job.is_backup_overdue { Clean::from(format!("{status}, overdue")) } else { status }
    }

    fn remarks(&self) -> Vec<Clean> {
        let mut remarks = Vec::new();
        let mut say = |text: String| remarks.push(Clean::from(text));
        if self.job.is_backup_overdue {
            let told = match &self.job.last_notification_sent {
                Some(at) => format!("told of at {at}"),
                None if self.job.notification_event.as_deref() == Some("off") => {
                    "nobody is told: its notifications are off".to_owned()
                }
                None => "nobody was told yet".to_owned(),
            };
            say(format!("overdue: {told}"));
        }
        match self.job.last_backup_status.as_deref() {
            Some("Warning") => say(format!("the newest backup ended with {}", self.counts())),
            Some("Success" | "Error" | "Fatal") => {}
            Some(other) => say(format!("duplistatus does not say how the newest backup ended ({other})")),
            None if self.last.is_none() => say("no backup of it has been reported yet".to_owned()),
            None => say("duplistatus does not say how the newest backup ended".to_owned()),
        }
        if self.unwatched {
            say("expected earlier, but not called overdue: its monitoring is off in duplistatus".to_owned());
        }
        remarks
    }

    fn counts(&self) -> Clean {
        counts(self.job.warnings, self.job.errors).unwrap_or_else(|| "a warning".into())
    }

    fn alerts(&self) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut open = |kind: AlertKind, since: DateTime<Utc>, summary: String| {
            alerts.push(Alert {
                task: Some(self.id.clone()),
                queue: None,
                kind,
                severity: kind.severity(),
                since,
                summary: Clean::from(summary),
                acknowledged_by: None,
                silenced_until: None,
                handling: None,
            });
        };
        let kind = match self.state {
            TaskState::Late => Some(AlertKind::Late),
            TaskState::Absent => Some(AlertKind::Absent),
            _ => None,
        };
        let began = self.last.as_ref().and_then(|run| run.started);
        if let Some((kind, expected)) = kind.zip(self.expected.or(began)) {
            let grace = match self.tolerance_s {
                Some(0) => ", no tolerance".to_owned(),
                Some(tolerance) => format!(", {} of tolerance", duration_text(tolerance.into())),
                None => String::new(),
            };
            let last = began.map_or_else(
                || "no backup is known".to_owned(),
                |began| format!("the last one began {}", began.format("%Y-%m-%d %H:%M UTC")),
            );
            open(
                kind,
                expected + TimeDelta::seconds(self.tolerance_s.unwrap_or_default().into()),
                format!("backup expected {}{grace}: {last}", expected.format("%Y-%m-%d %H:%M UTC")),
            );
        }
        if let (Some("Error" | "Fatal"), Some(run)) = (self.job.last_backup_status.as_deref(), &self.last)
            && let Some(since) = run.ended.or(run.started)
        {
            let words = run.message.as_deref().unwrap_or("no counts");
            let status = self.job.last_backup_status.as_deref().unwrap_or_default();
            open(AlertKind::Failed, since, format!("the newest backup ended with {status}: {words}"));
        }
        alerts
    }
}

/// The newest backup of a job.
fn last_run(task: &TaskId, job: &Job) -> Option<Run> {
    let started = date(job.last_backup_date.as_ref())?;
    let seconds = job.last_backup_duration.as_deref().and_then(seconds_of);
    let id = job.last_backup_id.as_deref().map(RunId::new);
    Some(run(task, id, Some(started), job.last_backup_status.as_ref(), seconds, (job.warnings, job.errors)))
}

/// `HH:MM:SS` in seconds.
fn seconds_of(text: &str) -> Option<f64> {
    let parts: Vec<u32> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    Some(f64::from(*hours) * 3_600.0 + f64::from(*minutes) * 60.0 + f64::from(*seconds))
}

fn run(
    task: &TaskId,
    id: Option<RunId>,
    started: Option<DateTime<Utc>>,
    status: Option<&Clean>,
    seconds: Option<f64>,
    (warnings, errors): (Option<u64>, Option<u64>),
) -> Run {
    let took = seconds
        .filter(|seconds| seconds.is_finite() && (0.0..=1e9).contains(seconds))
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    let (state, said) = match status.map(Clean::as_str) {
        Some("Success" | "Warning") => (RunState::Succeeded, None),
        Some("Error" | "Fatal") => (RunState::Failed, None),
        // Nobody knows how it ended.
        _ => (RunState::Dead, Some(Clean::line("duplistatus does not say how it ended"))),
    };
    Run {
        id,
        remote_state: status.cloned(),
        started,
        ended: started.zip(took).map(|(started, took)| started + took),
        duration_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        message: counts(warnings, errors).or(said),
        ..Run::bare(task.clone(), state)
    }
}

fn counts(warnings: Option<u64>, errors: Option<u64>) -> Option<Clean> {
    let count = |n: Option<u64>, one: &str| match n {
        None | Some(0) => None,
        Some(1) => Some(format!("1 {one}")),
        Some(n) => Some(format!("{n} {one}s")),
    };
    let parts: Vec<String> =
        [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| Clean::from(parts.join(", ")))
}

/// The runs of a server's jobs, as it tells them.
pub fn runs(server: &str, backups: &[Backup]) -> Vec<Run> {
    let of = |backup: &Backup| {
        let (task, id) = (task_id(server, &backup.name), Some(RunId::new(&backup.id)));
        let counts = (backup.warnings, backup.errors);
        run(&task, id, date(backup.date.as_ref()), backup.status.as_ref(), backup.duration_seconds, counts)
    };
    backups.iter().map(of).collect()
}

/// The newest of them, the newest first.
pub fn newest(mut runs: Vec<Run>, limit: usize) -> Vec<Run> {
    runs.sort_by_key(|run| std::cmp::Reverse(run.started));
    runs.truncate(limit);
    runs
}

/// What is told of a job when somebody looks at it.
pub fn trace(server: &Server, job: &Job, tolerance: Option<&Clean>) -> Trace {
    let text = |value: Option<&Clean>| value.cloned().unwrap_or_else(|| "none".into());
    let size =
        |bytes: Option<u64>| bytes.map_or_else(|| "unknown".into(), |bytes| Clean::from(size_text(bytes)));
    let number = |n: Option<u64>| n.map_or_else(|| "unknown".into(), |n| Clean::from(n.to_string()));
    let history: Vec<&str> = job.status_history.iter().rev().take(20).map(Clean::as_str).collect();
    let expected = match (&job.expected_backup_date, &job.expected_backup_elapsed) {
        (Some(at), Some(ago)) => Clean::from(format!("{at} ({ago})")),
        (at, _) => text(at.as_ref()),
    };
    let facts = [
        ("server", text(server.name.as_ref())),
        ("alias", text(server.alias.as_ref())),
        ("last backup", text(job.last_backup_date.as_ref())),
        ("status", text(job.last_backup_status.as_ref())),
        ("expected", expected),
        ("overdue tolerance", text(tolerance)),
        ("overdue", (if job.is_backup_overdue { "yes" } else { "no" }).into()),
        ("notifications", text(job.notification_event.as_ref())),
        ("last notification", text(job.last_notification_sent.as_ref())),
        ("warnings", number(job.warnings)),
        ("errors", number(job.errors)),
        ("backups reported", number(job.backup_count)),
        ("versions kept", number(job.last_backup_list_count)),
        ("files", number(job.file_count)),
        ("size of files", size(job.file_size)),
        ("stored", size(job.storage_size)),
        ("uploaded last", size(job.uploaded_size)),
        ("newest first", Clean::from(history.join(" "))),
    ];
    let facts = facts.into_iter().map(|(name, value)| (Clean::line(name), value)).collect();
    Trace { facts, events: Vec::new() }
}

/// `621651575` → `592.9 MiB`.
fn size_text(bytes: u64) -> String {
    let mut rest = bytes;
    let mut tenths = 0;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if rest < 1024 {
            break;
        }
        tenths = rest % 1024 * 10 / 1024;
        rest /= 1024;
        unit = next;
    }
    if unit == "B" { format!("{rest} B") } else { format!("{rest}.{tenths} {unit}") }
}

/// An audit row. Its time is UTC without saying so; one that can't be read is
/// `near`, its neighbour's, and told in the details.
pub fn audit(row: AuditRow, near: DateTime<Utc>) -> AuditEntry {
    let zoneless = NaiveDateTime::parse_from_str(&row.timestamp, "%Y-%m-%d %H:%M:%S%.f");
    let read = zoneless.map(|at| at.and_utc()).ok().or_else(|| date(Some(&row.timestamp)));
    let mut details: Vec<String> =
        row.details.as_ref().map(said).into_iter().filter(|s| !s.is_empty()).collect();
    if let Some(error) = row.error_message.filter(|error| !details.iter().any(|d| d.contains(error.as_str())))
    {
        details.push(error.to_string());
    }
    if read.is_none() {
        details.push(format!("dated {:?}", row.timestamp.as_str()));
    }
    let target = match (row.target_type, row.target_id) {
        (Some(sort), Some(id)) => Some(Clean::from(format!("{sort} {id}"))),
        (sort, id) => id.or(sort),
    };
    AuditEntry {
        at: read.unwrap_or(near),
        by: row.username,
        action: row.action,
        target,
        result: row.status,
        details: (!details.is_empty()).then(|| Clean::line(&details.join(" · "))),
        from: row.ip_address,
    }
}

/// Details in one line: `name value · name value`.
fn said(details: &Value) -> String {
    match details {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) if map.len() == 1 && map.contains_key("message") => said(&map["message"]),
        Value::Object(map) => {
            let parts: Vec<String> =
                map.iter().map(|(name, value)| format!("{name} {}", said(value))).collect();
            parts.join(" · ")
        }
        Value::Array(items) => items.iter().map(said).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What a dry run of the clean-up counted.
pub fn foreseen(dry: &DryRun) -> Clean {
    let rows = if dry.would_delete_count == 1 { "row" } else { "rows" };
    Clean::from(format!(
        "would delete {} audit {rows} older than {} (retention {} days)",
        dry.would_delete_count, dry.cutoff_date, dry.retention_days
    ))
}

/// What a collection brought.
pub fn collected(answer: Collected) -> Option<Clean> {
    let Some(stats) = answer.stats else { return answer.message };
    let flag = if stats.errors > 0 { ": see its audit log" } else { "" };
    let server = answer.server_name.map(|name| format!(" from {name}")).unwrap_or_default();
    Some(Clean::from(format!(
        "{} new backup logs{server}, {} known, {} not read{flag}",
        stats.processed, stats.skipped, stats.errors
    )))
}

/// What of the application log follows line `from`; offsets are whole lines
/// here, since it gives no bytes.
pub fn log_after(log: &ApplicationLog, from: u64) -> LogChunk {
    // What follows the last line break is a line that is not written out yet.
    let mut lines: Vec<&str> = log.logs.split('\n').collect();
    lines.pop();
    let whole = log.line_count.saturating_sub(1);
    // Fewer than were shown: another file has taken its place.
    let new = if whole < from { whole } else { whole - from };
    let given = usize::try_from(new).unwrap_or(usize::MAX).min(lines.len());
    let lost = new - given as u64;
    let each = log.file_size.checked_div(whole).unwrap_or(0);
    let mut text = lines[lines.len() - given..].join("\n");
    if given > 0 {
        text.push('\n');
    }
    LogChunk {
        text: Clean::text(&text),
        next_offset: whole,
        // So many bytes as its lines have on average. At the beginning nothing is missed.
        dropped_bytes: if from == 0 { 0 } else { lost.saturating_mul(each) },
        complete: false,
    }
}

/// A cron text without runs of blanks.
pub fn tidy(cron: &str) -> String {
    cron.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// When the overdue check should have run again, at the latest, after `last`.
pub fn check_due(schedule: &Schedule, last: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let plan = Plan::new(schedule).ok()?;
    let slot = plan.next(last)?;
    let (start, lateness) = windows(&Policy::default(), plan.interval(slot));
    Some(slot + start + lateness)
}

/// Why a verb is none for a backup job.
pub const fn lacks(verb: Verb) -> &'static str {
    match verb {
        Verb::Trigger => "duplistatus can't start a backup: Duplicati does, on the server",
        Verb::Pause | Verb::Resume => {
            "duplistatus can't stop a backup job: Duplicati schedules it, on the server"
        }
        Verb::Retry => "duplistatus can't repeat a backup: Duplicati does, on the server",
        Verb::Cancel => "duplistatus can't stop a backup: Duplicati does, on the server",
        other => super::super::convert::lacks(other),
    }
}
