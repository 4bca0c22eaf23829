//! Which password was refused, kept over processes: a `vigie status` every
//! minute would otherwise lock the account with a bad one. Only a salted,
//! slow digest is on disk, readable to its owner alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

/// How often the digest is taken.
const ROUNDS: u32 = 20_000;
/// Bytes of salt.
const SALT: usize = 16;
/// So long it counts: the password may have been made the right one over there. One try
/// a day locks nobody out.
pub const LAPSES: TimeDelta = TimeDelta::days(1);

/// Who would log in where, and with what.
pub struct Account<'a> {
    /// The web application.
    pub url: String,
    /// The name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

/// Passwords that were refused, one per account.
pub struct Refusals(Option<PathBuf>);

impl Refusals {
    /// Kept in `folder`; nowhere, if there is none.
    pub const fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// Whether this very password was refused lately. What can't be read is as if it were not there.
    pub fn remembers(&self, account: &Account<'_>, now: DateTime<Utc>) -> bool {
        let Some(path) = self.path(account) else { return false };
        let Ok(text) = std::fs::read_to_string(path) else { return false };
        let mut words = text.split_whitespace();
        let (Some(salt), Some(kept), Some(at)) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        let at = at.parse().ok().and_then(|at| DateTime::from_timestamp(at, 0));
        at.is_some_and(|at| now - at < LAPSES) && digest(salt, account) == kept
    }

    /// Notes that it was refused. A folder that can't be written costs only the memory of other processes.
    pub fn remember(&self, account: &Account<'_>, now: DateTime<Utc>) {
        let (Some(path), Some(folder)) = (self.path(account), &self.0) else { return };
        let salt: [u8; SALT] = rand::random();
        let salt = hex(&salt);
        let line = format!("{salt} {} {}\n", digest(&salt, account), now.timestamp());
        if let Err(error) = write(folder, &path, &line) {
            tracing::warn!(%error, "a refused login can't be noted: other processes will try it too");
        }
    }

    /// It was let in after all.
    pub fn forget(&self, account: &Account<'_>) {
        if let Some(path) = self.path(account) {
            // There rarely is one.
            drop(std::fs::remove_file(path));
        }
    }

    fn path(&self, account: &Account<'_>) -> Option<PathBuf> {
        let name = Sha256::digest(format!("{}\n{}", account.url, account.username));
        Some(self.0.as_ref()?.join(format!("{}.refused", &hex(&name)[..32])))
    }
}

fn write(folder: &Path, path: &Path, line: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(line.as_bytes())
}

fn digest(salt: &str, account: &Account<'_>) -> String {
    let mut digest = Sha256::digest(format!("{salt}\n{}\n{}", account.username, account.password));
    for _ in 1..ROUNDS {
        digest = Sha256::digest(digest);
    }
    hex(&digest)
}

fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let pairs = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    pairs.map(|digit| char::from(digits[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_password_is_known_again_and_not_legible() {
        let now: DateTime<Utc> = "2026-11-20T07:00:00Z".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let refusals = Refusals::new(Some(folder.path().join("state")));
        let account = |password| Account { url: "http://h".to_owned(), username: "admin", password };
        assert!(!refusals.remembers(&account("hunter2"), now));
        refusals.remember(&account("hunter2"), now);
        assert!(
            refusals.remembers(&account("hunter2"), now) && !refusals.remembers(&account("hunter3"), now)
        );
        let file = std::fs::read_dir(folder.path().join("state")).unwrap().next().unwrap().unwrap();
        assert!(!std::fs::read_to_string(file.path()).unwrap().contains("hunter"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(!refusals.remembers(&account("hunter2"), now + LAPSES), "one try a day");
        refusals.forget(&account("hunter2"));
        assert!(!refusals.remembers(&account("hunter2"), now));
        assert!(!Refusals::new(None).remembers(&account("x"), now));
    }
}
