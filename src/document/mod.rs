//! Reading TOML for people: every problem at once, each with its line and,
//! where something is misspelt, the nearest name.
//!
//! Shared by the configuration, `tasks.toml` and the themes. Pure: text in,
//! values and [`Problem`]s out. May import: `model`.
//!
//! A [`Document`] is parsed once and collects what is wrong with it. Its
//! [`Table`]s give [`Value`]s, and a value that is not what was asked for
//! records a problem and gives `None`: a reader goes on with a default and asks
//! for [`Document::into_problems`] at the end. A table remembers which keys it
//! was asked for, so [`Table::finish`] knows what is misspelt.
//!
//! ```text
//! let document = Document::parse(text)?;
//! let root = document.root();
//! let theme = root.string("theme").unwrap_or_default();
//! for endpoint in root.tables("endpoint") {
//!     let name = endpoint.need("name").and_then(Value::string);
//!     let poll = endpoint.duration("poll");
//!     endpoint.finish();
//! }
//! root.finish();
//! let problems = document.into_problems();
//! ```

mod read;

use crate::model::Clean;

pub use read::{Document, Table, Value};

/// The text of a file.
///
/// # Errors
/// One problem, at the line where it is not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Vec<Problem>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|&byte| byte == b'\n').count();
        vec![Problem { line, path: "".into(), message: "is not UTF-8 text".into() }]
    })
}

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

/// The candidate that `word` is most likely a misspelling of, if any is near
/// enough: about one slip in three characters, or a beginning of at least three.
/// Case and the choice of `-` or `_` are no difference.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace('_', "-");
    let wanted = fold(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = fold(candidate);
            let distance = strsim::osa_distance(&wanted, &folded);
            let longer = wanted.chars().count().max(folded.chars().count());
            let begins = wanted.len() >= 3 && folded.starts_with(&wanted);
            (begins || distance <= longer.div_ceil(3).min(longer.saturating_sub(1)))
                .then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?`, or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

#[cfg(test)]
mod tests;
