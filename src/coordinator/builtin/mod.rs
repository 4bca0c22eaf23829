//! The tasks that are always there, carried out by the coordinator itself.
//!
//! Each says what it does in its run's log, and its failure fails the run.

mod audit_cleanup;
mod disk_space;
mod overdue;
mod self_backup;

use std::path::PathBuf;

use crate::model::{Clean, Dialect, Schedule, Timing};

use super::SharedClock;
use super::db::{Reader, Writer};
use super::domain::{BuiltIn, Definition, Outcome, Work};
use super::exec::{LogWriter, Logs};

/// What the built-ins work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// Time.
    pub clock: SharedClock,
    /// Reads the database.
    pub reader: Reader,
    /// Writes it.
    pub writer: Writer,
    /// The logs of runs.
    pub logs: Logs,
    /// The data directory.
    pub data: PathBuf,
    /// Asks the engine, which owns the state.
    pub engine: super::engine::Inside,
}

/// Why a built-in failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("its log can't be written: {error}"))
    }
}

impl From<super::db::DbError> for Failure {
    fn from(error: super::db::DbError) -> Self {
        Self(error.to_string())
    }
}

/// All of them, as they are always there.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    BuiltIn::ALL.into_iter().map(definition).collect()
}

fn definition(which: BuiltIn) -> Definition {
    let (expression, description) = match which {
        BuiltIn::OverdueCheck => (
            "*/5 * * * *",
            "Recomputes lateness from the database alone, prints what is overdue, opens what was missed",
        ),
        BuiltIn::AuditLogCleanup => (
            "0 2 * * *",
            "Deletes what is older than 90 days of the audit log, and of runs (with their logs), flips and \
                 closed alerts all but each task's newest 1,000; takes out one-off tasks that ended before",
        ),
        BuiltIn::DiskSpace => {
            ("*/10 * * * *", "Fails when a file system that vigie writes to has less than 5 % and 1 GiB left")
        }
        BuiltIn::SelfBackup => {
            ("30 3 * * *", "Backs up vigie's own database and vault, verifies the copy, keeps the last 7")
        }
    };
    let mut definition = Definition::new(which.id(), Work::BuiltIn(which));
    definition.description = Some(Clean::line(description));
    definition.schedule = Some(Schedule {
        timing: Timing::Cron { expression: Clean::line(expression), dialect: Dialect::Unix },
        zone: "UTC".into(),
        assumed: false,
    });
    definition
}

/// Carries one out. Its last words become the run's message.
pub async fn carry_out(which: BuiltIn, context: &Context, log: &mut LogWriter) -> Outcome {
    let result = match which {
        BuiltIn::OverdueCheck => overdue::run(context, log).await,
        BuiltIn::AuditLogCleanup => audit_cleanup::run(context, log).await,
        BuiltIn::DiskSpace => disk_space::run(context, log),
        BuiltIn::SelfBackup => self_backup::run(context, log).await,
    };
    match result {
        Ok(()) => Outcome { good: true, message: log.last_line().map(Clean::from), ..Outcome::default() },
        Err(Failure(message)) => {
            // If the log is what failed, the run's message says so all the same.
            let _ = log.line(&message);
            Outcome { message: Some(Clean::from(message)), ..Outcome::default() }
        }
    }
}
