//! The roles: everything that a theme can give a look.

/// Makes the enum, its words and its fallbacks from one table.
macro_rules! roles {
    ($($variant:ident $word:literal $fallback:expr, $doc:literal;)+) => {
        /// A meaning that has a look.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role { $(#[doc = $doc] $variant,)+ }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in a theme's `[roles]`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The role whose look it has where a theme gives it none.
            #[must_use]
            pub const fn fallback(self) -> Option<Self> {
                match self { $(Self::$variant => $fallback,)+ }
            }
        }
    };
}

#[rustfmt::skip]
roles! {
    Text "text" None, "What is read.";
    Muted "muted" Some(Self::Text), "What may be read: units, empty values, what is not urgent.";
    Heading "heading" Some(Self::Muted), "Titles of columns and sections.";
    Title "title" Some(Self::Text), "The name of the screen, the subject of a detail.";
    Clock "clock" Some(Self::Text), "The clock.";
    Border "border" Some(Self::Muted), "Borders and rules.";
    Key "key" Some(Self::Text), "A key to press.";
    Disabled "disabled" Some(Self::Muted), "What can't be done here.";
    Cursor "cursor" None, "The row under the cursor: its background.";
    Bar "bar" Some(Self::Cursor), "The bar before it.";
    Mark "mark" Some(Self::Key), "The mark of a marked row.";
    Match "match" Some(Self::Text), "What matches; the tab that is open.";
    Input "input" Some(Self::Text), "Text being typed.";
    Overlay "overlay" Some(Self::Text), "The ground of what lies over the screen.";
    Sparkline "sparkline" Some(Self::Text), "Durations over time.";
    Gauge "gauge" Some(Self::Sparkline), "The filled part of a gauge, the depth of a queue.";
    GaugeRest "gauge-rest" Some(Self::Border), "The rest of a gauge.";
    Pending "pending" Some(Self::Key), "An intent on its way.";
    Error "error" Some(Self::SeverityCritical), "What went wrong.";
    Notice "notice" Some(Self::StateHealthy), "What went well.";
    StateHealthy "state.healthy" Some(Self::Text), "A healthy task, a good run, an endpoint that is up.";
    StateFailing "state.failing" Some(Self::Text), "A failing task, a failed run, an endpoint that is down.";
    StateRunning "state.running" Some(Self::Text), "What is in progress.";
    StateQueued "state.queued" Some(Self::Text), "What waits for a place.";
    StateDue "state.due" Some(Self::Text), "What should start about now.";
    StateLate "state.late" Some(Self::Text), "What should have started.";
    StateAbsent "state.absent" Some(Self::StateLate), "What never ran.";
    StatePaused "state.paused" Some(Self::Muted), "What is stopped on purpose.";
    StateArchived "state.archived" Some(Self::Muted), "What was put away.";
    StateUnknown "state.unknown" Some(Self::Muted), "What nobody knows.";
    EvidenceStale "evidence.stale" Some(Self::Muted), "What was true when last seen.";
    EvidenceUnverified "evidence.unverified" Some(Self::StateLate), "What may be so: the evidence does not cover it.";
    SeverityCritical "severity.critical" Some(Self::StateFailing), "Act now.";
    SeverityWarning "severity.warning" Some(Self::StateLate), "Look at it.";
    SeverityInfo "severity.info" Some(Self::Text), "Good to know.";
}

impl Role {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The role of a task's state.
    #[must_use]
    pub const fn task(state: crate::model::TaskState) -> Self {
        use crate::model::TaskState;
        match state {
            TaskState::Healthy => Self::StateHealthy,
            TaskState::Failing => Self::StateFailing,
            TaskState::Running => Self::StateRunning,
            TaskState::Queued => Self::StateQueued,
            TaskState::Due => Self::StateDue,
            TaskState::Late => Self::StateLate,
            TaskState::Absent => Self::StateAbsent,
            TaskState::Paused => Self::StatePaused,
            TaskState::Archived => Self::StateArchived,
            TaskState::Unknown => Self::StateUnknown,
        }
    }

    /// The role of a run's state.
    #[must_use]
    pub const fn run(state: crate::model::RunState) -> Self {
        use crate::model::RunState;
        match state {
            RunState::Queued => Self::StateQueued,
            RunState::Running => Self::StateRunning,
            RunState::Succeeded => Self::StateHealthy,
            RunState::Failed | RunState::Dead => Self::StateFailing,
            RunState::Aborted => Self::StateLate,
            RunState::Missed => Self::StateAbsent,
        }
    }

    /// The role of an endpoint's health.
    #[must_use]
    pub const fn health(health: crate::model::Health) -> Self {
        use crate::model::Health;
        match health {
            Health::Connecting => Self::StateQueued,
            Health::Up => Self::StateHealthy,
            Health::Degraded => Self::StateLate,
            Health::Down | Health::Unauthorised => Self::StateFailing,
        }
    }

    /// The role of a severity.
    #[must_use]
    pub const fn severity(severity: crate::model::Severity) -> Self {
        use crate::model::Severity;
        match severity {
            Severity::Critical => Self::SeverityCritical,
            Severity::Warning => Self::SeverityWarning,
            Severity::Info => Self::SeverityInfo,
        }
    }

    /// The role of how far an intent has come.
    #[must_use]
    pub const fn stage(stage: crate::model::Stage) -> Self {
        use crate::model::Stage;
        match stage {
            Stage::Sent | Stage::Accepted => Self::Pending,
            Stage::Observed => Self::Notice,
            Stage::Failed => Self::Error,
            Stage::Unknown => Self::EvidenceUnverified,
        }
    }
}
