//! `vigie audit [list]`: the audit logs that endpoints keep themselves. Exit
//! codes: 0 read, 2 usage or configuration, 3 where a log could not be read.
//! An endpoint that keeps none is passed over, unless it was asked for by name.

pub mod args;
mod own;

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::model::{AuditEntry, Clean, EndpointName, Health};

use super::args::{Format, Global};
use super::read::{Form, why};
use super::report::stamp;
use super::session::{self, Session, Step};
use super::{Exit, Failure, complain, print, table};

use args::AuditOptions;

pub use own::{export, verify};

/// A line, as the JSON has it.
#[derive(Debug, Default, Serialize)]
struct AuditReport {
    endpoint: String,
    at: String,
    by: Option<Clean>,
    action: String,
    target: Option<Clean>,
    result: Option<Clean>,
    details: Option<Clean>,
    from: Option<Clean>,
}

/// Runs it.
///
/// # Errors
/// Usage or configuration.
pub async fn list(global: &Global, options: &AuditOptions) -> Result<Exit, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let specs = session::select(&settings, &options.endpoint, Exit::USAGE)?;
    let started = session::now();
    let mut session = Session::open(&paths, specs, true)?;
    session.settle(options.timeout).await;
    let spent = (session::now() - started).to_std().unwrap_or_default();
    let left = options.timeout.saturating_sub(spent);
    let Collected { mut lines, unread } = collect(&mut session, options, left).await;
    // Newest first over all endpoints.
    lines.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.at));
    lines.truncate(options.limit);
    let now = session::now();
    let text = match options.output {
        Format::Table => Ok(table::audit(&lines)),
        of => Form { of, now }.write("audit", lines.iter().map(report), &AuditReport::default()),
    };
    let printed = text.and_then(|text| print(&text));
    session.close().await;
    printed?;
    complain(&unread);
    Ok(if unread.is_empty() { Exit::OK } else { Exit::UNKNOWN })
}

fn report((endpoint, entry): &(EndpointName, AuditEntry)) -> AuditReport {
    AuditReport {
        endpoint: endpoint.to_string(),
        at: stamp(entry.at),
        by: entry.by.clone(),
        action: entry.action.to_string(),
        target: entry.target.clone(),
        result: entry.result.clone(),
        details: entry.details.clone(),
        from: entry.from.clone(),
    }
}

/// What could be read, and a line for each endpoint that could not.
struct Collected {
    lines: Vec<(EndpointName, AuditEntry)>,
    unread: String,
}

/// Asks every endpoint that can be read; what came in time counts.
async fn collect(session: &mut Session, options: &AuditOptions, left: Duration) -> Collected {
    let mut collected = Collected { lines: Vec::new(), unread: String::new() };
    let mut waiting = Vec::new();
    for row in session.fleet.endpoints() {
        let name = row.spec.name.clone();
        if matches!(row.health, Health::Up | Health::Degraded) {
            session.handle().fetch_audit(name.clone(), options.limit);
            waiting.push(name);
        } else {
            collected.miss(&name, &why(row));
        }
    }
    let work = async {
        while !waiting.is_empty() {
            match session.step().await {
                Step::Audit { endpoint, result, kept } => {
                    waiting.retain(|name| *name != endpoint);
                    match result {
                        Ok(lines) => {
                            collected.lines.extend(lines.into_iter().map(|line| (endpoint.clone(), line)));
                        }
                        Err(_) if !kept && options.endpoint.is_empty() => {}
                        Err(reason) => collected.miss(&endpoint, &reason),
                    }
                }
                Step::Ended => return,
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(left, work).await;
    for name in &waiting {
        collected.miss(name, &"no answer in time".into());
    }
    collected
}

impl Collected {
    fn miss(&mut self, endpoint: &EndpointName, reason: &Clean) {
        let _ = writeln!(self.unread, "the audit log of {endpoint} could not be read: {reason}");
    }
}
