//! What changed: collected while it happens, told once as a [`Delta`].

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{EndpointName, Receipt, TaskKey};

/// What changed: enough to update an order, redraw and ring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Rows that are new.
    pub added: Vec<TaskKey>,
    /// Rows whose shown values changed.
    pub changed: Vec<TaskKey>,
    /// Rows that are gone.
    pub gone: Vec<TaskKey>,
    /// Endpoints whose health, latency step or error changed.
    pub endpoints: Vec<EndpointName>,
    /// Whether runs, queues or alerts changed.
    pub runs: bool,
    /// See `runs`.
    pub queues: bool,
    /// See `runs`.
    pub alerts: bool,
    /// Receipts that this moved to `observed`, `failed` or `unknown`.
    pub receipts: Vec<Receipt>,
}

impl Delta {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A [`Delta`] in the making: every row at most once.
#[derive(Debug, Default)]
pub(super) struct Changes {
    added: BTreeSet<TaskKey>,
    changed: BTreeSet<TaskKey>,
    gone: BTreeSet<TaskKey>,
    endpoints: BTreeSet<EndpointName>,
    pub runs: bool,
    pub queues: bool,
    pub alerts: bool,
    pub receipts: Vec<Receipt>,
}

impl Changes {
    pub fn add(&mut self, key: TaskKey) {
        // Gone and back within one step, as after a change of the configuration: its values may differ.
        if self.gone.remove(&key) {
            self.changed.insert(key);
        } else {
            self.added.insert(key);
        }
    }

    pub fn change(&mut self, key: &TaskKey) {
        if !self.added.contains(key) && !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
    }

    pub fn remove(&mut self, key: TaskKey) {
        self.changed.remove(&key);
        if !self.added.remove(&key) {
            self.gone.insert(key);
        }
    }

    pub fn endpoint(&mut self, name: &EndpointName) {
        if !self.endpoints.contains(name) {
            self.endpoints.insert(name.clone());
        }
    }

    pub fn finish(self) -> Delta {
        Delta {
            added: self.added.into_iter().collect(),
            changed: self.changed.into_iter().collect(),
            gone: self.gone.into_iter().collect(),
            endpoints: self.endpoints.into_iter().collect(),
            runs: self.runs,
            queues: self.queues,
            alerts: self.alerts,
            receipts: self.receipts,
        }
    }
}

/// Something that time alone will change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    /// An endpoint's evidence turns stale: always before what is judged by it.
    Evidence(EndpointName),
    /// A silence of an alert that the endpoint told runs out.
    Silence(EndpointName),
    /// A task is judged anew.
    Task(TaskKey),
    /// Receipts leave their rows.
    Receipts,
}

/// What is to be looked at again, and when: nothing else is looked at when time passes.
#[derive(Debug, Default)]
pub(super) struct Agenda(BTreeSet<(DateTime<Utc>, Wake)>);

impl Agenda {
    /// Moves `wake` from `old` to `new`; the caller remembers which.
    pub fn set(
        &mut self,
        wake: impl FnOnce() -> Wake,
        slot: &mut Option<DateTime<Utc>>,
        new: Option<DateTime<Utc>>,
    ) {
        if *slot == new {
            return;
        }
        let wake = wake();
        if let Some(old) = *slot {
            self.0.remove(&(old, wake.clone()));
        }
        if let Some(new) = new {
            self.0.insert((new, wake));
        }
        *slot = new;
    }

    /// The earliest.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes everything that is due, evidence first.
    pub fn take_due(&mut self, now: DateTime<Utc>) -> Vec<Wake> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.0.first() {
            if *at > now {
                break;
            }
            if let Some((_, wake)) = self.0.pop_first() {
                due.push(wake);
            }
        }
        due.sort();
        due
    }
}

/// `at + distance`, at most the last instant there is: remote times may be absurd.
pub(super) fn plus(at: DateTime<Utc>, distance: TimeDelta) -> DateTime<Utc> {
    let edge = if distance < TimeDelta::zero() { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    at.checked_add_signed(distance).unwrap_or(edge)
}

/// A configured duration as a distance in time.
pub(super) fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
