//! The open detail: of what it is, and what was fetched for it.

use std::collections::VecDeque;
use std::fmt;

use chrono::{DateTime, Utc};

use super::Input;
use crate::model::{Clean, EndpointName, LogOf, RunId, TaskKey, Trace};

/// What a detail is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A task.
    Task(TaskKey),
    /// An endpoint as a whole.
    Endpoint(EndpointName),
}

impl About {
    /// The endpoint, or the one that the task is of.
    #[must_use]
    pub const fn endpoint(&self) -> &EndpointName {
        match self {
            Self::Task(key) => &key.endpoint,
            Self::Endpoint(endpoint) => endpoint,
        }
    }

    /// The task, if it is of one.
    #[must_use]
    pub const fn task(&self) -> Option<&TaskKey> {
        match self {
            Self::Task(key) => Some(key),
            Self::Endpoint(_) => None,
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(key) => key.fmt(f),
            Self::Endpoint(endpoint) => endpoint.fmt(f),
        }
    }
}

/// A tab of the detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetailTab {
    /// State, schedule, policy, actions with reasons, open alerts.
    Summary,
    /// Runs with durations.
    History,
    /// What its system tells of it beyond that.
    Trace,
    /// The log of one run, or of the endpoint.
    Log,
}

impl DetailTab {
    /// Those of a task, in order: all.
    pub const OF_TASK: [Self; 4] = [Self::Summary, Self::History, Self::Trace, Self::Log];
    /// Those of an endpoint, in order.
    pub const OF_ENDPOINT: [Self; 2] = [Self::Summary, Self::Log];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::History => "history",
            Self::Trace => "trace",
            Self::Log => "log",
        }
    }
}

/// The open detail of a task or an endpoint.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Of what.
    pub about: About,
    /// The tab.
    pub tab: DetailTab,
    /// The run that is looked at: under the cursor in the history, shown in the log. `None`: the newest.
    pub run: Option<RunId>,
    /// The first line that is drawn of the current tab.
    pub top: usize,
    /// Why the history could not be fetched.
    pub runs_error: Option<Clean>,
    /// Whether the history is still on its way.
    pub runs_loading: bool,
    /// The trace, once looked at.
    pub trace: Option<TraceState>,
    /// The log, once asked for.
    pub log: Option<LogState>,
    /// When the newest ended run that is known had ended: another means that history is fetched again.
    pub seen_end: Option<DateTime<Utc>>,
}

impl Detail {
    /// The detail of something, at its summary, with nothing fetched yet.
    #[must_use]
    pub const fn new(about: About) -> Self {
        Self {
            about,
            tab: DetailTab::Summary,
            run: None,
            top: 0,
            runs_error: None,
            runs_loading: false,
            trace: None,
            log: None,
            seen_end: None,
        }
    }

    /// The tabs that it has, in order.
    #[must_use]
    pub const fn tabs(&self) -> &'static [DetailTab] {
        match self.about {
            About::Task(_) => &DetailTab::OF_TASK,
            About::Endpoint(_) => &DetailTab::OF_ENDPOINT,
        }
    }
}

/// What the system tells of a task, as far as it is fetched.
#[derive(Debug, Clone, Default)]
pub struct TraceState {
    /// What was told last.
    pub told: Option<Trace>,
    /// Why it could not be fetched, or that there is none.
    pub error: Option<Clean>,
    /// Whether it is on its way.
    pub loading: bool,
    /// The row has changed since it was asked for.
    pub outdated: bool,
    /// The poll of the endpoint that was the newest when it was asked for: it
    /// is not asked for twice between two polls.
    pub poll: Option<DateTime<Utc>>,
}

/// A log, as far as it is read.
#[derive(Debug, Clone)]
pub struct LogState {
    /// Whose.
    pub of: LogOf,
    /// Its lines; bounded (see [`LogState::MAX_LINES`]).
    pub lines: VecDeque<Clean>,
    /// Lines that were dropped at the front.
    pub dropped_lines: usize,
    /// Bytes that the endpoint dropped.
    pub dropped_bytes: u64,
    /// Where the next piece begins.
    pub next_offset: u64,
    /// Whether a piece is on its way.
    pub loading: bool,
    /// Whether nothing will follow.
    pub complete: bool,
    /// Whether the end stays in view.
    pub follow: bool,
    /// Why it could not be read.
    pub error: Option<Clean>,
    /// Whether the last line goes on in the next piece.
    pub partial: bool,
    /// When the last piece was asked for, or came.
    pub asked: Option<DateTime<Utc>>,
    /// What is looked for in it.
    pub search: Option<Search>,
}

/// What is looked for in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Whether keys go into it.
    pub editing: bool,
    /// The text; case means nothing.
    pub input: Input,
    /// The line that was found last, counted from the log's first, dropped ones included.
    pub found: Option<usize>,
}

impl LogState {
    /// So many lines are kept.
    pub const MAX_LINES: usize = 10_000;

    /// A log of which nothing is read yet; its end stays in view.
    #[must_use]
    pub const fn new(of: LogOf) -> Self {
        Self {
            of,
            lines: VecDeque::new(),
            dropped_lines: 0,
            dropped_bytes: 0,
            next_offset: 0,
            loading: false,
            complete: false,
            follow: true,
            error: None,
            partial: false,
            asked: None,
            search: None,
        }
    }

    /// The run, if it is the log of one.
    #[must_use]
    pub const fn run(&self) -> Option<&RunId> {
        match &self.of {
            LogOf::Run { run, .. } => Some(run),
            LogOf::Endpoint => None,
        }
    }
}
