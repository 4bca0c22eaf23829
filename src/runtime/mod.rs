//! The impure fleet loop: polls endpoints, sends intents, keeps the journal,
//! starts and attaches to the local coordinator.
//!
//! Shared by the console's shell and every command. Owns per-endpoint pollers
//! (cadence, jitter, backoff, one request in flight), the guard that refuses
//! what the state forbids, the journal on disk, and the lease on a local
//! coordinator. Knows no terminal. May import: `model`, `fleet`, `schedule`,
//! `action`, `backend`, `config`, `vault`.

use std::path::PathBuf;

use crate::backend::{LogChunk, RunsQuery};
use crate::fleet::Failure;
use crate::model::{Capabilities, Clean, EndpointName, EndpointSpec, Intent, Receipt, Run, RunId, Snapshot};

/// Where the runtime keeps and finds its files.
#[derive(Debug, Clone)]
pub struct Places {
    /// The coordinator's data (`$XDG_DATA_HOME/vigie`).
    pub data: PathBuf,
    /// The journal and the log file (`$XDG_STATE_HOME/vigie`).
    pub state: PathBuf,
    /// `tasks.toml` of a coordinator that is started here.
    pub tasks: PathBuf,
}

/// What the runtime is to do.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The endpoints; never empty (see [`crate::config`]: without any, the local coordinator is one).
    pub endpoints: Vec<EndpointSpec>,
    /// Refuse every intent.
    pub read_only: bool,
    /// Files.
    pub places: Places,
    /// What to do where a `vigie` endpoint without url finds no coordinator.
    pub local: LocalPolicy,
}

/// What a local coordinator that is missing is replaced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalPolicy {
    /// A child process that schedules, and ends soon after its last console.
    Child,
    /// One inside this process that answers and schedules nothing.
    AnswerOnly,
}

/// Something happened at an endpoint.
#[derive(Debug)]
pub enum Update {
    /// What a backend says of its endpoint; sent once it is known and when it changes.
    Described {
        /// The endpoint.
        endpoint: EndpointName,
        /// Where it is.
        url: Option<String>,
        /// What may be asked of it as a whole.
        capabilities: Capabilities,
    },
    /// A good poll, or several folded into one.
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
        /// Why, and when the next try is.
        failure: Failure,
    },
    /// A sent intent came further at one target.
    Receipt(Receipt),
    /// The answer to [`Handle::fetch_runs`].
    Runs {
        /// The endpoint.
        endpoint: EndpointName,
        /// What was asked.
        query: RunsQuery,
        /// Runs, newest first, or why not.
        result: Result<Vec<Run>, Clean>,
    },
    /// The answer to [`Handle::fetch_log`].
    Log {
        /// The endpoint.
        endpoint: EndpointName,
        /// The run.
        run: RunId,
        /// The offset that was asked for.
        offset: u64,
        /// The piece, or why not.
        result: Result<LogChunk, Clean>,
    },
    /// The journal can't be written: acting is unrecorded until it can.
    Unrecorded(Clean),
    /// Something for the message line: "started a coordinator", "taken over".
    Note(Clean),
}

/// Talks to the running fleet loop. Cheap to clone; every call returns at once.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// Journals the intent, checks it against guard and read-only, and sends
    /// it; one receipt per target and stage comes back as updates.
    pub fn send(&self, intent: Intent) {
        todo!()
    }
    /// Polls at once: one endpoint, or all.
    pub fn refresh(&self, endpoint: Option<EndpointName>) {
        todo!()
    }
    /// Fetches runs.
    pub fn fetch_runs(&self, endpoint: EndpointName, query: RunsQuery) {
        todo!()
    }
    /// Fetches a piece of a log.
    pub fn fetch_log(&self, endpoint: EndpointName, run: RunId, offset: u64) {
        todo!()
    }
    /// Replaces the endpoints after a change of the configuration.
    pub fn configure(&self, endpoints: Vec<EndpointSpec>, read_only: bool) {
        todo!()
    }
    /// The request that each target of an intent would cause, for the preview.
    pub fn preview(&self, intent: &Intent) -> Vec<Clean> {
        todo!()
    }
    /// Whether this process, or its child, is what schedules at `endpoint`,
    /// and no other console holds it: what quitting would stop.
    pub fn stops_on_quit(&self) -> Option<EndpointName> {
        todo!()
    }
}

/// The updates of a running fleet loop.
#[derive(Debug)]
pub struct Updates {}

impl Updates {
    /// The next update; waits. `None` after the end.
    pub async fn next(&mut self) -> Option<Update> {
        todo!()
    }
}

/// A running fleet loop.
#[derive(Debug)]
pub struct Runtime {
    /// For whoever acts.
    pub handle: Handle,
    /// For whoever listens: one reader.
    pub updates: Updates,
}

impl Runtime {
    /// Starts pollers for every endpoint. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A backend that can't be built from its configuration.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        todo!()
    }
    /// Ends every poller and gives back leases; waits for calls in flight for at most 3 s.
    pub async fn shutdown(self) {
        todo!()
    }
}

/// The fleet loop can't start.
#[derive(Debug, thiserror::Error)]
#[error("endpoint {endpoint}: {reason}")]
pub struct StartError {
    /// Which endpoint.
    pub endpoint: EndpointName,
    /// Why.
    pub reason: Clean,
}
