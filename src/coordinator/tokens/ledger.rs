//! Where tokens are written: through the coordinator that runs on a data
//! directory, or straight into its database while none does.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::coordinator::db::{self, DbError, Reader, Writer};
use crate::coordinator::domain::Write;
use crate::coordinator::engine::Engine;
use crate::coordinator::lock::{self, DataLock, LockError};
use crate::coordinator::shell;
use crate::model::Clean;

use super::{TokenRefusal, Tokens};

/// See the module's text.
#[derive(Debug)]
pub(super) enum Ledger {
    /// A coordinator runs: its engine writes.
    Engine(Engine),
    /// None runs.
    AtRest(AtRest),
    /// Nothing is written: for tests of what is in memory.
    #[cfg(test)]
    Nowhere,
}

/// A database that nobody else has while this lives.
#[derive(Debug)]
pub(super) struct AtRest {
    writer: Option<Writer>,
    thread: Option<JoinHandle<()>>,
    _lock: DataLock,
}

/// The writer ends with its last hand; what it leaves is whole before the lock goes.
impl Drop for AtRest {
    fn drop(&mut self) {
        drop(self.writer.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Ledger {
    /// Writes all or nothing; returns once it is on disk.
    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), TokenRefusal> {
        let storage = |text: String| TokenRefusal::Storage(Clean::from(text));
        match self {
            Self::Engine(engine) => engine.record(writes).await.map_err(|error| storage(error.to_string())),
            Self::AtRest(AtRest { writer: Some(writer), .. }) => {
                writer.write(writes.into()).await.map_err(|error| storage(error.to_string()))
            }
            #[cfg(test)]
            Self::Nowhere => Ok(()),
            Self::AtRest(_) => Err(storage("the database is closed".to_owned())),
        }
    }
}

/// The tokens of a data directory can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A coordinator runs there, or the directory can't be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database can't be used.
    #[error("can't open {}: {cause}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        cause: Clean,
    },
}

/// The tokens of a data directory on which no coordinator runs, and none can while they are held.
///
/// # Errors
/// [`OpenError::Lock`] with the coordinator that runs there, or why the database can't be used.
pub async fn at_rest(data: &Path) -> Result<Tokens, OpenError> {
    let path = data.join(db::FILE);
    let failed = |error: DbError| OpenError::Database { path: path.clone(), cause: error.to_string().into() };
    let lock = lock::acquire(data)?;
    let open = path.clone();
    let opened = shell::blocking(move || Writer::open(&open)).await.unwrap_or(Err(DbError::Closed));
    let (writer, thread) = opened.map_err(failed)?;
    let ledger = AtRest { writer: Some(writer), thread: Some(thread), _lock: lock };
    let rows = Reader::new(&path).tokens().await.map_err(failed)?;
    Ok(Tokens::of(rows, Ledger::AtRest(ledger)))
}
