//! The filter language: what is typed after `/`, and after `--filter`.
//!
//! Terms are separated by spaces, and all of them must hold:
//!
//! | term | holds for |
//! |---|---|
//! | `dump` | what has the word in name, id, endpoint, team or machine; from four letters on also with some letters left out, in name or id (`dsk-spce`) |
//! | `/^db-\d+$/` | what matches the regular expression in one of those, without regard to case |
//! | `state:late,failing` | one of these states; for runs and endpoints theirs |
//! | `name:` `id:` `alias:` `class:` `endpoint:` `team:` `machine:` | what has the text there; with `=` (`team:=data`) what is exactly that |
//! | `label:env=prod` `label:env` | the label with that value, or at all |
//! | `p:1` `p:1,2` `p:<=2` | the priority |
//! | `age:>2h` | how long ago its last run ended |
//! | `late:>5m` | how late it is, verified or not |
//! | `evidence:stale,skewed` | how well it is known |
//! | `kind:` `severity:` | an alert's kind and severity, an endpoint's kind |
//! | `is:paused` | one of [`Flag::ALL`] |
//!
//! `-` or `!` before a term turns it round; quotes keep spaces and commas
//! (`team:"night shift"`). A term about something that a row does not have
//! does not hold for it.

mod parse;
mod subject;
mod term;
#[cfg(test)]
mod tests;
mod texts;

use std::fmt;

use chrono::{DateTime, Utc};

use super::rows::{AlertRow, EndpointRow, QueueRow, RunRow, TaskRow};
use crate::model::Clean;
pub(super) use subject::Subject;
pub use term::Flag;
use term::Term;

/// A filter that has been read. The empty one lets everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Where the bad term begins, in characters from 0.
    pub position: usize,
    /// What is wrong, and what would be right.
    pub message: Clean,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`FilterError`] with the first term that can't be read.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text).map(|terms| Self { terms })
    }

    /// Whether it lets everything through.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether what it lets through changes with the time alone.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.terms.iter().any(Term::is_timed)
    }

    /// Whether it lets through what a row says.
    pub(super) fn holds(&self, subject: &Subject, now: DateTime<Utc>) -> bool {
        self.terms.iter().all(|term| term.holds(subject, now))
    }

    /// Whether it lets a task through.
    #[must_use]
    pub fn matches(&self, row: &TaskRow, now: DateTime<Utc>) -> bool {
        self.is_empty() || self.holds(&Subject::task(row), now)
    }

    /// Whether it lets a run through: by its own state, priority and end, and by its task.
    #[must_use]
    pub fn matches_run(&self, row: &RunRow, now: DateTime<Utc>) -> bool {
        self.is_empty() || self.holds(&Subject::run(row), now)
    }

    /// Whether it lets a queue through.
    #[must_use]
    pub fn matches_queue(&self, row: &QueueRow, now: DateTime<Utc>) -> bool {
        self.is_empty() || self.holds(&Subject::queue(row), now)
    }

    /// Whether it lets an alert through: by its kind and severity, and by its task.
    #[must_use]
    pub fn matches_alert(&self, row: &AlertRow, now: DateTime<Utc>) -> bool {
        self.is_empty() || self.holds(&Subject::alert(row, now), now)
    }

    /// Whether it lets an endpoint through.
    #[must_use]
    pub fn matches_endpoint(&self, row: &EndpointRow, now: DateTime<Utc>) -> bool {
        self.is_empty() || self.holds(&Subject::endpoint(row), now)
    }
}

/// In its shortest form, which reads back as the same filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{term}")?;
        }
        Ok(())
    }
}
