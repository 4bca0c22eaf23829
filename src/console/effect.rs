//! Everything that the console can ask its shell for.

use crate::model::{Arguments, Deed, EndpointName, LogOf, Receipt, Target, TaskId};

/// An intent that has no id yet: what, to what, with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What to do.
    pub deed: Deed,
    /// To what; never empty.
    pub targets: Vec<Target>,
    /// With what.
    pub arguments: Arguments,
}

/// One thing for the shell to do. Asking to quit, a preview and a copy are
/// answered before anything else happens, fetches, files and the journal once, later;
/// what a refresh finds comes as polls, and what becomes of what is sent as
/// receipts. The rest is not answered, unless something goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give the terminal back and end.
    Quit,
    /// Find out what quitting would stop: [`super::Event::QuitAsked`].
    AskQuit,
    /// Give the draft an id ([`super::Event::Sending`]), journal it and send it
    /// ([`super::Event::Receipt`], per target and stage).
    Send(Draft),
    /// Find out the exact requests of a draft: [`super::Event::Preview`].
    Preview(Draft),
    /// Poll now: one endpoint, or all. Each poll is an [`super::Event::Polled`] or
    /// [`super::Event::Failed`]; one that is under way is not asked for twice.
    Refresh(Option<EndpointName>),
    /// Fetch runs: one [`super::Event::Runs`].
    FetchRuns {
        /// The endpoint.
        endpoint: EndpointName,
        /// Of this task; `None`: of all.
        task: Option<TaskId>,
        /// At most so many.
        limit: usize,
    },
    /// Fetch a piece of a log: one [`super::Event::Log`].
    FetchLog {
        /// The endpoint.
        endpoint: EndpointName,
        /// Whose.
        of: LogOf,
        /// From this byte on.
        offset: u64,
    },
    /// Fetch what the endpoint tells of one task beyond polls and runs: one [`super::Event::Trace`].
    FetchTrace {
        /// The endpoint.
        endpoint: EndpointName,
        /// The task.
        task: TaskId,
    },
    /// Fetch the newest lines of the endpoint's own audit log: one [`super::Event::Audit`].
    FetchAudit {
        /// The endpoint.
        endpoint: EndpointName,
        /// At most so many.
        limit: usize,
    },
    /// Ask beforehand what a draft would do (a dry run): one [`super::Event::Foreseen`].
    Foresee(Draft),
    /// Read a file that is to be sent, by its path as it was typed: one [`super::Event::FileRead`].
    ReadFile(String),
    /// Read the journal of earlier consoles: [`super::Event::Journal`].
    LoadJournal,
    /// Write into the journal what a poll has shown; where that can't be, [`super::Event::Unrecorded`].
    Record(Vec<Receipt>),
    /// Put text on the clipboard (OSC 52), and into a file: [`super::Event::Copied`].
    Copy(String),
    /// Ring the bell.
    Bell,
    /// Stop, as Ctrl-Z does: [`super::Event::Resumed`] afterwards, or
    /// [`super::Event::Resize`].
    Suspend,
    /// Draw everything anew.
    Redraw,
}
