//! An online backup: a copy that is whole, made while the coordinator writes.
//!
//! It says of itself that it is one and of when: what was about to start then
//! may have run since, so that a coordinator that is restored from it does not
//! start it. The vault lies beside it, as encrypted as it is, without its key.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, params};

use crate::coordinator::private;

use super::{DbError, Reader};

/// Backups that are kept.
const KEPT: usize = 7;
/// How the copies of the database begin; the rest is the time, so that names are in order.
const DATABASE: &str = "coordinator-";
/// How the copies of the vault beside them begin.
const VAULT: &str = "vault-";
/// The name in `meta` of when a backup was made, in milliseconds.
pub(super) const MARK: &str = "backup_of";
/// Pages per step; between two steps writers may write.
const PAGES: i32 = 256;

/// A backup that was made and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The copy of the database.
    pub path: PathBuf,
    /// How large that is.
    pub bytes: u64,
    /// The copy of the vault, if there is a vault.
    pub vault: Option<PathBuf>,
    /// Older files that were deleted.
    pub deleted: Vec<PathBuf>,
}

/// Copies the database and the vault's file (which need not be there) into
/// `folder`, with `now` in their names, verifies the copy, and deletes all but
/// the newest seven. Waits: not for an async thread.
///
/// # Errors
/// What went wrong. A copy that is not whole is not kept.
pub fn back_up(reader: &Reader, vault: &Path, folder: &Path, now: DateTime<Utc>) -> Result<Backup, DbError> {
    let stamp = now.format("%Y%m%dT%H%M%S%3fZ");
    private::folder(folder).map_err(|error| failed("create", folder, &error))?;
    let path = folder.join(format!("{DATABASE}{stamp}.db"));
    // First: where a copy of the database is, that of the vault is too.
    let beside = folder.join(format!("{VAULT}{stamp}.age"));
    let there = whole(&beside, |partial| copy_vault(vault, partial))?;
    whole(&path, |partial| copy(reader, partial, now).map(|()| true))?;
    let bytes = std::fs::metadata(&path).map_err(|error| failed("read", &path, &error))?.len();
    let deleted = delete_old(folder).map_err(|error| failed("clean up", folder, &error))?;
    Ok(Backup { path, bytes, vault: there.then_some(beside), deleted })
}

fn failed(what: &str, path: &Path, error: &io::Error) -> DbError {
    DbError::File(format!("can't {what} {}: {error}", path.display()))
}

/// Has `fill` write a private file, which gets its name once it is whole, or
/// goes if there is nothing to be in it. Gives whether there was.
fn whole(path: &Path, fill: impl FnOnce(&Path) -> Result<bool, DbError>) -> Result<bool, DbError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let _ = std::fs::remove_file(&partial);
    private::file(&partial).map_err(|error| failed("create", &partial, &error))?;
    let made = fill(&partial).and_then(|filled| {
        if filled {
            flush(&partial)
                .and_then(|()| std::fs::rename(&partial, path))
                .map_err(|error| failed("write", path, &error))?;
        }
        Ok(filled)
    });
    if !matches!(made, Ok(true)) {
        let _ = std::fs::remove_file(&partial);
    }
    made
}

/// On disk before the old ones go.
fn flush(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// It is only ever replaced as a whole: what is open is of one moment. Gives whether it is there.
fn copy_vault(from: &Path, to: &Path) -> Result<bool, DbError> {
    let mut from_file = match std::fs::File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("read", from, &error)),
    };
    let mut to_file = private::append(to).map_err(|error| failed("write", to, &error))?;
    io::copy(&mut from_file, &mut to_file).map_err(|error| failed("copy", from, &error))?;
    Ok(true)
}

fn copy(reader: &Reader, to: &Path, now: DateTime<Utc>) -> Result<(), DbError> {
    reader.read_here(|from| {
        let mut copy = Connection::open(to)?;
        // Of one moment, whatever is written meanwhile: without it the copy
        // would begin anew with every commit, and never end on a busy day.
        let moment = from.unchecked_transaction()?;
        moment.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        let backup = rusqlite::backup::Backup::new(from, &mut copy)?;
        backup.run_to_completion(PAGES, Duration::ZERO, None)?;
        drop(backup);
        moment.finish()?;
        // A copy needs no log beside it.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        let mark = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
        copy.execute(mark, params![MARK, now.timestamp_millis().to_string()])?;
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    })?;
    verify(to)
}

fn verify(path: &Path) -> Result<(), DbError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let verdict: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(DbError::Row(format!("the copy {} is not whole: {verdict}", path.display())))
    }
}

/// Deletes all but the newest copies, and what lies beside those that are gone.
fn delete_old(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let names: Vec<String> =
        std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let of = |prefix: &str, suffix: &str| {
        let stamp = |name: &String| Some(name.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned());
        names.iter().filter_map(stamp).collect::<BTreeSet<String>>()
    };
    let (databases, vaults) = (of(DATABASE, ".db"), of(VAULT, ".age"));
    let kept: BTreeSet<&String> = databases.iter().rev().take(KEPT).collect();
    let old = |prefix: &'static str, stamps: &BTreeSet<String>, suffix: &'static str| {
        let old = stamps.iter().filter(|stamp| !kept.contains(stamp));
        old.map(|stamp| folder.join(format!("{prefix}{stamp}{suffix}"))).collect::<Vec<_>>()
    };
    let mut deleted = old(DATABASE, &databases, ".db");
    deleted.extend(old(VAULT, &vaults, ".age"));
    for path in &deleted {
        std::fs::remove_file(path)?;
    }
    Ok(deleted)
}
