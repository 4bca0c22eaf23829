//! How the fleet is, in a word and in counts.

use std::fmt;

use chrono::{DateTime, Utc};

use super::rows::{AlertRow, EndpointRow, TaskRow};
use crate::model::{Evidence, Health, Severity, TaskState};

/// How bad it is, all in all; ordered, the worst last.
///
/// Agrees with the exit codes of Nagios plugins: what can't be read is above all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Worst {
    /// Nothing to look at.
    #[default]
    Ok,
    /// Something to look at.
    Warning,
    /// Something to act on.
    Critical,
    /// An endpoint can't be read: nobody knows.
    Unknown,
}

impl Worst {
    /// Its word, as in JSON: `ok`, `warning`, `critical` or `unknown`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// The exit code, 0 to 3.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The worst of what was asked for. An endpoint that can't be read, or was not
/// read in time, makes it unknown; a part of one that can't be read makes it
/// at least a warning; silenced and snoozed alerts don't count, acknowledged
/// ones do.
#[must_use]
pub fn worst<'a>(
    endpoints: impl IntoIterator<Item = &'a EndpointRow>,
    alerts: impl IntoIterator<Item = &'a AlertRow>,
    now: DateTime<Utc>,
) -> Worst {
    let of_endpoints = endpoints.into_iter().map(|row| match (row.health, row.evidence) {
        (Health::Connecting | Health::Down | Health::Unauthorised, _)
        | (_, Evidence::Unknown | Evidence::Stale) => Worst::Unknown,
        (Health::Degraded, _) => Worst::Warning,
        (Health::Up, _) => Worst::Ok,
    });
    let open = alerts.into_iter().filter(|row| !row.is_silenced(now));
    let of_alerts = open.map(|row| match row.alert.severity {
        Severity::Critical => Worst::Critical,
        Severity::Warning => Worst::Warning,
        Severity::Info => Worst::Ok,
    });
    of_endpoints.chain(of_alerts).max().unwrap_or_default()
}

/// How many tasks there are of which sort; kept up to date as rows change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub tasks: usize,
    /// Those whose evidence is not fresh.
    pub not_fresh: usize,
    /// Those that would be late, on evidence that does not cover it.
    pub unverified: usize,
    /// Those that a schedule should be starting.
    pub scheduled: usize,
    /// Those among them that are absent.
    pub scheduled_absent: usize,
    states: [usize; TaskState::ALL.len()],
    fresh: [usize; TaskState::ALL.len()],
}

impl Counts {
    /// How many are shown in `state`.
    #[must_use]
    pub const fn of(&self, state: TaskState) -> usize {
        self.states[state as usize]
    }

    /// How many of those are known to be so now.
    #[must_use]
    pub const fn fresh(&self, state: TaskState) -> usize {
        self.fresh[state as usize]
    }

    pub(super) fn add(&mut self, class: Class) {
        self.tasks += 1;
        self.states[class.state as usize] += 1;
        self.fresh[class.state as usize] += usize::from(!class.not_fresh);
        self.not_fresh += usize::from(class.not_fresh);
        self.unverified += usize::from(class.unverified);
        self.scheduled += usize::from(class.scheduled);
        self.scheduled_absent += usize::from(class.scheduled && class.state == TaskState::Absent);
    }

    pub(super) fn remove(&mut self, class: Class) {
        self.tasks -= 1;
        self.states[class.state as usize] -= 1;
        self.fresh[class.state as usize] -= usize::from(!class.not_fresh);
        self.not_fresh -= usize::from(class.not_fresh);
        self.unverified -= usize::from(class.unverified);
        self.scheduled -= usize::from(class.scheduled);
        self.scheduled_absent -= usize::from(class.scheduled && class.state == TaskState::Absent);
    }

    pub(super) fn move_between(&mut self, before: Class, after: Class) {
        if before != after {
            self.remove(before);
            self.add(after);
        }
    }

    /// Both together.
    pub(super) fn sum(mut self, other: &Self) -> Self {
        self.tasks += other.tasks;
        self.not_fresh += other.not_fresh;
        self.unverified += other.unverified;
        self.scheduled += other.scheduled;
        self.scheduled_absent += other.scheduled_absent;
        let counts = self.states.iter_mut().chain(&mut self.fresh);
        for (sum, count) in counts.zip(other.states.into_iter().chain(other.fresh)) {
            *sum += count;
        }
        self
    }
}

/// What [`Counts`] need of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    state: TaskState,
    not_fresh: bool,
    unverified: bool,
    scheduled: bool,
}

impl Class {
    pub fn of(row: &TaskRow) -> Self {
        Self {
            state: row.state,
            not_fresh: row.evidence != Evidence::Fresh,
            unverified: row.unverified_late_since.is_some(),
            scheduled: row.is_scheduled(),
        }
    }
}
