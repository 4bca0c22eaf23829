//! Commands that read: `status`, `tasks`, `runs`, `queues`, `alerts`, `endpoints`.
//! `status` ends as a Nagios plugin does: 0 ok, 1 warning, 2 critical,
//! 3 unknown (an endpoint could not be read). The others end with 0, or with 3
//! where an endpoint could not be read, and say so on standard error.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backend::RunsQuery;
use crate::fleet::{self, AlertRow, EndpointRow, Filter, Fleet, QueueRow, TaskRow};
use crate::model::{Clean, EndpointName, Health};

use super::args::{Format, Global, ReadOptions, RunsOptions};
use super::report::{
    AlertReport, EndpointReport, QueueReport, RunReport, StatusReport, TaskReport, VERSION, stamp,
};
use super::session::{self, Session, Step};
use super::{Exit, Failure, complain, output, print, table};

/// How many of an endpoint's runs are looked through when they are filtered.
const LOOKED_THROUGH: usize = 2_000;

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Tasks.
    Tasks,
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
    let session = read(global, options).await?;
    let now = session::now();
    let fleet = &session.fleet;
    let (tasks, alerts) = (tasks(fleet, &filter, now), alerts(fleet, &filter, now));
    let worst = fleet::worst(fleet.endpoints(), &alerts, now);
    let text = match options.output {
        Format::Json => output::json(&StatusReport {
            version: VERSION,
            at: stamp(now),
            worst: worst.word(),
            endpoints: fleet.endpoints().map(EndpointReport::from).collect(),
            tasks: tasks.into_iter().map(|row| TaskReport::new(row, now)).collect(),
            queues: queues(fleet, &filter, now).iter().map(|row| QueueReport::new(row, now)).collect(),
            alerts: alerts.iter().map(AlertReport::from).collect(),
        }),
        Format::Csv => {
            let rows: Vec<_> = tasks.into_iter().map(|row| TaskReport::new(row, now)).collect();
            output::csv(&rows, &TaskReport::sample())
        }
        Format::Table => Ok(table::status(fleet, worst, &tasks, &alerts, now)),
    };
    finish(session, text, Exit(worst.exit_code())).await
}

/// `vigie tasks|queues|alerts|endpoints`
///
/// # Errors
/// Usage or configuration.
pub async fn list(global: &Global, what: What, options: &ReadOptions) -> Result<Exit, Failure> {
    let filter = filter(options)?;
    let session = read(global, options).await?;
    let now = session::now();
    let fleet = &session.fleet;
    let is_table = options.output == Format::Table;
    let form = Form { of: options.output, now };
    let text = match what {
        What::Tasks => {
            let rows = tasks(fleet, &filter, now);
            if is_table {
                Ok(table::tasks(&rows, now))
            } else {
                form.write("tasks", rows.iter().map(|row| TaskReport::new(row, now)), &TaskReport::sample())
            }
        }
        What::Queues => {
            let rows = queues(fleet, &filter, now);
            if is_table {
                Ok(table::queues(&rows, now))
            } else {
                let reports = rows.iter().map(|row| QueueReport::new(row, now));
                form.write("queues", reports, &QueueReport::default())
            }
        }
        What::Alerts => {
            let rows = alerts(fleet, &filter, now);
            if is_table {
                Ok(table::alerts(&rows, now))
            } else {
                form.write("alerts", rows.iter().map(AlertReport::from), &AlertReport::default())
            }
        }
        What::Endpoints => {
            let rows: Vec<&EndpointRow> =
                fleet.endpoints().filter(|row| filter.matches_endpoint(row, now)).collect();
            if is_table {
                Ok(table::endpoints(&rows, now))
            } else {
                let reports = rows.iter().map(|&row| EndpointReport::from(row));
                form.write("endpoints", reports, &EndpointReport::default())
            }
        }
    };
    let exit = unread(fleet, what != What::Endpoints);
    finish(session, text, exit).await
}

/// `vigie runs`
///
/// # Errors
/// Usage or configuration.
pub async fn runs(global: &Global, options: &RunsOptions) -> Result<Exit, Failure> {
    let filter = filter(&options.read)?;
    let started = session::now();
    let mut session = read(global, &options.read).await?;
    // A filter may be for runs that are older than the newest `limit` of them all.
    let is_filtered = options.read.filter.is_some();
    let wanted = if is_filtered { options.limit.max(LOOKED_THROUGH) } else { options.limit };
    let spent = (session::now() - started).to_std().unwrap_or_default();
    let fetch = fetch_runs(&mut session, wanted);
    // What came in time is printed.
    let _ = tokio::time::timeout(options.read.timeout.saturating_sub(spent), fetch).await;
    let now = session::now();
    let fleet = &session.fleet;
    let mut rows = fleet.runs(usize::MAX);
    rows.retain(|row| filter.matches_run(row, now));
    rows.truncate(options.limit);
    let text = match options.read.output {
        Format::Table => Ok(table::runs(&rows, now)),
        of => Form { of, now }.write("runs", rows.iter().map(RunReport::from), &RunReport::default()),
    };
    let exit = unread(fleet, true);
    finish(session, text, exit).await
}

/// The fleet as its endpoints tell it within the time that there is.
async fn read(global: &Global, options: &ReadOptions) -> Result<Session, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let specs = session::select(&settings, &options.endpoint, Exit::USAGE)?;
    let mut session = Session::open(&paths, specs, true)?;
    session.settle(options.timeout).await;
    Ok(session)
}

/// Prints the answer, and ends what was started for it.
async fn finish(session: Session, text: Result<String, Failure>, exit: Exit) -> Result<Exit, Failure> {
    let printed = text.and_then(|text| print(&text));
    session.close().await;
    printed.map(|()| exit)
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

/// Why an endpoint can't be read.
pub fn why(row: &EndpointRow) -> Clean {
    row.failure.as_ref().map_or_else(|| "no answer in time".into(), |failure| failure.reason.clone())
}

fn filter(options: &ReadOptions) -> Result<Filter, Failure> {
    Filter::parse(options.filter.as_deref().unwrap_or_default())
        .map_err(|error| Failure::usage(format!("--filter: {error}")))
}

fn tasks<'a>(fleet: &'a Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<&'a TaskRow> {
    fleet.tasks().filter(|row| filter.matches(row, now)).collect()
}

fn queues(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<QueueRow> {
    let mut rows = fleet.queues();
    rows.retain(|row| filter.matches_queue(row, now));
    rows
}

fn alerts(fleet: &Fleet, filter: &Filter, now: DateTime<Utc>) -> Vec<AlertRow> {
    let mut rows = fleet.alerts();
    rows.retain(|row| filter.matches_alert(row, now));
    rows
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
pub struct Form {
    /// Which of the two.
    pub of: Format,
    /// When it is made.
    pub now: DateTime<Utc>,
}

impl Form {
    /// `sample` gives the header of a CSV.
    ///
    /// # Errors
    /// Never in practice.
    pub fn write<T: Serialize>(
        &self,
        name: &str,
        rows: impl Iterator<Item = T>,
        sample: &T,
    ) -> Result<String, Failure> {
        let rows: Vec<T> = rows.collect();
        if self.of == Format::Csv {
            return output::csv(&rows, sample);
        }
        let rows = serde_json::to_value(&rows).map_err(|error| Failure::refused(error.to_string()))?;
        let mut report = serde_json::Map::new();
        report.insert("version".to_owned(), VERSION.into());
        report.insert("at".to_owned(), stamp(self.now).into());
        report.insert(name.to_owned(), rows);
        output::json(&report)
    }
}
