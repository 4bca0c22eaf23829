//! Where the sockets of shared connections lie: in the data directory if that
//! is short enough, else in a private folder of the runtime directory or `/tmp`.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::coordinator::domain::MachineSpec;
use crate::coordinator::private;

/// The longest path of a socket, in bytes, without its end: 104 on BSD and
/// macOS (`sun_path` in sys/un.h), 108 on Linux.
const MAX_PATH: usize = 103;
/// What comes after the folder: `/`, eight digits, `-`, the 40 of ssh's `%C`,
/// and the `.` and 16 characters that ssh adds while it makes the socket.
const NAME: usize = 1 + 8 + 1 + 40 + 17;

/// A private folder for sockets, which is there.
///
/// # Errors
/// None can be made.
pub(super) fn folder(data: &Path) -> io::Result<String> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for candidate in candidates(data) {
        let Some(text) = candidate.to_str().filter(|text| is_fit(text)) else { continue };
        match private_folder(&candidate) {
            Ok(()) => return Ok(text.to_owned()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn candidates(data: &Path) -> Vec<PathBuf> {
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let name = format!(
        "vigie-{}-{}",
        rustix::process::getuid().as_raw(),
        digest(&[data.as_os_str().as_encoded_bytes()])
    );
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let mut candidates = vec![data.join("ssh")];
    candidates.extend(runtime.into_iter().chain([PathBuf::from("/tmp")]).map(|folder| folder.join(&name)));
    candidates
}

/// Whether ssh can make a socket there, and reads the name as it is written.
fn is_fit(folder: &str) -> bool {
    folder.len() + NAME <= MAX_PATH && !folder.contains(['"', '\\', '\n', '%', '$', '~'])
}

/// Makes it, or takes one that is ours alone: in `/tmp` anybody may have made one of that name.
fn private_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(known) if !known.is_dir() || known.uid() != rustix::process::getuid().as_raw() => {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                format!("{} is not a folder of this user", path.display()),
            ));
        }
        _ => {}
    }
    private::folder(path)
}

/// The socket of a machine, as ssh reads it. Machines that ssh would take for
/// one, but that are defined otherwise, share nothing.
pub(super) fn path(folder: &str, machine: &MachineSpec) -> String {
    let config = machine.ssh_config.as_deref().map_or(&b""[..], |file| file.as_os_str().as_encoded_bytes());
    let policy = format!("{:?}", machine.known_hosts);
    format!("{folder}/{}-%C", digest(&[machine.host.as_bytes(), config, policy.as_bytes()]))
}

/// Eight digits.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    crate::coordinator::announce::hex(&hash.finalize()[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_directory_has_its_sockets_elsewhere() {
        let short = tempfile::Builder::new().prefix("v").tempdir_in("/tmp").unwrap();
        let here = folder(short.path()).unwrap();
        assert_eq!(here, short.path().join("ssh").to_str().unwrap());
        let long = short.path().join("a".repeat(100));
        fs::create_dir(&long).unwrap();
        let there = folder(&long).unwrap();
        assert!(!there.starts_with(long.to_str().unwrap()), "{there}");
        assert!(there.len() + NAME <= MAX_PATH, "{there}");
        assert_eq!(fs::metadata(&there).unwrap().mode() & 0o777, 0o700);
        assert_eq!(folder(&long).unwrap(), there);
        fs::remove_dir_all(there).unwrap();
    }

    #[test]
    fn a_folder_that_somebody_else_has_put_there_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        assert!(private_folder(&link).is_err());
    }
}
