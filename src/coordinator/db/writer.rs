//! The one thread that writes: it takes all that waits, commits once, and
//! then tells everybody. In quiet moments it folds the log into the database,
//! so that no commit waits for that.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::coordinator::domain::Write;

use super::{DbError, Old, chain, connect, retention, rows, schema};

/// Jobs that may wait; who comes later waits to hand over.
const WAITING: usize = 1_024;
/// Jobs in one commit at most.
const GROUP: usize = 512;
/// A log of so many pages (4 KiB) is folded into the database as soon as it is quiet.
const FOLD: i32 = 1_000;
/// A log of so many pages is folded whether it is quiet or not.
const FOLD_NOW: i32 = 16_000;
/// So long without a job is quiet.
const QUIET: Duration = Duration::from_millis(100);
/// The log's file is cut to so many bytes once it was folded.
const LOG_BYTES: u32 = 64 << 20;

/// What a commit came to; shared, since a group shares it.
pub type Written = Result<u64, Arc<DbError>>;

enum Work {
    Rows(Arc<Vec<Write>>),
    /// Deletes audit rows before an instant in milliseconds; the answer is how many.
    CleanAudit(i64),
    /// Deletes rows of the history; the answer is how many.
    Delete(Old),
    /// Forgets what was submitted once, was taken out, and has no run left; the answer is how many tasks.
    Forget,
}

struct Job {
    work: Work,
    done: oneshot::Sender<Written>,
}

/// Hands rows to the writing thread. Ends it when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    /// Opens the database, brings its schema up to date, and starts the thread.
    ///
    /// # Errors
    /// What `SQLite` says, or that the schema is a newer program's.
    pub fn open(path: &Path) -> Result<(Self, JoinHandle<()>), DbError> {
        let mut connection = connect(path)?;
        schema::migrate(&mut connection)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        let log = Log::of(&mut connection)?;
        let (jobs, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("vigie-writer".to_owned())
            .spawn(move || write_all(connection, &log, &waiting))
            .map_err(|error| DbError::File(format!("can't start the writer: {error}")))?;
        Ok((Self { jobs }, thread))
    }

    /// Writes all of `writes` or none; returns once they are on disk.
    ///
    /// # Errors
    /// Nothing of them is on disk.
    pub async fn write(&self, writes: Arc<Vec<Write>>) -> Result<(), Arc<DbError>> {
        self.hand_over(Work::Rows(writes)).await.map(drop)
    }

    /// Deletes audit rows before an instant in milliseconds; gives how many.
    ///
    /// # Errors
    /// Nothing is deleted.
    pub async fn clean_audit(&self, before_ms: i64) -> Written {
        self.hand_over(Work::CleanAudit(before_ms)).await
    }

    /// Deletes rows of the history; gives how many.
    ///
    /// # Errors
    /// Nothing is deleted.
    pub async fn delete(&self, old: Old) -> Written {
        self.hand_over(Work::Delete(old)).await
    }

    /// Forgets the tasks that were submitted once, taken out, and have no run left; gives how many.
    ///
    /// # Errors
    /// Nothing is deleted.
    pub async fn forget(&self) -> Written {
        self.hand_over(Work::Forget).await
    }

    async fn hand_over(&self, work: Work) -> Written {
        let (done, written) = oneshot::channel();
        // The engine has one commit in flight and a built-in one more: there is always room.
        self.jobs.try_send(Job { work, done }).map_err(|_| Arc::new(DbError::Closed))?;
        written.await.map_err(|_| Arc::new(DbError::Closed))?
    }
}

/// How many pages the log beside the database has.
struct Log(Arc<AtomicI32>);

impl Log {
    /// Follows the log; `SQLite` no longer folds it by itself, in the middle of a commit.
    fn of(connection: &mut Connection) -> Result<Self, DbError> {
        let pages = Arc::new(AtomicI32::new(0));
        let seen = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self(pages))
    }

    fn pages(&self) -> i32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Folds what readers let go of. What does not come about now does so later.
    fn fold(&self, connection: &Connection) {
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the log can't be folded into the database yet");
        }
        // The next commit says how long it is.
        self.0.store(0, Ordering::Relaxed);
    }
}

fn write_all(mut connection: Connection, log: &Log, waiting: &Receiver<Job>) {
    loop {
        let first = if log.pages() < FOLD {
            waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            waiting.recv_timeout(QUIET)
        };
        match first {
            Ok(first) => {
                let mut group = vec![first];
                group.extend(waiting.try_iter().take(GROUP - 1));
                commit(&mut connection, group);
                if log.pages() >= FOLD_NOW {
                    log.fold(&connection);
                }
            }
            Err(RecvTimeoutError::Timeout) => log.fold(&connection),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // The last to leave folds the log into the database.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// Commits a group as one transaction; if that fails, each job alone, so that
/// one that can't be written does not take the others with it.
fn commit(connection: &mut Connection, group: Vec<Job>) {
    match attempt(connection, &group) {
        Ok(counts) => {
            for (job, count) in group.into_iter().zip(counts) {
                let _ = job.done.send(Ok(count));
            }
        }
        Err(error) if group.len() == 1 => {
            let error = Arc::new(error);
            for job in group {
                let _ = job.done.send(Err(error.clone()));
            }
        }
        Err(_) => {
            for job in group {
                let result = attempt(connection, std::slice::from_ref(&job));
                let result = result.map(|counts| counts.first().copied().unwrap_or(0)).map_err(Arc::new);
                let _ = job.done.send(result);
            }
        }
    }
}

fn attempt(connection: &mut Connection, group: &[Job]) -> Result<Vec<u64>, DbError> {
    #[cfg(test)]
    super::fault::before(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut counts = Vec::with_capacity(group.len());
    for job in group {
        counts.push(match &job.work {
            Work::Rows(writes) => {
                for write in writes.iter() {
                    rows::apply(&transaction, write)?;
                }
                writes.len() as u64
            }
            Work::CleanAudit(before) => chain::clean(&transaction, *before)?,
            Work::Delete(old) => retention::delete(&transaction, old)?,
            Work::Forget => retention::forget(&transaction)?,
        });
    }
    #[cfg(test)]
    super::fault::at_commit(&transaction)?;
    transaction.commit()?;
    Ok(counts)
}
