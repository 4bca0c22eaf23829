//! Copying: to the terminal's clipboard by OSC 52, and into a file, since no
//! terminal says whether it took it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

/// The bytes that ask the terminal to take `text`.
pub(super) fn sequence(text: &str) -> Vec<u8> {
    let mut out = String::new();
    // Writing into memory does not fail.
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut out).unwrap_or_default();
    out.into_bytes()
}

/// Keeps `text` in a file under `state` that only its owner can read.
///
/// # Errors
/// What the file system says.
pub(super) fn keep(state: &Path, text: &str) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    let path = state.join("clipboard.txt");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

/// What to tell about a copy: how much, where else it is, and in tmux, what it takes.
pub(super) fn told(text: &str, kept: &io::Result<PathBuf>, tmux: bool) -> Result<String, String> {
    let what = match text.trim_end().lines().count() {
        0 | 1 => format!("copied {}", text.trim_end()),
        lines => format!("copied {lines} lines"),
    };
    // Before the path, which a narrow line cuts.
    let hint = if tmux { " (tmux needs: set -g set-clipboard on)" } else { "" };
    match kept {
        Ok(path) => Ok(format!("{what}{hint}, also to {}", path.display())),
        Err(error) => Err(format!("{what}{hint}, but not to a file: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_a_sequence_a_private_file_and_a_word() {
        assert_eq!(sequence("hello"), b"\x1b]52;c;aGVsbG8=\x1b\\");
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("new/state");
        let kept = keep(&state, "a\nb\n");
        let path = kept.as_ref().unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a\nb\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let said = told("a\nb\n", &kept, true).unwrap();
        assert!(said.starts_with("copied 2 lines (tmux needs: set -g set-clipboard on), also to "), "{said}");
        assert!(told("x", &Err(io::Error::other("disk full")), false).unwrap_err().contains("disk full"));
    }
}
