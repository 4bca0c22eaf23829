//! Reading TOML for people: every problem at once, each with its line and,
//! where something is misspelt, the nearest name.
//!
//! Shared by the configuration, `tasks.toml` and the themes. Pure: text in,
//! values and [`Problem`]s out. May import: `model`.

use crate::model::Clean;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The key path, such as `endpoint[1].poll`; empty for the whole file.
    pub path: Clean,
    /// What is wrong, and what would be right.
    pub message: Clean,
}

/// `line 3: endpoint[1].poll: …`
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.message)
    }
}
