//! The vocabulary as types: what every other room speaks of.
//!
//! Owns the words (states, verbs, kinds), the identities, and the shapes that
//! travel between rooms (tasks, runs, queues, alerts, snapshots, intents,
//! receipts). Pure data: no I/O, no clock, no terminal. May import no other room.

mod access;
mod argv;
mod command;
mod endpoint;
mod id;
mod intent;
mod kind;
mod schedule;
mod schema;
mod snapshot;
mod state;
mod task;
mod text;
mod time;
mod trace;
mod verb;
mod words;

pub use access::{Role, Scope};
pub use argv::{join_words, split_words};
pub use command::{Aim, Command, CommandSpec, Input, InputShape, InputSpec, Inputs, Payload, is_for_a_shell};
pub use endpoint::{EndpointSpec, Guard, OptionValue, RetryRule, SecretRef, TlsSpec};
pub use id::{EndpointName, QueueName, RunId, TaskId, TaskKey};
pub use intent::{Arguments, Intent, IntentId, Receipt, Stage, Target};
pub use kind::{AuthName, Kind, KindSpec, OptionName, OptionShape};
pub use schedule::{Blackout, Dialect, Facts, Policy, QueuedFact, RunningFact, Schedule, Timing, Weekday};
pub use snapshot::{Coverage, Part, Snapshot};
pub use state::{
    AlertKind, Evidence, Health, Priority, PriorityOutOfRange, RunMark, RunState, Severity, TaskState,
};
pub use task::{Alert, AlertKey, Flip, Handling, Labels, Queue, Retry, Run, Task, TaskSource};
pub use text::{Clean, MAX_LINE, MAX_TEXT};
pub use time::{duration_text, parse_duration};
pub use trace::{AuditEntry, Event, LogOf, Trace};
pub use verb::{Capabilities, Capability, Deed, Risk, Verb};
pub use words::UnknownWord;
