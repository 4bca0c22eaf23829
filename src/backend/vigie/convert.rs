//! From the native envelopes to snapshots. Pure.
//!
//! What travels is the model's own form already, so all that is left to do is
//! coverage, and what a newer coordinator may say that we can't read.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::{Clean, Coverage, Part, Run, RunId, Snapshot, Task};
use crate::wire::{Changes, Tasks};

/// A full answer: tasks, queues and alerts are all that there are.
pub fn full(answer: Tasks, base: Snapshot) -> (Snapshot, String) {
    let snapshot = Snapshot {
        server_time: Some(answer.now),
        tasks: Part::complete(answer.tasks),
        runs: Part::listed(answer.runs, Vec::new()),
        queues: Part::complete(answer.queues),
        alerts: Part::complete(answer.alerts),
        ..base
    };
    (snapshot, answer.cursor)
}

/// What changed, and what is gone.
pub fn delta(answer: Changes, base: Snapshot) -> (Snapshot, String) {
    let snapshot = Snapshot {
        server_time: Some(answer.now),
        tasks: Part::listed(answer.tasks, answer.gone),
        runs: Part::listed(answer.runs, Vec::new()),
        queues: Part::listed(answer.queues, answer.queues_gone),
        alerts: Part::listed(answer.alerts, answer.alerts_gone),
        ..base
    };
    (snapshot, answer.cursor)
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
}

/// Reads a full answer item by item, for the case that a newer coordinator
/// says something of one that we don't know. What can't be read is left out,
/// so its part is complete for nothing. `None` if not even the envelope can be read.
pub fn rough(body: &[u8], base: Snapshot) -> Option<(Snapshot, String)> {
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
        degraded: (!unread.is_empty()).then(|| Clean::from(unread.join("; "))),
        ..base
    };
    Some((snapshot, rough.cursor))
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
