//! The impure fleet loop: polls endpoints, sends intents, keeps the journal,
//! starts and attaches to the local coordinator.
//!
//! Shared by the console's shell and every command. Owns per-endpoint pollers
//! (cadence, jitter, backoff, one request in flight), the guard that refuses
//! what is read-only, the journal on disk, the lease on a local coordinator,
//! and the [policies](policy) that a `vigie serve` applies. Knows no terminal. May import: `model`, `fleet`, `schedule`,
//! `action`, `backend`, `config`, `vault`, `wire`.
//!
//! ```text
//! Handle ── send ──► deliver: journal, guard, calls ─► Backend ─┐
//!    └─ refresh ──► poller (one per endpoint) ──────► Backend ──┤
//!                      ▲ gate: local coordinator                ▼
//!                      └ credentials ► vault     Updates ◄── outbox (latest wins, bounded)
//! ```
//!
//! Nothing here can block anything else: each endpoint has its own task, and
//! what nobody takes is folded into one slot per endpoint. A panic in an
//! adapter is a failed poll.

pub mod courier;
mod credentials;
mod deliver;
mod handle;
pub mod journal;
mod local;
mod outbox;
mod pace;
pub mod payload;
pub mod policy;
mod poller;
mod shell;
pub mod spool;

use std::path::PathBuf;

use crate::backend::{LogChunk, RunsQuery};
use crate::fleet::Failure;
use crate::model::{
    AuditEntry, Capabilities, Clean, EndpointName, EndpointSpec, Intent, IntentId, LogOf, Receipt, Run,
    Snapshot, TaskId, Trace,
};

use crate::vault::Vault;

pub use credentials::{Credentials, Question};
pub use handle::{Handle, Runtime, Updates};
pub use shell::now;

/// Where the runtime keeps and finds its files.
#[derive(Debug, Clone)]
pub struct Places {
    /// The coordinator's data (`$XDG_DATA_HOME/vigie`).
    pub data: PathBuf,
    /// The journal and the log file (`$XDG_STATE_HOME/vigie`).
    pub state: PathBuf,
    /// `tasks.toml` of a coordinator that is started here.
    pub tasks: PathBuf,
    /// What `{ vault = "NAME" }` reads from.
    pub vault: Vault,
}

impl Places {
    /// The journal of intents and receipts; read it with [`journal::tail`].
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal.jsonl")
    }

    /// What a coordinator that was started here prints.
    #[must_use]
    pub fn coordinator_log(&self) -> PathBuf {
        self.state.join("coordinator.log")
    }
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
    /// A child process that answers, schedules nothing, and ends with this process.
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
        /// Whose.
        of: LogOf,
        /// The offset that was asked for.
        offset: u64,
        /// The piece, or why not.
        result: Result<LogChunk, Clean>,
    },
    /// The answer to [`Handle::fetch_trace`].
    Trace {
        /// The endpoint.
        endpoint: EndpointName,
        /// The task.
        task: TaskId,
        /// What it tells, or why not.
        result: Result<Trace, Clean>,
    },
    /// The answer to [`Handle::fetch_audit`].
    Audit {
        /// The endpoint.
        endpoint: EndpointName,
        /// Whether its system keeps an audit log at all; if not, the result says why.
        kept: bool,
        /// Lines, newest first, or why not.
        result: Result<Vec<AuditEntry>, Clean>,
    },
    /// The answer to [`Handle::foresee`].
    Foreseen {
        /// The intent that was asked about; nothing of it was sent.
        intent: Box<Intent>,
        /// Per target, in order: what it would do, where the system tells.
        lines: Vec<Result<Option<Clean>, Clean>>,
    },
    /// The journal can't be written: acting is unrecorded until it can.
    Unrecorded {
        /// Why.
        reason: Clean,
        /// The intent that was not sent for that. The same wish, sent again, goes unrecorded.
        refused: Option<IntentId>,
    },
    /// Something for the message line: "started a coordinator", "taken over".
    Note(Clean),
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

#[cfg(test)]
mod tests;
