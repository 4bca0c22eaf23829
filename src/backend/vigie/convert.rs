//! From the native envelopes to snapshots. Pure.
//!
//! What travels is the model's own form already, so all that is left to do is
//! coverage, and what a newer coordinator may say that we can't read.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{Cursor, Polled};
use crate::model::{AuditEntry, Clean, Coverage, Part, Run, RunId, Snapshot, Task};
use crate::wire::{AuditRow, Changes, Tasks};

/// What an answer tells.
#[derive(Debug)]
pub struct Told {
    snapshot: Snapshot,
    cursor: String,
    /// What is wrong with the tasks file: nothing of the answer, but somebody must know.
    file_problems: Vec<Clean>,
}

impl Told {
    /// With what could not be read, in this answer or an earlier one.
    pub fn polled(self, unread: Option<&Clean>) -> Polled {
        let file = self.file_problems.iter().map(|problem| format!("tasks file: {problem}"));
        let problems: Vec<String> = file.chain(unread.map(ToString::to_string)).collect();
        let degraded = (!problems.is_empty()).then(|| Clean::from(problems.join("; ")));
        Polled { snapshot: Snapshot { degraded, ..self.snapshot }, cursor: Some(Cursor(self.cursor)) }
    }
}

/// A full answer: tasks, queues and alerts are all that there are.
pub fn full(answer: Tasks, base: Snapshot) -> Told {
    let snapshot = Snapshot {
        server_time: Some(answer.now),
        tasks: Part::complete(answer.tasks),
        runs: Part::listed(answer.runs, Vec::new()),
        queues: Part::complete(answer.queues),
        alerts: Part::complete(answer.alerts),
        ..base
    };
    Told { snapshot, cursor: answer.cursor, file_problems: answer.file_problems }
}

/// What changed, and what is gone.
pub fn delta(answer: Changes, base: Snapshot) -> Told {
    let snapshot = Snapshot {
        server_time: Some(answer.now),
        tasks: Part::listed(answer.tasks, answer.gone),
        runs: Part::listed(answer.runs, Vec::new()),
        queues: Part::listed(answer.queues, answer.queues_gone),
        alerts: Part::listed(answer.alerts, answer.alerts_gone),
        ..base
    };
    Told { snapshot, cursor: answer.cursor, file_problems: answer.file_problems }
}

/// A full answer of which some items can't be read: what was left out, in words.
#[derive(Deserialize)]
struct Rough {
    cursor: String,
    now: chrono::DateTime<chrono::Utc>,
    tasks: Vec<Value>,
    queues: Vec<Value>,
    alerts: Vec<Value>,
    runs: Vec<Value>,
    #[serde(default)]
    file_problems: Vec<Clean>,
}

/// Reads a full answer item by item, for the case that a newer coordinator
/// says something of one that we don't know. What can't be read is left out,
/// so its part is complete for nothing; it is told beside. `None` if not even the envelope can be read.
pub fn rough(body: &[u8], base: Snapshot) -> Option<(Told, Option<Clean>)> {
    let rough: Rough = serde_json::from_slice(body).ok()?;
    let mut unread = Vec::new();
    let tasks = items::<Task, _>(rough.tasks, "tasks", &mut unread);
    let queues = items(rough.queues, "queues", &mut unread);
    let alerts = items(rough.alerts, "alerts", &mut unread);
    let runs: Part<Run, RunId> = items(rough.runs, "runs", &mut unread);
    let snapshot = Snapshot {
        server_time: Some(rough.now),
        tasks,
        queues,
        alerts,
        runs: Part::listed(runs.items, Vec::new()),
        ..base
    };
    let told = Told { snapshot, cursor: rough.cursor, file_problems: rough.file_problems };
    Some((told, (!unread.is_empty()).then(|| Clean::from(unread.join("; ")))))
}

fn items<T: DeserializeOwned, Id>(values: Vec<Value>, what: &str, unread: &mut Vec<String>) -> Part<T, Id> {
    let total = values.len();
    let mut first = None;
    let mut read = Vec::with_capacity(total);
    for value in values {
        match serde_json::from_value(value) {
            Ok(item) => read.push(item),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    let Some(error) = first else { return Part::complete(read) };
    unread.push(format!("{} of {total} {what} can't be read ({error})", total - read.len()));
    Part { coverage: Coverage::Listed, items: read, gone: Vec::new() }
}

/// A row of its audit log.
pub fn audit(row: AuditRow) -> AuditEntry {
    let said = |text: Clean| (!text.is_empty()).then_some(text);
    AuditEntry {
        at: row.at,
        by: said(row.by),
        action: row.action,
        target: said(row.target),
        result: said(row.result),
        details: said(row.details),
        from: said(row.from),
    }
}
