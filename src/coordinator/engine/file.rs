//! The task file, as it is read and spoken of.

use std::io::ErrorKind;
use std::path::Path;

use crate::model::Clean;

/// What is to be known of every task while the file is bad.
pub(super) fn remarks(problems: &[Clean]) -> Vec<Clean> {
    match problems {
        [] => Vec::new(),
        [one] => vec![Clean::from(format!("the task file is not taken, tasks are as before: {one}"))],
        [first, rest @ ..] => {
            let count = rest.len();
            vec![Clean::from(format!(
                "the task file is not taken, tasks are as before: {first}; and {count} more"
            ))]
        }
    }
}

/// The text of the task file; one that is not there is empty.
pub(super) async fn read_file(path: &Path) -> Result<String, Clean> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Clean::from(format!("{}: can't be read: {error}", path.display()))),
    }
}
