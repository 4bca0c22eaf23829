//! When something should run, and whether it is late: pure functions over
//! facts and `now`, used by the coordinator and by the fleet.
//!
//! Owns cron dialects, intervals and zones (→ slots), and the rules of
//! lateness. No I/O, no clock. May import: `model`.

use chrono::{DateTime, Utc};

use crate::model::{AlertKind, Clean, Facts, Policy, Schedule, TaskState};

/// A schedule that has been read: gives slots.
#[derive(Debug, Clone)]
pub struct Plan {}

/// A schedule that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSchedule(pub Clean);

impl Plan {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`BadSchedule`] with what is wrong: the field, its value, what it takes; an unknown zone with the nearest name.
    pub fn new(schedule: &Schedule) -> Result<Self, BadSchedule> {
        todo!()
    }
    /// The first slot strictly after `after`; `None`: never again.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        todo!()
    }
    /// The last slot at or before `at`.
    pub fn previous(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        todo!()
    }
    /// Slots in `(after, until]`, at most `limit` of them, oldest first.
    pub fn slots_between(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Vec<DateTime<Utc>> {
        todo!()
    }
}

/// What the rules say of a task now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// Its state, by precedence.
    pub state: TaskState,
    /// When it came into it, by computed time, where the facts tell.
    pub since: Option<DateTime<Utc>>,
    /// The earliest unsatisfied slot: in the past while due, late or absent.
    pub next_due: Option<DateTime<Utc>>,
    /// The slot that lateness counts from, while late or absent.
    pub late_since: Option<DateTime<Utc>>,
    /// Open problems; an assumed schedule makes its lateness a warning and says so.
    pub problems: Vec<Problem>,
    /// When the answer will be another without any new fact; `None`: never.
    pub next_change: Option<DateTime<Utc>>,
}

/// One open problem of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: AlertKind,
    /// Since when, by computed time.
    pub since: DateTime<Utc>,
    /// One line for the operator.
    pub summary: Clean,
    /// It rests on an assumed schedule: a warning, whatever the kind.
    pub assumed: bool,
}

/// Judges a task by the rules. `plan` is the read form of its schedule, `None` without one.
#[must_use]
pub fn assess(
    facts: &Facts,
    plan: Option<&Plan>,
    assumed: bool,
    policy: &Policy,
    paused: bool,
    now: DateTime<Utc>,
) -> Assessment {
    todo!()
}
