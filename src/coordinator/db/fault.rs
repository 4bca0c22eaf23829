//! Faults of the disk, for tests: what the writer of a database meets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ffi};

use super::DbError;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database may not grow.
    Full,
    /// The disk does not take what is committed.
    Io,
}

static FAULTS: Mutex<BTreeMap<PathBuf, Fault>> = Mutex::new(BTreeMap::new());

/// From now on the writer of the database at `path` meets this; `None`: the disk is well again.
pub fn set(path: &Path, fault: Option<Fault>) {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    match fault {
        Some(fault) => faults.insert(path.to_owned(), fault),
        None => faults.remove(path),
    };
}

fn of(connection: &Connection) -> Option<Fault> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).get(Path::new(connection.path()?)).copied()
}

/// Before a transaction.
pub(super) fn before(connection: &Connection) -> Result<(), DbError> {
    let most = if of(connection) == Some(Fault::Full) { 1 } else { u32::MAX - 1 };
    // What it has already is not taken away: then it may just not grow.
    connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
    Ok(())
}

/// When it is to be committed.
pub(super) fn at_commit(connection: &Connection) -> Result<(), DbError> {
    if of(connection) != Some(Fault::Io) {
        return Ok(());
    }
    let error = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
    Err(rusqlite::Error::SqliteFailure(error, Some("disk I/O error".to_owned())).into())
}
