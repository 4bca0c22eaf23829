//! What carries a run out: everything that whoever starts the command has to
//! know, secrets included. It is passed on in memory or through a pipe, and
//! never written to disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::coordinator::domain::CommandSpec;
use crate::model::{RunId, TaskId};

/// How a run's command is started, and how it is stopped where a signal does not reach it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Launch {
    /// Program and arguments; never empty. Holds no secret.
    pub argv: Vec<String>,
    /// Added to the environment of whoever starts it. May hold secrets.
    pub env: BTreeMap<String, String>,
    /// Where it runs; the home directory, else `/`, if absent.
    pub cwd: Option<PathBuf>,
    /// What it reads on its standard input, which is empty if absent. May hold secrets.
    pub stdin: Option<String>,
    /// What must not be seen in its output.
    pub redact: Vec<String>,
    /// How it is stopped where it runs elsewhere.
    pub elsewhere: Option<Elsewhere>,
}

/// How a command is stopped that runs on another machine: by another command here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Where it runs, as people call it.
    pub machine: String,
    /// Has its process group ended by SIGTERM: program, arguments and standard input.
    pub terminate: (Vec<String>, String),
    /// Has its process group ended by SIGKILL.
    pub kill: (Vec<String>, String),
}

impl Launch {
    /// Of a command on this machine.
    #[must_use]
    pub fn here(command: &CommandSpec, task: &TaskId, run: &RunId, attempt: u32) -> Self {
        let mut env = command.env.clone();
        env.insert("VIGIE_TASK".to_owned(), task.as_raw().to_owned());
        env.insert("VIGIE_RUN".to_owned(), run.as_raw().to_owned());
        env.insert("VIGIE_ATTEMPT".to_owned(), attempt.to_string());
        Self { argv: command.argv.clone(), env, cwd: command.cwd.clone(), ..Self::default() }
    }
}

/// Without what may be secret.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("argv", &self.argv)
            .field("cwd", &self.cwd)
            .field("elsewhere", &self.elsewhere)
            .finish_non_exhaustive()
    }
}

/// Without what may be secret.
impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").field("machine", &self.machine).finish_non_exhaustive()
    }
}
