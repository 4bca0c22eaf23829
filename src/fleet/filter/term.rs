//! One term: what it says, and how it is decided.

use std::fmt;

use chrono::{DateTime, Utc};
use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

use super::subject::Subject;
use super::texts::{Letters, Texts};
use crate::model::{Evidence, Severity, duration_text};

/// From so many letters on, a word is looked for with letters left out too.
const LOOSE_FROM: usize = 4;
/// The most memory that one regular expression may take when compiled, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// A key whose values are texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Id,
    Endpoint,
    Team,
    Machine,
    Class,
    Alias,
}

impl Field {
    pub const ALL: [Self; 7] =
        [Self::Name, Self::Id, Self::Endpoint, Self::Team, Self::Machine, Self::Class, Self::Alias];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Id => "id",
            Self::Endpoint => "endpoint",
            Self::Team => "team",
            Self::Machine => "machine",
            Self::Class => "class",
            Self::Alias => "alias",
        }
    }
}

/// What `is:` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// Stopped on purpose.
    Paused,
    /// Put away.
    Archived,
    /// Failing, late or absent.
    Problem,
    /// Would be late, on evidence that does not cover it.
    Unverified,
    /// Has receipts beside it.
    Pending,
    /// Its schedule is assumed.
    Assumed,
    /// An alert that somebody took.
    Acknowledged,
    /// An alert that is silenced or snoozed.
    Silenced,
}

impl Flag {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::Paused,
        Self::Archived,
        Self::Problem,
        Self::Unverified,
        Self::Pending,
        Self::Assumed,
        Self::Acknowledged,
        Self::Silenced,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Archived => "archived",
            Self::Problem => "problem",
            Self::Unverified => "unverified",
            Self::Pending => "pending",
            Self::Assumed => "assumed",
            Self::Acknowledged => "acknowledged",
            Self::Silenced => "silenced",
        }
    }

    /// Its bit in a subject's flags.
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::LessOrEqual, "<="), (Self::GreaterOrEqual, ">="), (Self::Less, "<"), (Self::Greater, ">")];

    fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(compare, _)| *compare == self).map_or("", |(_, sign)| sign)
    }
}

/// What a term says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Word(Box<Word>),
    Pattern(Pattern),
    Text(Field, Vec<TextValue>),
    State(Vec<&'static str>),
    Kind(Vec<&'static str>),
    Severity(Vec<Severity>),
    Evidence(Vec<Evidence>),
    Label(String, Option<String>),
    Priorities(Vec<u8>),
    Priority(Compare, u8),
    /// Seconds since the last run ended.
    Age(Compare, u64),
    /// Seconds since the slot.
    Late(Compare, u64),
    Is(Vec<Flag>),
}

/// A term.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    pub negated: bool,
    pub test: Test,
}

impl Term {
    pub fn holds(&self, subject: &Subject, now: DateTime<Utc>) -> bool {
        self.test.holds(subject, now) != self.negated
    }

    pub const fn is_timed(&self) -> bool {
        matches!(self.test, Test::Age(..) | Test::Late(..))
    }
}

impl Test {
    fn holds(&self, subject: &Subject, now: DateTime<Utc>) -> bool {
        match self {
            Self::Word(word) => word.holds(&subject.texts),
            Self::Pattern(pattern) => subject.texts.each().any(|text| pattern.0.is_match(text)),
            Self::Text(field, values) => {
                let texts = &subject.texts;
                values.iter().any(|value| {
                    texts.letters().may_have(value.needle.letters)
                        && texts.get(*field).is_some_and(|text| value.holds(text))
                })
            }
            Self::State(words) => subject.states.iter().flatten().any(|state| words.contains(state)),
            Self::Kind(words) => subject.kind.is_some_and(|kind| words.contains(&kind)),
            Self::Severity(wanted) => subject.severity.is_some_and(|severity| wanted.contains(&severity)),
            Self::Evidence(wanted) => subject.evidence.is_some_and(|evidence| wanted.contains(&evidence)),
            Self::Label(name, value) => subject
                .labels
                .as_ref()
                .and_then(|labels| labels.get(name.as_str()))
                .is_some_and(|found| value.as_ref().is_none_or(|value| found.eq_ignore_ascii_case(value))),
            Self::Priorities(wanted) => {
                subject.priority.is_some_and(|priority| wanted.contains(&priority.level()))
            }
            Self::Priority(compare, level) => {
                subject.priority.is_some_and(|priority| compare.holds(priority.level(), *level))
            }
            Self::Age(compare, seconds) => holds_since(*compare, subject.ended, now, *seconds),
            Self::Late(compare, seconds) => holds_since(*compare, subject.late_from, now, *seconds),
            Self::Is(flags) => flags.iter().any(|flag| subject.flags & flag.bit() != 0),
        }
    }
}

fn holds_since(compare: Compare, since: Option<DateTime<Utc>>, now: DateTime<Utc>, seconds: u64) -> bool {
    since.is_some_and(|since| {
        compare.holds((now - since).num_seconds(), i64::try_from(seconds).unwrap_or(i64::MAX))
    })
}

/// A text that is looked for, without regard to case.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    text: String,
    folded: String,
    letters: Letters,
    finder: Finder<'static>,
}

impl Needle {
    pub fn new(text: &str) -> Self {
        let folded = text.to_lowercase();
        let finder = Finder::new(&folded).into_owned();
        Self { text: text.to_owned(), letters: Letters::of(&folded), finder, folded }
    }

    fn is_in(&self, folded: &str) -> bool {
        self.finder.find(folded.as_bytes()).is_some()
    }
}

/// A bare word.
#[derive(Debug, Clone)]
pub(super) struct Word(Needle);

impl Word {
    pub fn new(text: &str) -> Self {
        Self(Needle::new(text))
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }

    fn holds(&self, texts: &Texts) -> bool {
        if !texts.letters().may_have(self.0.letters) {
            return false;
        }
        if self.0.is_in(texts.all()) {
            return true;
        }
        let word = self.0.folded.as_bytes();
        word.len() >= LOOSE_FROM
            && [Field::Name, Field::Id]
                .into_iter()
                .filter_map(|field| texts.get(field))
                .any(|text| is_loosely_in(word, text.as_bytes()))
    }
}

/// Whether `text` has the letters of `word` in their order and close together:
/// from the beginning of one of its words on, within a stretch at most half as
/// long again. `dsk-spce` is in `disk-space`, `report` is not in `repository-export`.
fn is_loosely_in(word: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = word.split_first() else { return true };
    let reach = word.len() + word.len() / 2;
    let is_word = |at: usize| text[at].is_ascii_alphanumeric() || !text[at].is_ascii();
    let begins = |at: usize| text[at] == *first && (at == 0 || !is_word(at - 1));
    (0..text.len()).filter(|&at| begins(at)).any(|at| {
        let stretch = &text[at + 1..text.len().min(at + reach)];
        let mut letters = rest.iter().peekable();
        for letter in stretch {
            letters.next_if_eq(&letter);
        }
        letters.peek().is_none()
    })
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// The last line of what the compiler says.
    pub fn new(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text).case_insensitive(true).size_limit(REGEX_LIMIT).build().map(Self).map_err(
            |error| {
                let error = error.to_string();
                error.lines().last().unwrap_or("unreadable").trim_start_matches("error: ").to_owned()
            },
        )
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// One value of a text key.
#[derive(Debug, Clone)]
pub(super) struct TextValue {
    pub exact: bool,
    needle: Needle,
}

impl TextValue {
    pub fn new(text: &str, exact: bool) -> Self {
        Self { exact, needle: Needle::new(text) }
    }

    pub fn text(&self) -> &str {
        &self.needle.text
    }

    fn holds(&self, folded: &str) -> bool {
        if self.exact { self.needle.folded == folded } else { self.needle.is_in(folded) }
    }
}

impl PartialEq for TextValue {
    fn eq(&self, other: &Self) -> bool {
        (self.exact, self.text()) == (other.exact, other.text())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("-")?;
        }
        match &self.test {
            Test::Word(word) => f.write_str(&quoted(word.text(), true)),
            Test::Pattern(pattern) => write!(f, "/{}/", pattern.0.as_str().replace('/', "\\/")),
            Test::Text(field, values) => {
                let value = |value: &TextValue| {
                    format!("{}{}", if value.exact { "=" } else { "" }, quoted(value.text(), false))
                };
                list(f, field.word(), values.iter().map(value))
            }
            Test::State(words) => list(f, "state", words.iter().map(|word| (*word).to_owned())),
            Test::Kind(words) => list(f, "kind", words.iter().map(|word| (*word).to_owned())),
            Test::Severity(wanted) => list(f, "severity", wanted.iter().map(ToString::to_string)),
            Test::Evidence(wanted) => list(f, "evidence", wanted.iter().map(ToString::to_string)),
            Test::Label(name, None) => write!(f, "label:{}", quoted(name, false)),
            Test::Label(name, Some(value)) => {
                write!(f, "label:{}={}", quoted(name, false), quoted(value, false))
            }
            Test::Priorities(levels) => list(f, "p", levels.iter().map(ToString::to_string)),
            Test::Priority(compare, level) => write!(f, "p:{}{level}", compare.sign()),
            Test::Age(compare, seconds) => write!(f, "age:{}{}", compare.sign(), duration_text(*seconds)),
            Test::Late(compare, seconds) => write!(f, "late:{}{}", compare.sign(), duration_text(*seconds)),
            Test::Is(flags) => list(f, "is", flags.iter().map(|flag| flag.word().to_owned())),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, key: &str, values: impl Iterator<Item = String>) -> fmt::Result {
    write!(f, "{key}:{}", values.collect::<Vec<_>>().join(","))
}

/// In quotes, if it would mean something else without.
fn quoted(text: &str, is_word: bool) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',' | '=') || (is_word && c == ':');
    let leads = is_word && text.starts_with(['-', '!', '/']);
    if text.is_empty() || leads || text.contains(special) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}
