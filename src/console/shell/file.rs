//! Files whose content is to be sent.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::model::{Clean, Payload};
use crate::runtime::payload;

/// Reads the file at a path as it was typed; `~/` is below `home`. May wait for a disk.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn read(typed: &str, home: Option<&Path>) -> Result<Payload, Clean> {
    let path = match (typed.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(typed),
    };
    let name = path.display();
    let wrong = |why: &dyn std::fmt::Display| Clean::from(format!("{name}: {why}"));
    // Opening a pipe would wait for who writes into it, for ever perhaps.
    let about = std::fs::metadata(&path).map_err(|error| wrong(&error))?;
    if !about.is_file() {
        return Err(wrong(&"is no file"));
    }
    let file = File::open(&path).map_err(|error| wrong(&error))?;
    payload::read(file).map_err(|why| Clean::from(format!("{name} {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_where_it_was_typed_to_be() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("item.json"), b"{}").unwrap();
        std::fs::write(home.path().join("empty"), b"").unwrap();
        let read = |typed: &str| read(typed, Some(home.path()));
        assert_eq!(read("~/item.json").unwrap().content(), Some(b"{}".as_slice()));
        let whole = home.path().join("item.json").display().to_string();
        assert_eq!(read(&whole).unwrap().bytes(), 2);
        for (typed, wrong) in [("~/missing", "No such file"), ("~/empty", "is empty"), ("~/", "is no file")] {
            let said = read(typed).unwrap_err();
            assert!(said.contains(wrong), "{typed}: {said}");
        }
    }
}
