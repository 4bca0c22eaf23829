//! An online backup: a copy that is whole, made while the coordinator writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::coordinator::private;

use super::{DbError, Reader};

/// Backups that are kept.
const KEPT: usize = 7;
/// How the files begin; the rest is the time, so that names are in order.
const PREFIX: &str = "coordinator-";
/// Pages per step; between two steps writers may write.
const PAGES: i32 = 256;

/// A backup that was made and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// How large.
    pub bytes: u64,
    /// Older ones that were deleted.
    pub deleted: Vec<PathBuf>,
}

/// Copies the database into `folder` under a name with `stamp`, verifies the
/// copy, and deletes all but the newest seven. Waits: not for an async thread.
///
/// # Errors
/// What went wrong. A copy that is not whole is not kept.
pub fn back_up(reader: &Reader, folder: &Path, stamp: &str) -> Result<Backup, DbError> {
    let file = |what: &str, path: &Path, error: std::io::Error| {
        DbError::File(format!("can't {what} {}: {error}", path.display()))
    };
    private::folder(folder).map_err(|error| file("create", folder, error))?;
    let path = folder.join(format!("{PREFIX}{stamp}.db"));
    let partial = folder.join(format!("{PREFIX}{stamp}.db.partial"));
    let _ = std::fs::remove_file(&partial);
    private::file(&partial).map_err(|error| file("create", &partial, error))?;
    let made = copy(reader, &partial)
        .and_then(|()| std::fs::rename(&partial, &path).map_err(|error| file("rename", &partial, error)));
    if let Err(error) = made {
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    let bytes = std::fs::metadata(&path).map_err(|error| file("read", &path, error))?.len();
    let deleted = delete_old(folder).map_err(|error| file("clean up", folder, error))?;
    Ok(Backup { path, bytes, deleted })
}

fn copy(reader: &Reader, to: &Path) -> Result<(), DbError> {
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
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    })?;
    verify(to)?;
    // On disk before the old ones go.
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| DbError::File(format!("can't flush {}: {error}", to.display())))
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

fn delete_old(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut backups: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
            name.starts_with(PREFIX) && path.extension().is_some_and(|extension| extension == "db")
        })
        .collect();
    backups.sort();
    let old = backups.len().saturating_sub(KEPT);
    backups.truncate(old);
    for path in &backups {
        std::fs::remove_file(path)?;
    }
    Ok(backups)
}
