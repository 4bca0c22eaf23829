//! The coordinator's database: `SQLite` in WAL with `synchronous=FULL`.
//!
//! One thread writes: it takes everything that waits, commits it as one
//! transaction, and only then says so to each. Readers have connections of
//! their own. The schema only ever moves forward, by `user_version`.
//!
//! Instants are whole milliseconds since 1970 (UTC); states and kinds are
//! their words; what is only ever read as a whole is JSON.

mod backup;
mod chain;
mod read;
mod retention;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod tokens;
mod writer;

use std::path::Path;

use rusqlite::Connection;

use super::private;

pub use backup::back_up;
pub use read::{Kept, Overview, Reader};
pub use retention::{History, KEPT, MOST, Old, Owner};
pub use writer::Writer;

/// The database's file in the data directory.
pub const FILE: &str = "coordinator.db";

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` says no.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
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
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(connection)
}
