//! Commands that read: `status`, `tasks`, `runs`, `queues`, `alerts`, `endpoints`.
//! `status` ends as a Nagios plugin does: 0 ok, 1 warning, 2 critical,
//! 3 unknown (an endpoint could not be read). The others end with 0, or with 3
//! where an endpoint could not be read, and say so on standard error.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backend::RunsQuery;
use crate::console::format;
use crate::fleet::{self, EndpointRow, Filter, Fleet, RunRow, TaskRow, Worst};
use crate::model::{Clean, EndpointName, Health, Priority, Schedule};

use super::args::{Format, Global, ReadOptions};
use super::output::{self, Align};
use super::report::{
    AlertReport, EndpointReport, QueueReport, RunReport, StatusReport, TaskReport, VERSION, stamp,
};
use super::session::{self, Session, Step};
use super::{Exit, Failure, complain, print};

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Tasks.
    Tasks,
    /// Runs.
    Runs,
    /// Queues.
    Queues,
    /// Open alerts.
    Alerts,
    /// Endpoints.
    Endpoints,
}

/// `vigie status`
///
/// # Errors
/// Usage or configuration.
pub async fn status(global: &Global, options: &ReadOptions) -> Result<Exit, Failure> {
    let filter = filter(options)?;
    let mut session = open(global, options)?;
    session.settle(options.timeout).await;
    let now = session::now();
    let fleet = &session.fleet;
    let worst = worst(fleet, &filter, now);
    let text = match options.output {
        Format::Json => output::json(&StatusReport {
            version: VERSION,
            at: stamp(now),
            worst: worst.word(),
            endpoints: fleet.endpoints().map(EndpointReport::from).collect(),
            tasks: tasks(fleet, &filter, now).into_iter().map(|row| TaskReport::new(row, now)).collect(),
            queues: queues(fleet, &filter, now),
            alerts: alerts(fleet, &filter, now),
        })?,
        Format::Csv => csv(
            tasks(fleet, &filter, now).into_iter().map(|row| TaskReport::new(row, now)),
            TaskReport::sample,
        )?,
        Format::Table => status_text(fleet, &filter, worst, now),
    };
    print(&text);
    session.close().await;
    Ok(Exit(worst.exit_code()))
}

/// `vigie tasks|runs|queues|alerts|endpoints`
///
/// # Errors
/// Usage or configuration.
pub async fn list(global: &Global, what: What, options: &ReadOptions) -> Result<Exit, Failure> {
    let filter = filter(options)?;
    let mut session = open(global, options)?;
    session.settle(options.timeout).await;
    if what == What::Runs {
        let wait = fetch_runs(&mut session, options.limit);
        let _ = tokio::time::timeout(options.timeout, wait).await;
    }
    let now = session::now();
    let fleet = &session.fleet;
    let text = match what {
        What::Tasks => {
            let rows = tasks(fleet, &filter, now);
            match options.output {
                Format::Table => task_table(&rows, now),
                form => form_of(
                    "tasks",
                    rows.into_iter().map(|row| TaskReport::new(row, now)),
                    TaskReport::sample,
                    form,
                    now,
                )?,
            }
        }
        What::Runs => {
            let mut rows = fleet.runs(usize::MAX);
            rows.retain(|row| filter.matches_run(row, now));
            rows.truncate(options.limit);
            match options.output {
                Format::Table => run_table(&rows, now),
                form => form_of("runs", rows.iter().map(RunReport::from), RunReport::default, form, now)?,
            }
        }
        What::Queues => match options.output {
            Format::Table => queue_table(fleet, &filter, now),
            form => {
                form_of("queues", queues(fleet, &filter, now).into_iter(), QueueReport::default, form, now)?
            }
        },
        What::Alerts => match options.output {
            Format::Table => alert_table(fleet, &filter, now),
            form => {
                form_of("alerts", alerts(fleet, &filter, now).into_iter(), AlertReport::default, form, now)?
            }
        },
        What::Endpoints => {
            let rows: Vec<&EndpointRow> =
                fleet.endpoints().filter(|row| filter.matches_endpoint(row, now)).collect();
            match options.output {
                Format::Table => endpoint_table(&rows, now),
                form => form_of(
                    "endpoints",
                    rows.into_iter().map(EndpointReport::from),
                    EndpointReport::default,
                    form,
                    now,
                )?,
            }
        }
    };
    print(&text);
    let exit = unread(fleet, what != What::Endpoints);
    session.close().await;
    Ok(exit)
}

/// Names the endpoints that could not be read.
fn unread(fleet: &Fleet, tell: bool) -> Exit {
    let mut exit = Exit::OK;
    for row in fleet.endpoints().filter(|row| !matches!(row.health, Health::Up | Health::Degraded)) {
        exit = Exit::UNKNOWN;
        if tell {
            complain(&format!("{} could not be read: {}", row.spec.name, why(row)));
        }
    }
    exit
}

fn why(row: &EndpointRow) -> Clean {
    row.failure.as_ref().map_or_else(|| "no answer in time".into(), |failure| failure.reason.clone())
}

fn open(global: &Global, options: &ReadOptions) -> Result<Session, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let specs = session::select(&settings, &options.endpoint, Exit::USAGE)?;
    Session::open(&paths, specs, true)
}

fn filter(options: &ReadOptions) -> Result<Filter, Failure> {
    Filter::parse(options.filter.as_deref().unwrap_or_default())
        .map_err(|error| Failure::usage(format!("--filter: {error}")))
}

fn worst(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> Worst {
    let alerts = fleet.alerts();
    fleet::worst(fleet.endpoints(), alerts.iter().filter(|row| filter.matches_alert(row, now)), now)
}

fn tasks<'a>(fleet: &'a Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<&'a TaskRow> {
    fleet.tasks().filter(|row| filter.matches(row, now)).collect()
}

fn queues(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<QueueReport> {
    let rows = fleet.queues();
    rows.iter().filter(|row| filter.matches_queue(row, now)).map(|row| QueueReport::new(row, now)).collect()
}

fn alerts(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<AlertReport> {
    let rows = fleet.alerts();
    rows.iter().filter(|row| filter.matches_alert(row, now)).map(AlertReport::from).collect()
}

/// Asks every endpoint for its newest runs; those that keep none say so, and
/// what their tasks tell of runs stands.
async fn fetch_runs(session: &mut Session, limit: usize) {
    let mut waiting: Vec<EndpointName> = session
        .fleet
        .endpoints()
        .filter(|row| matches!(row.health, Health::Up | Health::Degraded))
        .map(|row| row.spec.name.clone())
        .collect();
    for endpoint in &waiting {
        session.handle().fetch_runs(endpoint.clone(), RunsQuery { task: None, limit });
    }
    while !waiting.is_empty() {
        match session.step().await {
            Step::Runs(endpoint, result) => {
                waiting.retain(|name| *name != endpoint);
                if let Ok(runs) = result {
                    session.fleet.learn_runs(&endpoint, runs, session::now());
                }
            }
            Step::Ended => return,
            _ => {}
        }
    }
}

/// JSON or CSV of one list.
fn form_of<T: Serialize>(
    name: &str,
    rows: impl Iterator<Item = T>,
    sample: impl Fn() -> T,
    form: Format,
    now: DateTime<Utc>,
) -> Result<String, Failure> {
    if form == Format::Csv {
        return csv(rows, sample);
    }
    let rows: Vec<T> = rows.collect();
    let rows = serde_json::to_value(&rows).map_err(|error| Failure::refused(error.to_string()))?;
    let mut report = serde_json::Map::new();
    report.insert("version".to_owned(), VERSION.into());
    report.insert("at".to_owned(), stamp(now).into());
    report.insert(name.to_owned(), rows);
    output::json(&report)
}

fn csv<T: Serialize>(rows: impl Iterator<Item = T>, sample: impl Fn() -> T) -> Result<String, Failure> {
    output::csv(&rows.collect::<Vec<T>>(), &sample())
}

fn status_text(fleet: &Fleet, filter: &Filter, worst: Worst, now: DateTime<Utc>) -> String {
    let rows = tasks(fleet, filter, now);
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
    let open = alert_rows(fleet, filter, now);
    if !open.is_empty() {
        text.push('\n');
        text.push_str(&output::table(ALERT_COLUMNS, &open));
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&task_table(&rows, now));
    }
    text
}

fn task_table(rows: &[&TaskRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &[(&str, Align)] = &[
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
    let dash = || "–".to_owned();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let task = &row.task;
            let last = task.last_run.as_ref();
            let next = row.late_since.or(row.next_due).map_or_else(dash, |due| format::due(now, due));
            vec![
                row.state.to_string(),
                row.key.endpoint.to_string(),
                task.name.to_string(),
                task.schedule.as_ref().map(Schedule::text).map_or_else(dash, |text| text.to_string()),
                last.and_then(|run| run.ended).map_or_else(dash, |ended| format::ago(now, ended)),
                last.and_then(|run| run.duration_ms).map_or_else(dash, format::duration),
                if task.paused { dash() } else { next },
                task.priority.map_or_else(dash, |priority: Priority| priority.to_string()),
                if task.retry.max == 0 {
                    dash()
                } else {
                    format!("{}/{}", task.retry.attempt, task.retry.max)
                },
                row.evidence.to_string(),
            ]
        })
        .collect();
    output::table(COLUMNS, &cells)
}

fn run_table(rows: &[RunRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &[(&str, Align)] = &[
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
    let dash = || "–".to_owned();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|RunRow { endpoint, run, .. }| {
            vec![
                run.state.to_string(),
                endpoint.to_string(),
                run.task.to_string(),
                run.id.as_ref().map_or_else(dash, ToString::to_string),
                run.started.map_or_else(dash, |at| format::ago(now, at)),
                run.ended.map_or_else(dash, |at| format::ago(now, at)),
                run.duration_ms.map_or_else(dash, format::duration),
                run.exit_code.map_or_else(dash, |code| code.to_string()),
                run.message.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        })
        .collect();
    output::table(COLUMNS, &cells)
}

fn queue_table(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> String {
    const COLUMNS: &[(&str, Align)] = &[
        ("ENDPOINT", Align::Left),
        ("QUEUE", Align::Left),
        ("DEPTH", Align::Right),
        ("1", Align::Right),
        ("2", Align::Right),
        ("3", Align::Right),
        ("4", Align::Right),
        ("5", Align::Right),
        ("RUNNING", Align::Right),
        ("OLDEST", Align::Right),
    ];
    let rows: Vec<Vec<String>> = fleet
        .queues()
        .iter()
        .filter(|row| filter.matches_queue(row, now))
        .map(|row| {
            let queue = &row.queue;
            let mut cells = vec![row.endpoint.to_string(), queue.name.to_string(), queue.depth.to_string()];
            for priority in Priority::all() {
                cells.push(
                    queue
                        .by_priority
                        .map_or_else(|| "–".to_owned(), |depths| depths[priority.index()].to_string()),
                );
            }
            cells.push(queue.running.to_string());
            cells.push(queue.oldest_pending.map_or_else(|| "–".to_owned(), |since| format::age(now, since)));
            cells
        })
        .collect();
    output::table(COLUMNS, &rows)
}

const ALERT_COLUMNS: &[(&str, Align)] = &[
    ("SEVERITY", Align::Left),
    ("KIND", Align::Left),
    ("ENDPOINT", Align::Left),
    ("TASK", Align::Left),
    ("SINCE", Align::Right),
    ("SUMMARY", Align::Left),
];

fn alert_rows(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<Vec<String>> {
    fleet
        .alerts()
        .iter()
        .filter(|row| filter.matches_alert(row, now))
        .map(|row| {
            let alert = &row.alert;
            vec![
                alert.severity.to_string(),
                alert.kind.to_string(),
                row.endpoint.to_string(),
                alert.task.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
                format::ago(now, alert.since),
                alert.summary.to_string(),
            ]
        })
        .collect()
}

fn alert_table(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> String {
    let rows = alert_rows(fleet, filter, now);
    if rows.is_empty() { "no open alerts\n".to_owned() } else { output::table(ALERT_COLUMNS, &rows) }
}

fn endpoint_table(rows: &[&EndpointRow], now: DateTime<Utc>) -> String {
    const COLUMNS: &[(&str, Align)] = &[
        ("HEALTH", Align::Left),
        ("ENDPOINT", Align::Left),
        ("KIND", Align::Left),
        ("URL", Align::Left),
        ("TASKS", Align::Right),
        ("LATENCY", Align::Right),
        ("LAST OK", Align::Right),
        ("ERROR", Align::Left),
    ];
    let dash = || "–".to_owned();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let error = row.failure.as_ref().map(|failure| failure.reason.to_string());
            vec![
                row.health.to_string(),
                row.spec.name.to_string(),
                row.spec.kind.to_string(),
                row.url.clone().or_else(|| row.spec.url.clone()).unwrap_or_else(dash),
                row.tasks.to_string(),
                row.latency_ms.map_or_else(dash, format::duration),
                row.last_ok.map_or_else(dash, |at| format::ago(now, at)),
                error.or_else(|| row.degraded.as_ref().map(ToString::to_string)).unwrap_or_default(),
            ]
        })
        .collect();
    output::table(COLUMNS, &cells)
}
