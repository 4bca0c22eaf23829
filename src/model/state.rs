//! States, evidence, priority: the closed sets of words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// The state of a task. Where several hold, the first in [`TaskState::PRECEDENCE`] is shown.
    TaskState {
        /// The last run was good, or the first slot has not come.
        Healthy = "healthy",
        /// The last run failed.
        Failing = "failing",
        /// A run is in progress.
        Running = "running",
        /// A run waits for a place.
        Queued = "queued",
        /// The slot has come, its start window is open.
        Due = "due",
        /// The start window has passed unstarted.
        Late = "late",
        /// The lateness window has passed too, or the next slot has come: it never ran.
        Absent = "absent",
        /// Stopped on purpose.
        Paused = "paused",
        /// Put away.
        Archived = "archived",
        /// There is no fact.
        Unknown = "unknown",
    }
}

impl TaskState {
    /// Which state is shown where several hold.
    pub const PRECEDENCE: [Self; 10] = [
        Self::Archived,
        Self::Paused,
        Self::Running,
        Self::Queued,
        Self::Absent,
        Self::Late,
        Self::Failing,
        Self::Due,
        Self::Healthy,
        Self::Unknown,
    ];

    /// The rank for "worst first" orders: failing, absent, late, then what moves, then what rests.
    #[must_use]
    pub const fn urgency(self) -> u8 {
        match self {
            Self::Failing => 0,
            Self::Absent => 1,
            Self::Late => 2,
            Self::Running => 3,
            Self::Queued => 4,
            Self::Due => 5,
            Self::Unknown => 6,
            Self::Healthy => 7,
            Self::Paused => 8,
            Self::Archived => 9,
        }
    }

    /// Whether somebody should look: failing, late or absent.
    #[must_use]
    pub const fn is_problem(self) -> bool {
        matches!(self, Self::Failing | Self::Late | Self::Absent)
    }
}

words! {
    /// The state of a run.
    RunState {
        /// Waiting for a place, or for the next attempt.
        Queued = "queued",
        /// In progress.
        Running = "running",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended badly.
        Failed = "failed",
        /// Ended on request or by its limit.
        Aborted = "aborted",
        /// Its heartbeat or its supervisor was lost: nobody knows how it ended.
        Dead = "dead",
        /// A slot that was never run.
        Missed = "missed",
    }
}

words! {
    /// What is to be known of a run beside its state.
    RunMark {
        /// It started after its start window.
        StartedLate = "started-late",
        /// It started too soon after the start before.
        TooOften = "too-often",
        /// It did not end within its max runtime.
        Overran = "overran",
        /// It ended, or goes on, without the heartbeat that it had.
        HeartbeatLost = "heartbeat-lost",
    }
}

impl RunMark {
    /// The kind of alert that stands for it.
    #[must_use]
    pub const fn alert(self) -> AlertKind {
        match self {
            Self::StartedLate => AlertKind::Late,
            Self::TooOften => AlertKind::TooOften,
            Self::Overran => AlertKind::Overrun,
            Self::HeartbeatLost => AlertKind::Dead,
        }
    }
}

impl RunState {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Whether it counts as a failure of its task.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Aborted | Self::Dead)
    }
}

words! {
    /// How well a fact is known.
    Evidence {
        /// From the latest poll, on time.
        Fresh = "fresh",
        /// A poll has failed or was missed since.
        Stale = "stale",
        /// Never read, or the gap hides what matters.
        Unknown = "unknown",
        /// The endpoint's clock differs too much for its times to be compared.
        Skewed = "skewed",
    }
}

words! {
    /// The health of an endpoint.
    Health {
        /// No answer yet.
        Connecting = "connecting",
        /// The last poll was good.
        Up = "up",
        /// It answers, but a part can't be read.
        Degraded = "degraded",
        /// The last poll failed.
        Down = "down",
        /// It refuses our credentials.
        Unauthorised = "unauthorised",
    }
}

words! {
    /// How bad an alert is.
    Severity {
        /// Act now.
        Critical = "critical",
        /// Look at it.
        Warning = "warning",
        /// Good to know.
        Info = "info",
    }
}

words! {
    /// What kind of problem an alert is.
    AlertKind {
        /// Did not start in time.
        Late = "late",
        /// Never ran.
        Absent = "absent",
        /// Its last run failed.
        Failed = "failed",
        /// Did not stop as expected.
        Overrun = "overrun",
        /// The heartbeat was lost.
        Dead = "dead",
        /// Failed after the last retry.
        RetriesExhausted = "retries-exhausted",
        /// Ran again before its minimum gap.
        TooOften = "too-often",
        /// Pending runs wait past their lateness window.
        QueueStalled = "queue-stalled",
        /// The endpoint's enabled tasks stopped advancing.
        SchedulerSilent = "scheduler-silent",
        /// The endpoint can't be read.
        EndpointDown = "endpoint-down",
        /// The endpoint's clock differs.
        ClockSkew = "clock-skew",
    }
}

impl AlertKind {
    /// `warning` for late, too-often and clock-skew; `critical` for the rest.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Late | Self::TooOften | Self::ClockSkew => Severity::Warning,
            _ => Severity::Critical,
        }
    }
}

/// 1 (highest) to 5 (lowest), 3 by default. Checked when made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// `level` must be 1 to 5.
    ///
    /// # Errors
    /// [`PriorityOutOfRange`] otherwise.
    pub const fn new(level: u8) -> Result<Self, PriorityOutOfRange> {
        if level >= 1 && level <= 5 { Ok(Self(level)) } else { Err(PriorityOutOfRange(level)) }
    }

    /// 1 to 5.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// 0 to 4, for arrays per priority.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 - 1) as usize
    }

    /// All five, highest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=5).map(Self)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(3)
    }
}

impl TryFrom<u8> for Priority {
    type Error = PriorityOutOfRange;
    fn try_from(level: u8) -> Result<Self, PriorityOutOfRange> {
        Self::new(level)
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Priority {
    type Err = PriorityOutOfRange;
    fn from_str(text: &str) -> Result<Self, PriorityOutOfRange> {
        Self::new(text.parse().unwrap_or(0))
    }
}

/// A priority outside 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a priority is 1 (highest) to 5 (lowest), not {0}")]
pub struct PriorityOutOfRange(pub u8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_agree() {
        for &state in TaskState::ALL {
            assert_eq!(state.word().parse(), Ok(state));
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{state}\""));
            assert!(TaskState::PRECEDENCE.contains(&state));
        }
        for &kind in AlertKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        let error = "lat".parse::<TaskState>().unwrap_err();
        assert!(error.to_string().starts_with("\"lat\" is not one of healthy, failing"), "{error}");
    }

    #[test]
    fn a_priority_is_checked_everywhere() {
        assert!(Priority::new(0).is_err() && Priority::new(6).is_err());
        assert_eq!(serde_json::from_str::<Priority>("1").unwrap().level(), 1);
        let error = serde_json::from_str::<Priority>("9").unwrap_err();
        assert!(error.to_string().contains("not 9"), "{error}");
        assert_eq!("5".parse::<Priority>().unwrap().index(), 4);
        assert_eq!(Priority::default().level(), 3);
    }
}
