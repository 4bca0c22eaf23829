//! Everything that the console can ask its shell for.

use crate::model::{Arguments, EndpointName, Receipt, RunId, Target, TaskId, Verb};

/// An intent that has no id yet: what, to what, with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What to do.
    pub verb: Verb,
    /// To what; never empty.
    pub targets: Vec<Target>,
    /// With what.
    pub arguments: Arguments,
}

/// One thing for the shell to do. Each, but quitting, ends in exactly one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give the terminal back and end.
    Quit,
    /// Find out what quitting would stop.
    AskQuit,
    /// Give the draft an id, journal it and send it.
    Send(Draft),
    /// Find out the exact requests of a draft.
    Preview(Draft),
    /// Poll now: one endpoint, or all.
    Refresh(Option<EndpointName>),
    /// Fetch runs.
    FetchRuns {
        /// The endpoint.
        endpoint: EndpointName,
        /// Of this task; `None`: of all.
        task: Option<TaskId>,
        /// At most so many.
        limit: usize,
    },
    /// Fetch a piece of a log.
    FetchLog {
        /// The endpoint.
        endpoint: EndpointName,
        /// The run.
        run: RunId,
        /// From this byte on.
        offset: u64,
    },
    /// Read the journal of earlier consoles.
    LoadJournal,
    /// Write into the journal what a poll has shown.
    Record(Vec<Receipt>),
    /// Put text on the clipboard (OSC 52), and into a file.
    Copy(String),
    /// Ring the bell.
    Bell,
    /// Stop, as Ctrl-Z does.
    Suspend,
    /// Draw everything anew.
    Redraw,
}
