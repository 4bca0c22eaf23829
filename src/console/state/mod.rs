//! What the console knows beyond the fleet: where the operator is, and what is open.

mod audit;
mod detail;
mod overlay;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};

use crate::fleet::TaskList;
use crate::model::{AlertKey, Clean, EndpointName, IntentId, Receipt, RunId, Severity, Target, TaskKey};

use super::keymap::Keymap;
pub use audit::{AuditKey, AuditLog, keyed};
pub use detail::{About, Detail, DetailTab, LogState, Search, TraceState};
pub use overlay::{Confirm, ConfirmGroup, Field, Form, Overlay, Planned};

/// A screen. What is not built is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Screen {
    /// Alerts, endpoints, queues, what runs, what comes.
    Board,
    /// Every task of every endpoint.
    Tasks,
    /// Runs, newest first.
    Runs,
    /// Endpoints with health and errors.
    Endpoints,
    /// Own intents and what became of them, and the endpoints' audit logs.
    Journal,
}

impl Screen {
    /// All, in the order of their number keys.
    pub const ALL: [Self; 5] = [Self::Board, Self::Tasks, Self::Runs, Self::Endpoints, Self::Journal];

    /// Its name: in the header, in the configuration, after `--screen`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Board => "board",
            Self::Tasks => "tasks",
            Self::Runs => "runs",
            Self::Endpoints => "endpoints",
            Self::Journal => "journal",
        }
    }

    /// The screen of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|screen| screen.name() == name)
    }
}

/// What a row of a list is: never its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// An alert (board).
    Alert(EndpointName, AlertKey),
    /// A run; one without id is told apart by its times (see `order`).
    Run {
        /// Its endpoint and task.
        task: TaskKey,
        /// Its id, where it has one.
        run: Option<RunId>,
        /// For runs without id: when it started or ended.
        at: Option<DateTime<Utc>>,
    },
    /// An endpoint.
    Endpoint(EndpointName),
    /// A line of the journal: an own intent at one target.
    Entry(IntentId, Target),
    /// A line of an endpoint's own audit log (journal).
    Told(EndpointName, AuditKey),
}

/// A list with a cursor that is pinned to identity. (The task table is a [`TaskList`].)
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// What is listed, in order.
    pub keys: Vec<RowKey>,
    /// The row under the cursor.
    pub cursor: Option<RowKey>,
    /// The first row that is drawn.
    pub top: usize,
}

/// A column of the task table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Glyph, word and evidence.
    State,
    /// The endpoint's name.
    Endpoint,
    /// The task's name. Never hidden, never under 16 cells.
    Task,
    /// The cron text or interval.
    Schedule,
    /// How long ago the last run ended.
    Last,
    /// How long it took, or has been running.
    Took,
    /// When the next is due, or by how much it is late.
    Next,
    /// 1 to 5.
    Priority,
    /// Retries made and allowed.
    Try,
    /// fresh, or since when not.
    Evidence,
    /// What sort of thing it is, where its system watches several.
    Class,
    /// The team.
    Team,
    /// The machine.
    Machine,
}

impl Column {
    /// All, in their order on the screen.
    pub const ALL: [Self; 13] = [
        Self::State,
        Self::Endpoint,
        Self::Task,
        Self::Schedule,
        Self::Last,
        Self::Took,
        Self::Next,
        Self::Priority,
        Self::Try,
        Self::Evidence,
        Self::Class,
        Self::Team,
        Self::Machine,
    ];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Endpoint => "ENDPOINT",
            Self::Task => "TASK",
            Self::Schedule => "SCHEDULE",
            Self::Last => "LAST",
            Self::Took => "TOOK",
            Self::Next => "NEXT",
            Self::Priority => "P",
            Self::Try => "TRY",
            Self::Evidence => "EVIDENCE",
            Self::Class => "CLASS",
            Self::Team => "TEAM",
            Self::Machine => "MACHINE",
        }
    }
}

/// One line of text being typed; the cursor is a char index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The text.
    pub text: String,
    /// Where the next character goes, in chars from the left.
    pub cursor: usize,
}

/// The filter of the task table.
#[derive(Debug, Clone, Default)]
pub struct FilterLine {
    /// Whether keys go into it.
    pub editing: bool,
    /// The text.
    pub input: Input,
    /// What is wrong with the text; the last good filter stays in force.
    pub error: Option<Clean>,
}

/// What the line above the footer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text.
    pub text: Clean,
    /// How it is drawn.
    pub severity: Severity,
    /// Until when it stands; `None`: until the next.
    pub until: Option<DateTime<Utc>>,
}

/// How things are shown.
#[derive(Debug, Clone)]
pub struct Look {
    /// ASCII instead of glyphs.
    pub ascii: bool,
    /// Times in UTC instead of the local zone.
    pub utc: bool,
    /// The local zone's offset from UTC now, in seconds east (the shell knows it).
    pub local_offset_s: i32,
    /// The words for the local zone, such as `CET`.
    pub local_zone: String,
}

/// The console's state. See the module's text.
#[derive(Debug)]
pub struct State {
    /// The time of the last message.
    pub now: DateTime<Utc>,
    /// Columns of the terminal.
    pub width: u16,
    /// Rows of the terminal.
    pub height: u16,
    /// The screen.
    pub screen: Screen,
    /// The task table: filter, order, cursor.
    pub tasks: TaskList,
    /// The first row of the task table that is drawn.
    pub tasks_top: usize,
    /// The other lists.
    pub rows: BTreeMap<Screen, Rows>,
    /// Marked tasks.
    pub marks: BTreeSet<TaskKey>,
    /// The task table's filter as text.
    pub filter: FilterLine,
    /// Columns that are put away: that of classes at first.
    pub hidden: BTreeSet<Column>,
    /// The open detail.
    pub detail: Option<Detail>,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// The line above the footer.
    pub message: Option<Message>,
    /// Receipts of earlier consoles, oldest first.
    pub journal: Vec<Receipt>,
    /// The endpoints' own audit logs, as far as they were fetched.
    pub audit: BTreeMap<EndpointName, AuditLog>,
    /// Nothing may be sent.
    pub read_only: bool,
    /// The keys.
    pub keymap: Keymap,
    /// How things are shown.
    pub look: Look,
    /// Whether something shown has changed since the last frame.
    pub dirty: bool,
    /// What is remembered but not shown.
    pub(super) memory: Memory,
}

/// What the update remembers and no screen shows.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Episodes that have been heard of: they don't ring again.
    pub episodes: HashSet<(EndpointName, AlertKey, DateTime<Utc>)>,
    /// Endpoints that have answered or failed once: what they tell from then on is news.
    pub heard: BTreeSet<EndpointName>,
    /// The last key was an interrupt: another one quits.
    pub interrupted: bool,
    /// How many targets the intent has that is just being sent.
    pub sending: usize,
    /// How many targets the last intents on several had.
    pub bulks: BTreeMap<IntentId, usize>,
}

impl State {
    /// A console that has just been opened, `width` columns by `height` rows
    /// large: nothing is known, everything is to be drawn.
    #[must_use]
    pub fn new(keymap: Keymap, look: Look, screen: Screen, size: (u16, u16), now: DateTime<Utc>) -> Self {
        Self {
            now,
            width: size.0,
            height: size.1,
            screen,
            tasks: TaskList::default(),
            tasks_top: 0,
            rows: BTreeMap::new(),
            marks: BTreeSet::new(),
            filter: FilterLine::default(),
            // Most systems have but one sort of thing.
            hidden: BTreeSet::from([Column::Class]),
            detail: None,
            overlay: None,
            message: None,
            journal: Vec::new(),
            audit: BTreeMap::new(),
            read_only: false,
            keymap,
            look,
            dirty: true,
            memory: Memory::default(),
        }
    }
}
