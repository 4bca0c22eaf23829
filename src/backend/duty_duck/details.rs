//! What is fetched of what is looked at: runs, logs, traces.

use std::collections::HashSet;

use serde_json::Value;

use super::DutyDuck;
use super::client::List;
use super::convert::{self, instant};
use super::incidents;
use super::poll::ONGOING;
use super::reasons::Sort;
use super::rights::Scope;
use super::wire::{self, LastWins};
use crate::backend::{BackendError, LogChunk, RunsQuery};
use crate::model::{Clean, Event, LogOf, Run, RunId, TaskId, Trace};

/// The most log lines that one request may ask for.
const LINES: u64 = 500;
/// So many incidents of a task are told with their events.
const INCIDENTS: usize = 5;
/// So many pages of an incident's events are read.
const EVENT_PAGES: u32 = 10;

/// The newest that are closed.
const RESOLVED: List<'_> = List {
    scope: Scope::ReadIncidents,
    segments: &["incidents"],
    params: &[("status", "resolved"), ("orderBy", "createdAt"), ("orderDirection", "desc")],
    filtered: true,
    most: 50,
};

impl DutyDuck {
    /// Runs of one task; without one, those that polls told.
    pub(super) async fn read_runs_of(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        let Some(task) = &query.task else { return Ok(self.memory().all_runs(query.limit)) };
        if self.memory().thing(task).is_some_and(|thing| thing.sort == Sort::Monitor) {
            return Err(BackendError::Unsupported("Duty Duck tells no list of a monitor's checks".into()));
        }
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let list = List {
            scope: Scope::ReadTaskRuns,
            segments: &["tasks", task.as_raw(), "runs"],
            params: &[],
            filtered: false,
            most: query.limit,
        };
        let read = self.client.pages::<wire::Run>(&list, &self.client.patience()).await;
        let read = self.noted(list.scope, read)?;
        let runs: Vec<Run> =
            read.items.into_iter().take(query.limit).map(|run| convert::run(task, run)).collect();
        self.memory().looked(task, &runs);
        Ok(runs)
    }

    /// A piece of a run's log; the offset counts its lines.
    pub(super) async fn read_log(&self, of: &LogOf, offset: u64) -> Result<LogChunk, BackendError> {
        let LogOf::Run { task, run } = of else {
            return Err(BackendError::Unsupported("Duty Duck keeps logs of runs, none of its own".into()));
        };
        let segments = ["tasks", task.as_raw(), "runs", run.as_raw(), "logs"];
        let (limit, from) = (LINES.to_string(), offset.to_string());
        let sent = self.client.send(Scope::ReadTaskRuns, |http| {
            http.get(&segments).query("limit", &limit).query("offset", &from)
        });
        let logs: wire::Logs = match self.noted(Scope::ReadTaskRuns, sent.await) {
            Ok(answer) => answer.json()?,
            // Without logs there is no such path; without the run there is none either.
            Err(BackendError::NotFound(said)) => {
                self.read_run(task, run).await?;
                // Its own 404 is empty, and stands here as the status' name.
                let said = if said == "Not Found" { String::new() } else { format!(" ({said})") };
                return Err(BackendError::Unsupported(Clean::from(format!(
                    "this Duty Duck keeps no logs of runs: versions after February 2025 do{said}"
                ))));
            }
            Err(error) => return Err(error),
        };
        let count = logs.logs.len() as u64;
        let next_offset = offset.saturating_add(count);
        let at_the_end = count < LINES && logs.total_number_of_logs.is_none_or(|total| next_offset >= total);
        let complete = at_the_end && {
            let run = self.read_run(task, run).await?;
            convert::run_state(&run).is_ended()
        };
        let text: String = logs.logs.iter().map(line).collect();
        Ok(LogChunk { text: Clean::text(&text), next_offset, dropped_bytes: 0, complete })
    }

    async fn read_run(&self, task: &TaskId, run: &RunId) -> Result<wire::Run, BackendError> {
        let segments = ["tasks", task.as_raw(), "runs", run.as_raw()];
        let sent = self.client.send(Scope::ReadTaskRuns, |http| http.get(&segments)).await;
        Ok(self.noted(Scope::ReadTaskRuns, sent)?.json::<wire::OneRun>()?.task_run)
    }

    /// What is told of one task: its facts, and the events of its open
    /// incidents and of the newest that is closed.
    pub(super) async fn read_trace(&self, task: &TaskId) -> Result<Trace, BackendError> {
        let is_monitor = self.memory().thing(task).is_some_and(|thing| thing.sort == Sort::Monitor);
        let mut trace = Trace::default();
        if is_monitor {
            let segments = ["http-monitors", task.as_raw()];
            let sent = self.client.send(Scope::ReadHttpMonitors, |http| http.get(&segments)).await;
            let one: wire::OneMonitor = self.noted(Scope::ReadHttpMonitors, sent)?.json()?;
            trace.facts = facts_of_monitor(&one.monitor);
        } else {
            let segments = ["tasks", task.as_raw()];
            let sent = self.client.send(Scope::ReadTasks, |http| http.get(&segments)).await;
            let one: wire::OneTask = self.noted(Scope::ReadTasks, sent)?.json()?;
            trace.facts = facts_of_task(&one.task);
        }
        match self.incidents_of(task).await {
            Ok(incidents) => {
                for incident in incidents {
                    trace.facts.push(("incident".into(), about(&incident)));
                    trace.events.extend(self.events_of(&incident.id).await?);
                }
            }
            // The facts are of use without them.
            Err(BackendError::Forbidden(why)) => trace.facts.push(("incidents".into(), why)),
            Err(error) => return Err(error),
        }
        trace.events.sort_by_key(|event| std::cmp::Reverse(event.at));
        Ok(trace)
    }

    /// Its open incidents, and the newest that is closed.
    async fn incidents_of(&self, task: &TaskId) -> Result<Vec<wire::Incident>, BackendError> {
        let mut found = Vec::new();
        for list in [&ONGOING, &RESOLVED] {
            let read = self.client.pages::<LastWins<wire::Incident>>(list, &self.client.patience()).await;
            let read = self.noted(list.scope, read)?;
            let memory = self.memory();
            let ours = read.items.into_iter().map(|incident| incident.0);
            let ours = ours.filter(|incident| memory.directory.of(incident).as_ref() == Some(task));
            found.extend(ours.take(if list.most == RESOLVED.most { 1 } else { INCIDENTS - 1 }));
        }
        Ok(found)
    }

    /// Events of an incident: no total is told, so pages are read until one brings nothing new.
    async fn events_of(&self, incident: &str) -> Result<Vec<Event>, BackendError> {
        let segments = ["incidents", incident, "events"];
        let (mut events, mut seen) = (Vec::new(), HashSet::new());
        for number in 1..=EVENT_PAGES {
            let number = number.to_string();
            let sent = self.client.send(Scope::ReadIncidents, |http| {
                http.get(&segments).query("pageNumber", &number).query("itemsPerPage", "50")
            });
            let page: wire::Events = self.noted(Scope::ReadIncidents, sent.await)?.json()?;
            let before = events.len();
            for entry in page.items {
                let event = incidents::event(&entry);
                if seen.insert((event.at, event.what.clone(), event.by.clone(), event.details.clone())) {
                    events.push(event);
                }
            }
            if events.len() == before {
                break;
            }
        }
        Ok(events)
    }
}

/// `07:12:26 ERROR disk full`.
fn line(line: &wire::LogLine) -> String {
    let at = line.timestamp.map(|at| format!("{} ", at.format("%H:%M:%S"))).unwrap_or_default();
    let severity = line.severity_text.as_ref().map(|word| format!("{word} ")).unwrap_or_default();
    let body = match &line.body {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    format!("{at}{severity}{}\n", body.trim_end_matches('\n'))
}

fn about(incident: &wire::Incident) -> Clean {
    let priority = incident.priority.as_ref().map(|word| format!(", {word}")).unwrap_or_default();
    let resolved = incident.resolved_at.map(|at| format!(", resolved {}", instant(at))).unwrap_or_default();
    let taken = incidents::taken_by(incident).map(|by| format!(", acknowledged by {by}")).unwrap_or_default();
    let since = instant(incident.created_at);
    Clean::from(format!("{} since {since}{priority}{resolved}{taken}", incident.status))
}

type Fact = (Clean, Clean);

fn fact(facts: &mut Vec<Fact>, name: &str, value: Option<impl Into<Clean>>) {
    if let Some(value) = value {
        facts.push((Clean::line(name), value.into()));
    }
}

fn facts_of_task(task: &wire::Task) -> Vec<Fact> {
    let mut facts = Vec::new();
    fact(&mut facts, "id", Some(task.id.shown()));
    fact(&mut facts, "user id", task.user_id.clone());
    fact(&mut facts, "status", Some(task.status.clone()));
    fact(&mut facts, "status before", task.previous_status.clone());
    fact(&mut facts, "status since", task.last_status_change_at.map(instant));
    fact(&mut facts, "created", task.created_at.map(instant));
    fact(&mut facts, "next due", task.next_due_at.map(instant));
    let told = [
        (task.email_notification_enabled, "e-mail"),
        (task.push_notification_enabled, "push"),
        (task.sms_notification_enabled, "SMS"),
    ];
    let ways: Vec<&str> = told.iter().filter(|(on, _)| *on == Some(true)).map(|(_, way)| *way).collect();
    let ways = if ways.is_empty() { "none".to_owned() } else { ways.join(", ") };
    fact(&mut facts, "notifications", told.iter().any(|(on, _)| on.is_some()).then_some(ways));
    facts
}

fn facts_of_monitor(monitor: &wire::Monitor) -> Vec<Fact> {
    let mut facts = Vec::new();
    fact(&mut facts, "id", Some(monitor.id.shown()));
    fact(&mut facts, "status", Some(monitor.status.clone()));
    fact(&mut facts, "status since", monitor.last_status_change_at.map(instant));
    fact(&mut facts, "created", monitor.created_at.map(instant));
    fact(&mut facts, "last check", monitor.last_ping_at.map(instant));
    fact(&mut facts, "met", convert::met(monitor.error_kind.as_ref(), monitor.last_http_code));
    fact(&mut facts, "next check", monitor.next_ping_at.map(instant));
    let thresholds = monitor.downtime_confirmation_threshold.zip(monitor.recovery_confirmation_threshold);
    let confirmed =
        thresholds.map(|(down, up)| format!("down after {down} bad checks, up after {up} good ones"));
    fact(&mut facts, "confirmed", confirmed);
    facts
}
