//! Files and folders of the coordinator's own user: what they hold (output of
//! commands, names, the audit log) is nobody else's business, wherever the
//! data directory lies and whatever the umask is.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// Makes a folder of our own, with those above it; one that is there becomes private.
///
/// # Errors
/// What the file system says.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(FOLDER).create(path)?;
    restrict(path, FOLDER)
}

/// Makes an empty file, or makes one that is there private.
///
/// # Errors
/// What the file system says.
pub(super) fn file(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(FILE).open(path)?;
    restrict(path, FILE)
}

/// Makes a file private if it is there.
///
/// # Errors
/// What the file system says.
pub(super) fn file_if_there(path: &Path) -> io::Result<()> {
    match restrict(path, FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Opens a file for more; a new one is private.
///
/// # Errors
/// What the file system says.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(FILE).open(path)
}

/// Opens an empty file in the place of whatever was there.
///
/// # Errors
/// What the file system says.
pub(super) fn replace(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(FILE).open(path)
}

fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    if std::fs::metadata(path)?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}
