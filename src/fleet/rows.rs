//! The rows that console and commands read.

use chrono::{DateTime, Utc};

use crate::model::{
    Alert, Capabilities, Clean, EndpointName, EndpointSpec, Evidence, Health, Labels, Priority, Queue,
    Receipt, Run, Task, TaskKey, TaskState,
};

/// A failed poll, as the runtime reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `down` or `unauthorised`.
    pub health: Health,
    /// Why, in one line.
    pub reason: Clean,
    /// Which try in a row this was, from 1.
    pub tries: u32,
    /// When the next one is due.
    pub next_try: DateTime<Utc>,
}

/// One task of the whole fleet, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its identity.
    pub key: TaskKey,
    /// What its endpoint last told.
    pub task: Task,
    /// Its own labels over those of its endpoint.
    pub labels: Labels,
    /// The state that is shown: the system's word, or vigie's judgement.
    pub state: TaskState,
    /// How well that is known.
    pub evidence: Evidence,
    /// Since when the state holds, where known.
    pub since: Option<DateTime<Utc>>,
    /// The earliest unsatisfied slot: in the past while due, late or absent.
    pub next_due: Option<DateTime<Utc>>,
    /// The slot that lateness counts from, while late or absent (fresh evidence).
    pub late_since: Option<DateTime<Utc>>,
    /// It would be late since then, but the evidence does not cover it: shown as "unverified".
    pub unverified_late_since: Option<DateTime<Utc>>,
    /// The state is vigie's own finding, against its system's word: that system
    /// judges lateness itself, but has evidently stopped to (see [`Task::judged_within_s`]).
    pub own_finding: bool,
    /// Why its schedule can't be read, if it can't: nothing is late by it then.
    pub schedule_error: Option<Clean>,
    /// Receipts of intents on it that are not final, or ended moments ago; newest last.
    pub receipts: Vec<Receipt>,
}

impl TaskRow {
    /// The team that owns it: as told, else by the label `team`.
    #[must_use]
    pub fn team(&self) -> Option<&Clean> {
        self.task.team.as_ref().or_else(|| self.labels.get("team"))
    }

    /// Where it runs: as told, else by the label `machine`.
    #[must_use]
    pub fn machine(&self) -> Option<&Clean> {
        self.task.machine.as_ref().or_else(|| self.labels.get("machine"))
    }

    /// The instant that lateness counts from, verified or not.
    #[must_use]
    pub fn late_from(&self) -> Option<DateTime<Utc>> {
        self.late_since.or(self.unverified_late_since)
    }

    /// When its newest run ended, as far as its system dates it.
    #[must_use]
    pub fn last_ended(&self) -> Option<DateTime<Utc>> {
        self.task.last_run.as_ref().and_then(|run| run.ended)
    }

    /// Whether vigie judged its state, by the rules or against its system's word.
    #[must_use]
    pub const fn is_judged_here(&self) -> bool {
        self.own_finding || (self.task.state.is_none() && self.task.facts.is_some() && !self.task.archived)
    }

    /// Whether a schedule should be starting it.
    #[must_use]
    pub const fn is_scheduled(&self) -> bool {
        self.task.schedule.is_some() && !self.task.paused && !self.task.archived
    }
}

/// What is known of an endpoint as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// As configured.
    pub spec: EndpointSpec,
    /// Where it is, once known.
    pub url: Option<String>,
    /// Its health.
    pub health: Health,
    /// How well what it told is known: what its rows carry.
    pub evidence: Evidence,
    /// When the last good poll had arrived.
    pub last_ok: Option<DateTime<Utc>>,
    /// How long the last good poll took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The failure that it is in, if it is.
    pub failure: Option<Failure>,
    /// Since when it is in its health.
    pub since: DateTime<Utc>,
    /// Its clock minus ours, in milliseconds, where it tells its time: the
    /// smallest difference that its answer allows, so 0 while the answer fits our clock.
    pub skew_ms: Option<i64>,
    /// A part that can't be read.
    pub degraded: Option<Clean>,
    /// Its version, where it tells.
    pub version: Option<Clean>,
    /// What an operator should know of it, each one line: scopes, a budget, a session's end.
    pub remarks: Vec<Clean>,
    /// What may be asked of it as a whole.
    pub capabilities: Capabilities,
    /// How many tasks it has.
    pub tasks: usize,
    /// Receipts of intents on it as a whole, as in [`TaskRow::receipts`].
    pub receipts: Vec<Receipt>,
}

impl EndpointRow {
    /// Latency as it is shown, an upper bound in milliseconds in steps of 1, 2
    /// and 5: a screen at rest must not flicker with every poll.
    #[must_use]
    pub fn latency_step(&self) -> Option<u64> {
        self.latency_ms.map(latency_step)
    }
}

/// The smallest of 10, 20, 50, 100, … that is above `ms`.
fn latency_step(ms: u64) -> u64 {
    let mut decade: u64 = 10;
    loop {
        for step in [decade, decade.saturating_mul(2), decade.saturating_mul(5)] {
            if ms < step || step == u64::MAX {
                return step;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// What a row that is about a task carries of it, so that it can be grouped and filtered like it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskContext {
    /// The task's team.
    pub team: Option<Clean>,
    /// Where the task runs.
    pub machine: Option<Clean>,
    /// The task's labels over those of its endpoint.
    pub labels: Labels,
    /// The task's priority.
    pub priority: Option<Priority>,
}

impl TaskContext {
    /// Of the task in `row`.
    #[must_use]
    pub fn of(row: &TaskRow) -> Self {
        Self {
            team: row.team().cloned(),
            machine: row.machine().cloned(),
            labels: Labels::clone(&row.labels),
            priority: row.task.priority,
        }
    }

    /// Of an endpoint as a whole: its labels are all there is.
    #[must_use]
    pub fn of_endpoint(row: &EndpointRow) -> Self {
        Self {
            team: row.spec.labels.get("team").cloned(),
            machine: row.spec.labels.get("machine").cloned(),
            labels: Labels::clone(&row.spec.labels),
            priority: None,
        }
    }
}

/// An open alert with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// The endpoint that it is of.
    pub endpoint: EndpointName,
    /// The alert.
    pub alert: Alert,
    /// How well it is known.
    pub evidence: Evidence,
    /// The name of the task that it is about, while that is known.
    pub task_name: Option<Clean>,
    /// What it is about.
    pub task: TaskContext,
}

impl AlertRow {
    /// The task that it is about, if it is about one.
    #[must_use]
    pub fn key(&self) -> Option<TaskKey> {
        self.alert.task.as_ref().map(|task| TaskKey::new(&self.endpoint, task))
    }

    /// Whether it is silenced or snoozed at `now`: it doesn't count then.
    #[must_use]
    pub fn is_silenced(&self, now: DateTime<Utc>) -> bool {
        self.alert.silenced_until.is_some_and(|until| until > now)
    }
}

/// A queue with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// The endpoint that it is of.
    pub endpoint: EndpointName,
    /// The queue.
    pub queue: Queue,
    /// How well it is known.
    pub evidence: Evidence,
}

/// A run with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The endpoint that it is of.
    pub endpoint: EndpointName,
    /// The task's name, for display.
    pub task_name: Clean,
    /// The run.
    pub run: Run,
    /// What it is a run of.
    pub task: TaskContext,
}

impl RunRow {
    /// The task that it is a run of.
    #[must_use]
    pub fn key(&self) -> TaskKey {
        TaskKey::new(&self.endpoint, &self.run.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_moves_in_steps() {
        for (ms, step) in [(0, 10), (9, 10), (10, 20), (20, 50), (49, 50), (99, 100), (1_999, 2_000)] {
            assert_eq!(latency_step(ms), step, "{ms}");
        }
        assert_eq!(latency_step(u64::MAX), u64::MAX);
    }
}
