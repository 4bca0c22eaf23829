//! The coordinator's database: `SQLite` in WAL with `synchronous=FULL`.
//!
//! One thread writes: it takes everything that waits, commits it as one
//! transaction, and only then says so to each. Readers have connections of
//! their own. The schema only ever moves forward, by `user_version`.
//!
//! Instants are whole milliseconds since 1970 (UTC); states and kinds are
//! their words; what is only ever read as a whole is JSON.

pub mod audit;
mod backup;
mod chain;
#[cfg(test)]
pub mod fault;
mod read;
mod retention;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod tokens;
mod writer;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::private;

pub use backup::back_up;
pub use chain::Verdict;
pub use read::{Kept, Overview, Reader};
pub use retention::{History, KEPT, MOST, Old, Owner};
pub use writer::Writer;

/// The database's file in the data directory.
pub const FILE: &str = "coordinator.db";

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` says no.
    #[error("the database: {error}{}", hint(.error))]
    Sqlite {
        /// Its word.
        #[from]
        error: rusqlite::Error,
    },
    /// A row does not hold what it should.
    #[error("the database: {0}")]
    Row(String),
    /// It was written by a newer vigie.
    #[error("the database has schema {found}, this vigie knows {known}: use the newer vigie that wrote it")]
    Newer {
        /// What it has.
        found: i64,
        /// What is known here.
        known: i64,
    },
    /// The writer has ended.
    #[error("the database is closed")]
    Closed,
    /// A file beside it.
    #[error("{0}")]
    File(String),
}

/// What to do about it, where that is known.
fn hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; make room on the disk that the data directory is on",
        Some(ErrorCode::SystemIoFailure) => {
            "; look at the disk that the data directory is on, and at the system's log"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program holds it: end that, only the coordinator may write to it"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; the data directory must be there, and writable for the coordinator's user"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "; stop the coordinator, move the database away with what is named like it, and put the newest of its own \
             backups in its place"
        }
        _ => "",
    }
}

/// How long a lock of another program is waited for.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// Statements that are kept ready.
const STATEMENTS: usize = 64;

/// The database's file is there and nobody else's. `SQLite` gives the log and
/// the index beside it the same mode; those of before get it here.
fn make_private(path: &Path) -> std::io::Result<()> {
    private::file(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        private::file_if_there(Path::new(&beside))?;
    }
    Ok(())
}

/// A connection that may write, with everything set as it must be.
fn connect(path: &Path) -> Result<Connection, DbError> {
    make_private(path).map_err(|error| DbError::File(format!("can't open {}: {error}", path.display())))?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(connection)
}
