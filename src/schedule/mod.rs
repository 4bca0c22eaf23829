//! When something should run, and whether it is late: pure functions over
//! facts and `now`, used by the coordinator and by the fleet.
//!
//! Owns cron dialects, intervals and zones (→ slots), and the rules of
//! lateness. No I/O, no clock. May import: `model`.
//!
//! A cron text becomes sets of wall-clock fields (`cron`, by the crates that
//! know the dialects), a walk over them finds matching wall-clock times
//! (`wall`), and one rule for every dialect makes instants of those (`dst`).
//! [`Plan`] is what comes of it; [`assess`] judges a task by it. [`Blackouts`] are
//! the times at which a task does not start by itself.

mod blackout;
mod cron;
mod dst;
mod lateness;
mod plan;
mod wall;
mod windows;
mod zone;

pub use blackout::Blackouts;
pub use lateness::{Assessment, Problem, assess};
pub use plan::{Plan, validate};
pub use windows::{answered, satisfied, windows};
pub use zone::check as check_zone;

use crate::model::Clean;

/// A schedule that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSchedule(pub Clean);

impl From<String> for BadSchedule {
    fn from(message: String) -> Self {
        Self(Clean::from(message))
    }
}

#[cfg(test)]
mod tests;
