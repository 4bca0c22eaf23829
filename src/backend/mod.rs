//! The adapters: how each system is polled, asked and told.
//!
//! Owns the [`Backend`] trait, the registry of kinds, the HTTP client that all
//! adapters share, and one folder per system (wire types → convert → calls).
//! Knows no fleet, no console and no coordinator. May import: `model`, `wire`, `schedule`.

mod duplistatus;
mod duty_duck;
mod error;
mod http;
mod kept;
mod offers;
mod rediacc;
mod registry;
mod vigie;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::model::{
    Arguments, AuditEntry, Capabilities, Clean, Deed, Input, IntentId, Kind, LogOf, Priority, Run, RunId,
    Snapshot, TaskId, Trace,
};
use crate::wire::Report;

pub use error::{BackendError, BuildError};
pub use offers::{Offer, Offers, Reads};
pub use registry::{build, offers};
pub use vigie::{AuditCalls, TokenCalls};

/// Where a backend left off: opaque to everybody but the backend that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// An answer to a poll, and where the next one goes on.
#[derive(Debug)]
pub struct Polled {
    /// What the answer proves.
    pub snapshot: Snapshot,
    /// For the next poll; `None` asks for everything again.
    pub cursor: Option<Cursor>,
}

/// Which runs to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsQuery {
    /// Only of this task.
    pub task: Option<TaskId>,
    /// At most so many, newest first.
    pub limit: usize,
}

/// A piece of a run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The text, lines kept.
    pub text: Clean,
    /// Where the next piece begins, in bytes of the endpoint's log.
    pub next_offset: u64,
    /// Bytes that the endpoint dropped to keep the log bounded.
    pub dropped_bytes: u64,
    /// Whether the run has ended and nothing will follow.
    pub complete: bool,
}

/// One deed on one target: what is sent to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The intent that it belongs to: the idempotency key, together with the target.
    pub intent: IntentId,
    /// What to do.
    pub deed: Deed,
    /// The task; `None` for a deed on the endpoint.
    pub task: Option<TaskId>,
    /// One run of it.
    pub run: Option<RunId>,
    /// With what.
    pub arguments: Arguments,
}

impl Call {
    /// A text input of a command.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.arguments.inputs.get(name)? {
            Input::Text(text) => Some(text.as_str()),
            Input::Payload(_) => None,
        }
    }

    /// The priority that reprioritise asks for.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] if there is none.
    pub fn priority(&self) -> Result<Priority, BackendError> {
        self.arguments.priority.ok_or_else(|| BackendError::Unsupported("a priority is needed".into()))
    }
}

/// The endpoint said yes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What it said, for the operator.
    pub message: Option<Clean>,
    /// The run that it started or changed, where it names it.
    pub run: Option<RunId>,
    /// The answer itself proves the effect (a synchronous call that reports its result).
    pub observed: bool,
}

/// Where credentials come from. Asked anew after a 401, so that an expired token heals.
#[async_trait]
pub trait CredentialSource: Send + Sync + fmt::Debug {
    /// The value of the name under `[endpoint.auth]`; `None` if it is not configured.
    ///
    /// # Errors
    /// A sentence that names the source and what is wrong with it, never the secret.
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String>;
}

/// An adapter for one endpoint. Dropping a future of it cancels its request.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// The system that it speaks.
    fn kind(&self) -> Kind;

    /// Where it is, for the screen: no credentials in it. `None` while not known.
    fn url(&self) -> Option<String>;

    /// Whether [`Backend::poll`] waits at the endpoint for the next change, so
    /// that the next poll may follow at once.
    fn pushes(&self) -> bool {
        false
    }

    /// What may be asked of the endpoint as a whole (reload-config).
    fn endpoint_capabilities(&self) -> Capabilities;

    /// Reads what has changed since `since`; everything, if `None`. Makes no call per task.
    ///
    /// # Errors
    /// Any [`BackendError`]; the cursor then stays as it was.
    async fn poll(&self, since: Option<&Cursor>) -> Result<Polled, BackendError>;

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] where the system keeps none.
    async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError>;

    /// A piece of a log from byte `offset` on. At its end the answer is
    /// empty, at once: who follows asks again.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] where the system keeps none.
    async fn log(&self, of: &LogOf, offset: u64) -> Result<LogChunk, BackendError>;

    /// What the system tells of one task beyond polls and runs: its own trace of it.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] where it tells no more.
    async fn trace(&self, task: &TaskId) -> Result<Trace, BackendError>;

    /// The newest lines of the system's own audit log, newest first.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] where it keeps none.
    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, BackendError>;

    /// Sends one call. Has its own time limit. Never retried by itself.
    ///
    /// # Errors
    /// Any [`BackendError`]; see [`BackendError::may_have_acted`].
    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError>;

    /// What a call would do, where the system can tell without doing it (a dry run). One line.
    ///
    /// # Errors
    /// Any [`BackendError`].
    async fn foresee(&self, _call: &Call) -> Result<Option<Clean>, BackendError> {
        Ok(None)
    }

    /// Passes on what somebody says of a run that is carried out elsewhere, as
    /// `vigie run` does. The same report may come more than once.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::Unsupported`] where the system
    /// takes none, or none that comes so late.
    async fn report(&self, _task: &TaskId, _report: &Report) -> Result<(), BackendError> {
        Err(offers::refused(offers(self.kind()).reports))
    }

    /// The request that [`Backend::execute`] would send, as `POST /path`: for the preview.
    fn preview(&self, call: &Call) -> Clean;
}

/// The time at which something is read, given by the shell.
pub type Now = fn() -> DateTime<Utc>;

/// Sees a future through to its end, whatever becomes of who asked for it: for
/// exchanges that may not be cut off in the middle.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// What an adapter is given by the shell around it.
#[derive(Clone)]
pub struct Surroundings {
    /// Where its credentials come from.
    pub credentials: Arc<dyn CredentialSource>,
    /// The data directory in which a `vigie` endpoint without url finds its coordinator.
    pub data: Option<PathBuf>,
    /// Where an adapter may keep what it must not lose: sessions.
    pub state: Option<PathBuf>,
    /// The shell's clock.
    pub now: Now,
    /// See [`Spawn`].
    pub spawn: Spawn,
}

/// Without anything that could hold a credential.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("data", &self.data)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
