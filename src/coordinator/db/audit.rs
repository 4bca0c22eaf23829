//! The audit log from outside: read, verified and added to by commands, beside
//! a coordinator that runs or without one.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::coordinator::domain::Audit;
use crate::coordinator::lock;
use crate::wire::{AuditEnds, AuditRow};

use super::{DbError, FILE, Reader, Verdict, chain, connect, schema};

/// Opens the database of a data directory for reading.
fn open(data: &Path) -> Result<Connection, DbError> {
    let path = data.join(FILE);
    if !path.exists() {
        return Err(DbError::File(format!("there is no coordinator's database at {}", path.display())));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    match schema::version(&connection)? {
        (found, known) if found > known => Err(DbError::Newer { found, known }),
        (found, known) if found < known => Err(DbError::File(format!(
            "{} is of an earlier vigie: run this version's coordinator on it once",
            path.display()
        ))),
        _ => Ok(connection),
    }
}

/// Walks the audit log's chain in the data directory `data`, as it was at one moment.
///
/// # Errors
/// There is no database, or it can't be read.
pub fn verify(data: &Path) -> Result<Verdict, DbError> {
    let mut connection = open(data)?;
    chain::verify(&*connection.transaction()?)
}

/// Passes on every row from `since` on, oldest first, as they were at one
/// moment, until `each` fails.
///
/// # Errors
/// There is no database, or it can't be read. Inside: what `each` failed by.
pub fn export<E>(
    data: &Path,
    since: Option<DateTime<Utc>>,
    each: impl FnMut(AuditRow) -> Result<(), E>,
) -> Result<Result<(), E>, DbError> {
    let mut connection = open(data)?;
    let since_ms = since.map_or(i64::MIN, |since| since.timestamp_millis());
    chain::each(&*connection.transaction()?, since_ms, each)
}

/// Appends a row to the audit log of the data directory `data`, beside a
/// coordinator that may be running on it. Without a database one is made.
///
/// # Errors
/// It can't be written, or a coordinator of another version runs on it.
pub fn record(data: &Path, audit: &Audit) -> Result<(), DbError> {
    let mut connection = connect(&data.join(FILE))?;
    let (found, known) = schema::version(&connection)?;
    if found != known {
        // Nobody else may be using it while its schema changes.
        let _lock = lock::acquire(data).map_err(|error| DbError::File(error.to_string()))?;
        schema::migrate(&mut connection)?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    chain::append(&transaction, audit)?;
    Ok(transaction.commit()?)
}

impl Reader {
    /// A page of the audit log, newest first, before a row's number.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn audit(&self, limit: usize, before: Option<u64>) -> Result<Vec<AuditRow>, DbError> {
        self.read(move |connection| chain::page(connection, limit, before)).await
    }

    /// A page of the audit log, oldest first, after a row's number.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn audit_after(&self, limit: usize, after: u64) -> Result<Vec<AuditRow>, DbError> {
        self.read(move |connection| chain::page_after(connection, limit, after)).await
    }

    /// Both ends of the audit log.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn audit_ends(&self) -> Result<AuditEnds, DbError> {
        let (anchor, head) =
            self.read(|connection| chain::ends(&*connection.unchecked_transaction()?)).await?;
        Ok(AuditEnds { anchor: anchor.as_ref().map(Into::into), head: head.as_ref().map(Into::into) })
    }

    /// Walks the audit log's chain.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn verify_audit(&self) -> Result<Verdict, DbError> {
        self.read(|connection| chain::verify(&*connection.unchecked_transaction()?)).await
    }
}
