//! What one answer of an endpoint proves.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Alert, AlertKey, Clean, Queue, QueueName, Run, RunId, Task, TaskId};

/// What a part of a snapshot is authoritative for. Something missing from an
/// answer is gone only inside complete coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Everything that the endpoint has of this sort: what is missing is gone.
    Complete,
    /// Only what is listed, and what is said to be gone: a delta, a page, a
    /// filter, a truncated body. What is missing is as it was.
    Listed,
}

/// One sort of thing within a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T, Id> {
    /// What `items` is complete for.
    pub coverage: Coverage,
    /// Things as they are now.
    pub items: Vec<T>,
    /// Said to be gone, by the endpoint; empty in complete coverage.
    pub gone: Vec<Id>,
}

impl<T, Id> Part<T, Id> {
    /// All that there is.
    #[must_use]
    pub const fn complete(items: Vec<T>) -> Self {
        Self { coverage: Coverage::Complete, items, gone: Vec::new() }
    }

    /// Some of what there is, and some that is gone.
    #[must_use]
    pub const fn listed(items: Vec<T>, gone: Vec<Id>) -> Self {
        Self { coverage: Coverage::Listed, items, gone }
    }

    /// Nothing said: everything is as it was.
    #[must_use]
    pub const fn nothing() -> Self {
        Self::listed(Vec::new(), Vec::new())
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.coverage == Coverage::Listed && self.items.is_empty() && self.gone.is_empty()
    }

    /// Folds a later part into this earlier one, so that applying the result
    /// is applying both.
    fn absorb(&mut self, newer: Self, id: impl Fn(&T) -> Id)
    where
        Id: Eq + Hash,
    {
        if newer.coverage == Coverage::Complete {
            *self = newer;
            return;
        }
        let replaced: HashSet<Id> = newer.items.iter().map(&id).collect();
        let gone: HashSet<&Id> = newer.gone.iter().collect();
        self.items.retain(|item| {
            let id = id(item);
            !replaced.contains(&id) && !gone.contains(&id)
        });
        self.gone.retain(|id| !replaced.contains(id));
        self.items.extend(newer.items);
        if self.coverage == Coverage::Listed {
            self.gone.extend(newer.gone);
        }
    }
}

/// One answer of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When the answer had arrived, by our clock.
    pub at: DateTime<Utc>,
    /// The endpoint's own clock, where it tells (`Date` header or body).
    pub server_time: Option<DateTime<Utc>>,
    /// How long the request took, in milliseconds.
    pub latency_ms: u64,
    /// Tasks.
    pub tasks: Part<Task, TaskId>,
    /// Runs that are newly known or have changed; history beyond is fetched on demand.
    pub runs: Part<Run, RunId>,
    /// Queues.
    pub queues: Part<Queue, QueueName>,
    /// Alerts that the system itself raises.
    pub alerts: Part<Alert, AlertKey>,
    /// A part that could not be read, and why.
    pub degraded: Option<Clean>,
    /// The endpoint's version, where it tells.
    pub version: Option<Clean>,
    /// What an operator should know of the endpoint, each one line: scopes, a budget, a session's end.
    pub remarks: Vec<Clean>,
    /// The pause before the next poll where that has to be longer than the
    /// endpoint's cadence: a budget of requests is nearly spent. A poll that was
    /// put off for that bears the time of the last answer, and its rows grow old.
    pub next_poll: Option<Duration>,
}

impl Snapshot {
    /// An answer that changes nothing but the age of what is known (304).
    #[must_use]
    pub const fn unchanged(at: DateTime<Utc>, latency_ms: u64) -> Self {
        Self {
            at,
            server_time: None,
            latency_ms,
            tasks: Part::nothing(),
            runs: Part::nothing(),
            queues: Part::nothing(),
            alerts: Part::nothing(),
            degraded: None,
            version: None,
            remarks: Vec::new(),
            next_poll: None,
        }
    }

    /// Folds a later answer of the same endpoint into this one that nobody has
    /// taken yet: the slot per endpoint holds one, and loses nothing.
    pub fn absorb(&mut self, newer: Self) {
        // Its clock has gone on as ours has.
        let went_on = newer.at - self.at;
        let server_time = self.server_time.and_then(|then| then.checked_add_signed(went_on));
        self.server_time = newer.server_time.or(server_time);
        if newer.at != self.at {
            self.next_poll = newer.next_poll;
        }
        self.at = newer.at;
        self.latency_ms = newer.latency_ms;
        self.degraded = newer.degraded;
        self.remarks = newer.remarks;
        self.version = newer.version.or_else(|| self.version.take());
        self.keep_runs_of_replaced(&newer.tasks);
        self.tasks.absorb(newer.tasks, |task| task.id.clone());
        self.queues.absorb(newer.queues, |queue| queue.name.clone());
        self.alerts.absorb(newer.alerts, Alert::key);
        // Runs without an id can't be told apart: keep both.
        let (named, bare): (Vec<Run>, Vec<Run>) =
            std::mem::take(&mut self.runs.items).into_iter().partition(|run| run.id.is_some());
        let (newer_named, newer_bare): (Vec<Run>, Vec<Run>) =
            newer.runs.items.into_iter().partition(|run| run.id.is_some());
        self.runs.items = named;
        let newer_runs = Part { coverage: newer.runs.coverage, items: newer_named, gone: newer.runs.gone };
        let complete = newer_runs.coverage == Coverage::Complete;
        self.runs.absorb(newer_runs, |run| run.id.clone().unwrap_or_else(|| RunId::new("")));
        if !complete {
            self.runs.items.extend(bare);
        }
        self.runs.items.extend(newer_bare);
    }
    /// The newest run of a task that `newer` tells another one of would be lost with the task's older form.
    fn keep_runs_of_replaced(&mut self, newer: &Part<Task, TaskId>) {
        let newer: HashMap<&TaskId, &Task> = newer.items.iter().map(|task| (&task.id, task)).collect();
        let known: HashSet<&RunId> = self.runs.items.iter().filter_map(|run| run.id.as_ref()).collect();
        let lost: Vec<Run> = self
            .tasks
            .items
            .iter()
            .filter_map(|task| Some((task.last_run.as_ref()?, newer.get(&task.id)?)))
            .filter(|(run, newer)| newer.last_run.as_ref() != Some(run))
            .filter(|(run, _)| run.id.as_ref().is_none_or(|id| !known.contains(id)))
            .map(|(run, _)| run.clone())
            .collect();
        self.runs.items.extend(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Capabilities, RunState};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_768_899_600 + seconds, 0).unwrap()
    }

    fn task(last_run: &str) -> Task {
        let run = Run { id: Some(last_run.into()), ..Run::bare("t".into(), RunState::Succeeded) };
        let capabilities = Capabilities::by(|_| None);
        serde_json::from_value(serde_json::json!({
            "id": "t", "name": "t", "last_run": run, "actions": capabilities,
        }))
        .unwrap()
    }

    #[test]
    fn the_server_clock_goes_on_between_two_answers() {
        let mut folded = Snapshot { server_time: Some(at(100)), ..Snapshot::unchanged(at(0), 1) };
        folded.absorb(Snapshot::unchanged(at(40), 1));
        assert_eq!((folded.at, folded.server_time), (at(40), Some(at(140))));
        folded.absorb(Snapshot { server_time: Some(at(50)), ..Snapshot::unchanged(at(50), 1) });
        assert_eq!(folded.server_time, Some(at(50)));
    }

    #[test]
    fn a_run_that_was_the_newest_for_a_moment_is_not_lost() {
        let answer =
            |run| Snapshot { tasks: Part::listed(vec![task(run)], vec![]), ..Snapshot::unchanged(at(0), 1) };
        let mut folded = answer("r1");
        folded.absorb(answer("r2"));
        folded.absorb(answer("r2"));
        folded.absorb(answer("r3"));
        let runs: Vec<&str> =
            folded.runs.items.iter().filter_map(|run| run.id.as_ref()).map(RunId::as_raw).collect();
        assert_eq!(runs, ["r1", "r2"]);
        assert_eq!(folded.tasks.items.len(), 1);
    }
}
