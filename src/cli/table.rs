//! Tables for people: what the reading commands print without `-o`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::console::format;
use crate::fleet::{AlertRow, EndpointRow, Fleet, QueueRow, RunRow, TaskRow, Worst};
use crate::model::{AuditEntry, Clean, EndpointName, Health, Priority, Schedule, TaskId};

use crate::wire::TokenInfo;

use super::output::{self, Align};
use super::read::why;
use super::report::stamp;

type Columns = [(&'static str, Align)];

const NOTHING: &str = "–";

/// `value` as `show` has it, or a dash.
fn or_dash<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

/// A table, or a word that there is nothing to show.
fn table(columns: &Columns, rows: &[Vec<String>], nothing: &str) -> String {
    if rows.is_empty() { format!("{nothing}\n") } else { output::table(columns, rows) }
}

/// The whole in a line, what is amiss, and the tasks.
pub fn status(
    fleet: &Fleet,
    worst: Worst,
    rows: &[&TaskRow],
    open: &[AlertRow],
    now: DateTime<Utc>,
) -> String {
    let up = fleet.endpoints().filter(|row| matches!(row.health, Health::Up | Health::Degraded)).count();
    let mut text = format!(
        "{}: {}, {up}/{} endpoints up\n",
        worst.word().to_uppercase(),
        format::count(rows.len(), "task"),
        fleet.endpoints().count()
    );
    for row in fleet.endpoints().filter(|row| !matches!(row.health, Health::Up)) {
        let reason = row.degraded.clone().unwrap_or_else(|| why(row));
        let _ = writeln!(text, "  {} {}: {reason}", row.spec.name, row.health);
    }
    if !open.is_empty() {
        text.push('\n');
        text.push_str(&alerts(open, now));
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&tasks(rows, now));
    }
    text
}

/// The names of tasks in one table: what people know them by.
struct Names<'a>(BTreeMap<(&'a EndpointName, &'a str), BTreeSet<&'a TaskId>>);

impl<'a> Names<'a> {
    fn of(rows: impl Iterator<Item = (&'a EndpointName, &'a TaskId, &'a str)>) -> Self {
        let mut names: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (endpoint, task, name) in rows {
            names.entry((endpoint, name)).or_default().insert(task);
        }
        Self(names)
    }

    /// The name; with the id, which is what a command takes, where another task here has the same.
    fn shown(&self, endpoint: &EndpointName, task: &TaskId, name: &str) -> String {
        let unique = self.0.get(&(endpoint, name)).is_none_or(|tasks| tasks.len() == 1);
        if unique { name.to_owned() } else { format!("{name} ({task})") }
    }
}

/// Tasks. A name that is not unique at its endpoint is followed by the id, which is what a command takes.
pub fn tasks(rows: &[&TaskRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &Columns = &[
        ("STATE", Align::Left),
        ("ENDPOINT", Align::Left),
        ("TASK", Align::Left),
        ("SCHEDULE", Align::Left),
        ("LAST", Align::Right),
        ("TOOK", Align::Right),
        ("NEXT", Align::Right),
        ("P", Align::Right),
        ("TRY", Align::Right),
        ("EVIDENCE", Align::Left),
    ];
    let names = Names::of(rows.iter().map(|row| (&row.key.endpoint, &row.key.task, row.task.name.as_str())));
    let cells = |row: &&TaskRow| {
        let task = &row.task;
        let last = task.last_run.as_ref();
        let next = row.late_since.or(row.next_due).filter(|_| !task.paused);
        vec![
            row.state.to_string(),
            row.key.endpoint.to_string(),
            names.shown(&row.key.endpoint, &row.key.task, row.task.name.as_str()),
            or_dash(task.schedule.as_ref().map(Schedule::text), |text| text.to_string()),
            or_dash(last.and_then(|run| run.ended), |ended| format::ago(now, ended)),
            or_dash(last.and_then(|run| run.duration_ms), format::duration),
            or_dash(next, |due| format::due(now, due)),
            or_dash(task.priority, |priority| priority.to_string()),
            or_dash((task.retry.max > 0).then_some(task.retry.attempt), |attempt| {
                format!("{attempt}/{}", task.retry.max)
            }),
            row.evidence.to_string(),
        ]
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no tasks")
}

/// Runs.
pub fn runs(rows: &[RunRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &Columns = &[
        ("STATE", Align::Left),
        ("ENDPOINT", Align::Left),
        ("TASK", Align::Left),
        ("RUN", Align::Left),
        ("STARTED", Align::Left),
        ("ENDED", Align::Left),
        ("TOOK", Align::Right),
        ("EXIT", Align::Right),
        ("MESSAGE", Align::Left),
    ];
    let names = Names::of(rows.iter().map(|row| (&row.endpoint, &row.run.task, row.task_name.as_str())));
    let cells = |RunRow { endpoint, run, task_name, .. }: &RunRow| {
        vec![
            run.state.to_string(),
            endpoint.to_string(),
            names.shown(endpoint, &run.task, task_name.as_str()),
            or_dash(run.id.as_ref(), ToString::to_string),
            or_dash(run.started, |at| format::ago(now, at)),
            or_dash(run.ended, |at| format::ago(now, at)),
            or_dash(run.duration_ms, format::duration),
            or_dash(run.exit_code, |code| code.to_string()),
            run.message.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no runs")
}

/// Queues.
pub fn queues(rows: &[QueueRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &Columns = &[
        ("ENDPOINT", Align::Left),
        ("QUEUE", Align::Left),
        ("DEPTH", Align::Right),
        ("P1", Align::Right),
        ("P2", Align::Right),
        ("P3", Align::Right),
        ("P4", Align::Right),
        ("P5", Align::Right),
        ("RUNNING", Align::Right),
        ("STALE", Align::Right),
        ("OLDEST", Align::Right),
    ];
    let cells = |row: &QueueRow| {
        let queue = &row.queue;
        let mut cells = vec![row.endpoint.to_string(), queue.name.to_string(), queue.depth.to_string()];
        for priority in Priority::all() {
            cells.push(or_dash(queue.by_priority, |depths| depths[priority.index()].to_string()));
        }
        cells.push(queue.running.to_string());
        cells.push(queue.stale.to_string());
        cells.push(or_dash(queue.oldest_pending, |since| format::age(now, since)));
        cells
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no queues")
}

/// What an alert says, after who has it and until when it is quiet.
fn handled(row: &AlertRow, now: DateTime<Utc>) -> String {
    let alert = &row.alert;
    let snoozed = alert.handling.as_deref().is_some_and(|handling| handling.snoozed);
    let word = if snoozed { "snoozed" } else { "silenced" };
    let taken = alert.acknowledged_by.as_ref().map(|who| format!("taken by {who}"));
    let quiet = alert.silenced_until.filter(|_| row.is_silenced(now));
    let quiet = quiet.map(|until| format!("{word} until {}", until.format("%Y-%m-%d %H:%M UTC")));
    let said = Some(alert.summary.to_string()).filter(|summary| !summary.is_empty());
    [taken, quiet, said].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Open alerts.
pub fn alerts(rows: &[AlertRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &Columns = &[
        ("SEVERITY", Align::Left),
        ("KIND", Align::Left),
        ("ENDPOINT", Align::Left),
        ("TASK", Align::Left),
        ("SINCE", Align::Right),
        ("SUMMARY", Align::Left),
    ];
    let names =
        Names::of(rows.iter().filter_map(|row| {
            Some((&row.endpoint, row.alert.task.as_ref()?, row.task_name.as_ref()?.as_str()))
        }));
    let about = |row: &AlertRow| match (&row.alert.task, &row.task_name, &row.alert.queue) {
        (Some(task), Some(name), _) => names.shown(&row.endpoint, task, name.as_str()),
        (Some(task), None, _) => task.to_string(),
        (None, _, Some(queue)) => format!("queue {queue}"),
        (None, _, None) => NOTHING.to_owned(),
    };
    let cells = |row: &AlertRow| {
        let alert = &row.alert;
        vec![
            alert.severity.to_string(),
            alert.kind.to_string(),
            row.endpoint.to_string(),
            about(row),
            format::ago(now, alert.since),
            handled(row, now),
        ]
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no open alerts")
}

/// Endpoints.
pub fn endpoints(rows: &[&EndpointRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &Columns = &[
        ("HEALTH", Align::Left),
        ("ENDPOINT", Align::Left),
        ("KIND", Align::Left),
        ("URL", Align::Left),
        ("TASKS", Align::Right),
        ("LATENCY", Align::Right),
        ("LAST OK", Align::Right),
        ("ERROR", Align::Left),
    ];
    let cells = |row: &&EndpointRow| {
        let error = row.failure.as_ref().map(|failure| &failure.reason).or(row.degraded.as_ref());
        vec![
            row.health.to_string(),
            row.spec.name.to_string(),
            row.spec.kind.to_string(),
            or_dash(row.url.as_ref().or(row.spec.url.as_ref()), Clone::clone),
            row.tasks.to_string(),
            or_dash(row.latency_ms, format::duration),
            or_dash(row.last_ok, |at| format::ago(now, at)),
            error.map(ToString::to_string).unwrap_or_default(),
        ]
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no endpoints")
}

/// Lines of audit logs.
pub fn audit(rows: &[(EndpointName, AuditEntry)]) -> String {
    const COLUMNS: &Columns = &[
        ("AT", Align::Left),
        ("ENDPOINT", Align::Left),
        ("BY", Align::Left),
        ("ACTION", Align::Left),
        ("TARGET", Align::Left),
        ("RESULT", Align::Left),
        ("DETAILS", Align::Left),
        ("FROM", Align::Left),
    ];
    let text = |text: Option<&Clean>| or_dash(text, ToString::to_string);
    let cells = |(endpoint, entry): &(EndpointName, AuditEntry)| {
        vec![
            stamp(entry.at),
            endpoint.to_string(),
            text(entry.by.as_ref()),
            entry.action.to_string(),
            text(entry.target.as_ref()),
            text(entry.result.as_ref()),
            text(entry.details.as_ref()),
            text(entry.from.as_ref()),
        ]
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no lines in any audit log")
}

/// Tokens.
pub fn tokens(rows: &[TokenInfo], now: DateTime<Utc>) -> String {
    const COLUMNS: &Columns = &[
        ("NAME", Align::Left),
        ("ROLE", Align::Left),
        ("TEAMS", Align::Left),
        ("STATE", Align::Left),
        ("CREATED", Align::Left),
        ("EXPIRES", Align::Left),
        ("LAST USED", Align::Right),
    ];
    let state = |row: &TokenInfo| match row {
        TokenInfo { revoked: Some(_), .. } => "revoked",
        TokenInfo { expires: Some(at), .. } if *at <= now => "expired",
        TokenInfo { replaced: Some(_), .. } => "replaced",
        _ => "good",
    };
    let cells = |row: &TokenInfo| {
        let teams = row.teams.as_ref().map(|teams| teams.iter().map(String::as_str).collect::<Vec<_>>());
        vec![
            row.name.to_string(),
            row.role.to_string(),
            teams.map_or_else(|| "all".to_owned(), |teams| Clean::from(teams.join(", ")).to_string()),
            state(row).to_owned(),
            stamp(row.created),
            or_dash(row.expires, stamp),
            or_dash(row.last_used, |at| format::ago(now, at)),
        ]
    };
    table(COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), "no tokens: only this machine's own may call")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_two_tasks_of_one_endpoint_have_is_followed_by_the_id() {
        let (duck, queue): (EndpointName, EndpointName) = ("duck".into(), "queue".into());
        let (one, two): (TaskId, TaskId) = ("1".into(), "2".into());
        let rows =
            [(&duck, &one, "dump"), (&duck, &two, "dump"), (&queue, &one, "dump"), (&duck, &one, "dump")];
        let names = Names::of(rows.into_iter());
        assert_eq!(names.shown(&duck, &two, "dump"), "dump (2)");
        assert_eq!(names.shown(&queue, &one, "dump"), "dump", "another endpoint's is another");
        let twice = Names::of([(&duck, &one, "dump"), (&duck, &one, "dump")].into_iter());
        assert_eq!(twice.shown(&duck, &one, "dump"), "dump", "two runs of one task");
    }
}
