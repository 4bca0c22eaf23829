//! Identities: newtypes, never row numbers.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Clean;

/// Makes a cheap-to-clone string id. The raw text is kept, since it goes back
/// to the system that gave it; what is shown is always cleaned.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id exactly as its system gave it.
            #[must_use]
            pub fn new(raw: &str) -> Self {
                Self(Arc::from(raw))
            }

            /// The raw text, for requests and look-ups only: never for a screen.
            #[must_use]
            pub fn as_raw(&self) -> &str {
                &self.0
            }

            /// What may be shown.
            #[must_use]
            pub fn shown(&self) -> Clean {
                Clean::line(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(raw: &str) -> Self {
                Self::new(raw)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        /// Cleaned.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.shown().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

id! {
    /// The name of a configured endpoint: unique within a configuration.
    EndpointName
}
id! {
    /// A task's id within its endpoint.
    TaskId
}
id! {
    /// A run's id within its endpoint.
    RunId
}
id! {
    /// A queue's name within its endpoint.
    QueueName
}

/// What a row is: its endpoint and its id there. Selection, marks,
/// confirmations and filters are pinned to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The endpoint that knows the task.
    pub endpoint: EndpointName,
    /// The task's id there.
    pub task: TaskId,
}

impl TaskKey {
    /// The key of `task` at `endpoint`.
    #[must_use]
    pub fn new(endpoint: &EndpointName, task: &TaskId) -> Self {
        Self { endpoint: endpoint.clone(), task: task.clone() }
    }
}

/// `endpoint/task`, as the command line takes it.
impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.endpoint, self.task)
    }
}
