//! Everything that can happen to the console.

use chrono::{DateTime, Utc};

use crate::action::Key;
use crate::fleet::Failure;
use crate::model::{
    AuditEntry, Capabilities, Clean, EndpointName, EndpointSpec, IntentId, LogOf, Payload, Receipt, Run,
    Snapshot, TaskId, Trace,
};

use super::effect::Draft;

/// Something happened, at a time.
#[derive(Debug)]
pub struct Msg {
    /// When, by the shell's clock.
    pub at: DateTime<Utc>,
    /// What.
    pub event: Event,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// The text, lines kept.
    pub text: Clean,
    /// Where the next piece begins, in bytes.
    pub next_offset: u64,
    /// Bytes that were dropped to keep the log bounded.
    pub dropped_bytes: u64,
    /// Whether nothing will follow.
    pub complete: bool,
}

/// A line of the journal on disk, from before this console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// The receipt as it was last known.
    pub receipt: Receipt,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size, in cells.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Time has passed to where something shown changes.
    Tick,
    /// The endpoints are configured: at start, and after a change of the file.
    Configured {
        /// All of them.
        endpoints: Vec<EndpointSpec>,
        /// Fleet-wide read-only.
        read_only: bool,
    },
    /// A backend described its endpoint.
    Described {
        /// The endpoint.
        endpoint: EndpointName,
        /// Where it is.
        url: Option<String>,
        /// What may be asked of it as a whole.
        capabilities: Capabilities,
    },
    /// A good poll.
    Polled {
        /// The endpoint.
        endpoint: EndpointName,
        /// The answer.
        snapshot: Box<Snapshot>,
    },
    /// A failed poll.
    Failed {
        /// The endpoint.
        endpoint: EndpointName,
        /// Why.
        failure: Failure,
    },
    /// An intent came further at one target.
    Receipt(Receipt),
    /// The answer to [`super::Effect::Preview`].
    Preview {
        /// What was asked.
        draft: Draft,
        /// The request per target, in the draft's order.
        calls: Vec<Clean>,
    },
    /// An intent has been given its id and is on its way.
    Sending {
        /// Its id.
        intent: IntentId,
    },
    /// The answer to [`super::Effect::FetchRuns`].
    Runs {
        /// The endpoint.
        endpoint: EndpointName,
        /// Of this task; `None`: of all.
        task: Option<TaskId>,
        /// Runs, newest first, or why not.
        result: Result<Vec<Run>, Clean>,
    },
    /// The answer to [`super::Effect::FetchLog`].
    Log {
        /// The endpoint.
        endpoint: EndpointName,
        /// Whose.
        of: LogOf,
        /// The offset that was asked for.
        offset: u64,
        /// The piece, or why not.
        result: Result<LogPiece, Clean>,
    },
    /// The answer to [`super::Effect::FetchTrace`].
    Trace {
        /// The endpoint.
        endpoint: EndpointName,
        /// The task.
        task: TaskId,
        /// What it tells, or why not.
        result: Result<Trace, Clean>,
    },
    /// The answer to [`super::Effect::FetchAudit`].
    Audit {
        /// The endpoint.
        endpoint: EndpointName,
        /// Whether its system keeps an audit log at all; if not, the result says why.
        kept: bool,
        /// Lines, newest first, or why not.
        result: Result<Vec<AuditEntry>, Clean>,
    },
    /// The answer to [`super::Effect::Foresee`].
    Foreseen {
        /// The draft that was asked about; nothing of it was sent.
        draft: Draft,
        /// Per target, in order: what it would do, where the system tells.
        lines: Vec<Result<Option<Clean>, Clean>>,
    },
    /// The answer to [`super::Effect::ReadFile`].
    FileRead {
        /// The path that was asked for.
        path: String,
        /// The content, or why not.
        result: Result<Payload, Clean>,
    },
    /// The answer to [`super::Effect::LoadJournal`]: oldest first.
    Journal(Vec<JournalLine>),
    /// The answer to [`super::Effect::AskQuit`].
    QuitAsked {
        /// The local coordinator that would end with this console, if any.
        stops: Option<EndpointName>,
    },
    /// The answer to [`super::Effect::Copy`].
    Copied(Result<Clean, Clean>),
    /// The journal can't be written.
    Unrecorded(Clean),
    /// Something for the message line.
    Note(Clean),
    /// Something that went wrong, for the message line: a broken theme or configuration.
    Problem(Clean),
    /// The console is back in the foreground.
    Resumed,
    /// Keys and glyphs are configured anew.
    Restyled {
        /// The keys.
        keymap: Box<super::Keymap>,
        /// ASCII instead of glyphs.
        ascii: bool,
    },
    /// The local zone has another offset: summer has begun or ended.
    LocalZone {
        /// Seconds east of UTC.
        offset_s: i32,
        /// Its words, such as `CET`.
        name: String,
    },
    /// A signal asks as Ctrl-C does.
    Interrupted,
}
