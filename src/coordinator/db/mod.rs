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
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use rusqlite::Connection;

pub use backup::back_up;
pub use read::Reader;
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

/// A connection that may write, with everything set as it must be.
fn connect(path: &Path) -> Result<Connection, DbError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(connection)
}
