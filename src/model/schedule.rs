//! A schedule as told, and the facts and limits that lateness is judged by.
//! The rules themselves are in [`crate::schedule`].

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Clean, RunId};

words! {
    /// How a cron text is read.
    Dialect {
        /// 0 or 7 = Sunday; day-of-month OR day-of-week when both are restricted.
        Unix = "unix",
        /// 1 = Sunday; day-of-month AND day-of-week.
        Quartz = "quartz",
    }
}

/// What repeats a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// A cron text in a dialect.
    Cron {
        /// 5, 6 (seconds first) or 7 (and year last) fields, or `@daily` and friends.
        expression: Clean,
        /// How it is read.
        dialect: Dialect,
    },
    /// A fixed distance, counted from midnight UTC of 1970-01-01, in seconds; at least 1.
    Every {
        /// The distance in seconds.
        seconds: u32,
    },
}

/// When a task should run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// What repeats it.
    #[serde(flatten)]
    pub timing: Timing,
    /// The IANA zone that a cron text is read in.
    pub zone: Clean,
    /// Taken from documented defaults, not told by the system: a lateness that rests on it is a warning.
    #[serde(default)]
    pub assumed: bool,
}

impl Schedule {
    /// The text for a table: the cron text, or `every 10m`.
    #[must_use]
    pub fn text(&self) -> Clean {
        match &self.timing {
            Timing::Cron { expression, .. } => expression.clone(),
            Timing::Every { seconds } => {
                Clean::from(format!("every {}", super::duration_text(u64::from(*seconds))))
            }
        }
    }
}

words! {
    /// A day of the week.
    Weekday {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
}

/// A time of the day at which a task does not start by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blackout {
    /// When it begins, in minutes since midnight; below 1440.
    pub from_min: u16,
    /// When it is over, in minutes since midnight, at most 1440; at or before
    /// the beginning: on the next day.
    pub to_min: u16,
    /// The days on which it begins; none: every day.
    pub days: Vec<Weekday>,
    /// The IANA zone of its times.
    pub zone: Clean,
}

/// Lateness windows, limits and thresholds of a task. Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Policy {
    /// How long after its slot a start is in time.
    pub start_window_s: u32,
    /// How long after the start window it is late; then absent.
    pub lateness_window_s: u32,
    /// How long a run may take.
    pub max_runtime_s: Option<u32>,
    /// How long after a heartbeat the next one may come; `None`: 30 s from the first beat on.
    pub heartbeat_timeout_s: Option<u32>,
    /// The shortest time between two starts that is not too often.
    pub min_gap_s: Option<u32>,
    /// So many bad runs in a row are failing.
    pub failure_threshold: u32,
    /// So many good runs in a row are healthy again.
    pub recovery_threshold: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            start_window_s: 120,
            lateness_window_s: 240,
            max_runtime_s: None,
            heartbeat_timeout_s: None,
            min_gap_s: None,
            failure_threshold: 1,
            recovery_threshold: 1,
        }
    }
}

impl Policy {
    /// The heartbeat timeout once a run has sent a beat.
    pub const HEARTBEAT_TIMEOUT: TimeDelta = TimeDelta::seconds(30);
}

/// What is known of a task's past and present: server facts only, never "when we last polled".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// Slots before this instant don't count: when the task came to be, was
    /// resumed, or since when the system has a memory. `None`: nothing is
    /// known of the past, so nothing can be late yet.
    pub since: Option<DateTime<Utc>>,
    /// Since when it is seen to be scheduled, where the system has no history
    /// of it yet (duplistatus after a restart): healthy until its first slot
    /// after that has gone by, then unknown, but never late.
    #[serde(default)]
    pub scheduled_since: Option<DateTime<Utc>>,
    /// The latest slot that was dealt with: run, skipped or missed on purpose.
    pub satisfied: Option<DateTime<Utc>>,
    /// When the newest run started.
    pub last_start: Option<DateTime<Utc>>,
    /// The start before that one.
    pub previous_start: Option<DateTime<Utc>>,
    /// When the newest ended run ended, as far as the system dates it.
    pub last_end: Option<DateTime<Utc>>,
    /// Bad runs in a row, newest first counted; 0 when the newest was good or there is none.
    pub bad_streak: u32,
    /// Good runs in a row since the last bad one.
    pub good_streak: u32,
    /// Whether the task was failing before the good streak began.
    pub was_failing: bool,
    /// When it came to be failing: the end of the bad run that reached the
    /// threshold, where known.
    #[serde(default)]
    pub failing_since: Option<DateTime<Utc>>,
    /// The newest failure has no date (duplistatus dates only successes):
    /// failing, and lateness is not computed.
    pub undated_failure: bool,
    /// Runs in progress.
    pub running: Vec<RunningFact>,
    /// Since when the oldest pending run waits, and for which slot.
    pub queued: Option<QueuedFact>,
}

/// A run in progress, as far as lateness needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningFact {
    /// Its id, where the system gives one.
    pub id: Option<RunId>,
    /// When it started.
    pub started: DateTime<Utc>,
    /// Its newest heartbeat; `None`: never sent one.
    pub last_beat: Option<DateTime<Utc>>,
}

/// A pending run, as far as lateness needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueuedFact {
    /// Since when it waits.
    pub since: DateTime<Utc>,
    /// The slot that it answers, if any.
    pub slot: Option<DateTime<Utc>>,
}
