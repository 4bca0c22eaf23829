//! What an operator wants done, and what became of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::words::words;
use super::{Clean, Deed, EndpointName, Inputs, Priority, RunId, TaskId, TaskKey, TaskState};

/// The id of an intent, made by the client: also the idempotency key of its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub Uuid);

impl std::fmt::Display for IntentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What an intent is aimed at, bound to the state that the operator saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// The task; `None` for a deed on the endpoint itself (reload-config).
    pub task: Option<TaskId>,
    /// One run of it, where the deed is about a run.
    pub run: Option<RunId>,
    /// The task's state when the operator decided; `None` for an endpoint.
    pub seen: Option<TaskState>,
}

impl Target {
    /// A task as it was seen.
    #[must_use]
    pub fn task(key: &TaskKey, seen: TaskState) -> Self {
        Self { endpoint: key.endpoint.clone(), task: Some(key.task.clone()), run: None, seen: Some(seen) }
    }

    /// An endpoint.
    #[must_use]
    pub const fn endpoint(endpoint: EndpointName) -> Self {
        Self { endpoint, task: None, run: None, seen: None }
    }

    /// The task's key, if it is about one.
    #[must_use]
    pub fn key(&self) -> Option<TaskKey> {
        self.task.as_ref().map(|task| TaskKey::new(&self.endpoint, task))
    }
}

/// `endpoint`, `endpoint/task` or `endpoint/task#run`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.endpoint)?;
        if let Some(task) = &self.task {
            write!(f, "/{task}")?;
        }
        if let Some(run) = &self.run {
            write!(f, "#{run}")?;
        }
        Ok(())
    }
}

/// What a deed needs beyond its target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The new priority, for reprioritise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// A note, for acknowledge, snooze and silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Clean>,
    /// Until when, for snooze and silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// What a system's own command takes.
    #[serde(default, skip_serializing_if = "Inputs::is_empty")]
    pub inputs: Inputs,
}

/// One deed on named targets, decided but not yet sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its id.
    pub id: IntentId,
    /// What to do.
    #[serde(rename = "verb")]
    pub deed: Deed,
    /// To what; never empty.
    pub targets: Vec<Target>,
    /// With what.
    #[serde(default)]
    pub arguments: Arguments,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What decided it, where nobody did: `policy of NAME`. Absent: an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Clean>,
}

words! {
    /// How far a sent intent has come.
    Stage {
        /// The request has left.
        Sent = "sent",
        /// The endpoint said yes.
        Accepted = "accepted",
        /// A poll showed the effect.
        Observed = "observed",
        /// It was refused or went wrong: nothing was done, as far as the endpoint says.
        Failed = "failed",
        /// The answer was lost: it may or may not have been done.
        Unknown = "unknown",
    }
}

impl Stage {
    /// Whether nothing more will come.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Observed | Self::Failed)
    }
}

/// What became of an intent at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The intent.
    pub intent: IntentId,
    /// What was to be done, repeated for display.
    #[serde(rename = "verb")]
    pub deed: Deed,
    /// The target.
    pub target: Target,
    /// How far it came.
    pub stage: Stage,
    /// When it came so far.
    pub at: DateTime<Utc>,
    /// When it was sent.
    pub sent: DateTime<Utc>,
    /// What the endpoint said, or why it failed.
    pub message: Option<Clean>,
    /// The run that it started, where the endpoint names it.
    pub run: Option<RunId>,
    /// The priority that it asked for.
    #[serde(default)]
    pub priority: Option<Priority>,
}
