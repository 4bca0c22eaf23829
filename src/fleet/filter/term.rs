//! One term: what it says, and how it is decided.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use frizbee::{CaseMatching, Config, Matcher};
use regex::{Regex, RegexBuilder};

use super::subject::Subject;
use crate::model::{Evidence, Severity, duration_text};

/// From so many letters on, a word is looked for scattered too.
const FUZZY_FROM: usize = 3;
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
}

impl Field {
    pub const ALL: [Self; 5] = [Self::Name, Self::Id, Self::Endpoint, Self::Team, Self::Machine];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Id => "id",
            Self::Endpoint => "endpoint",
            Self::Team => "team",
            Self::Machine => "machine",
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
    Word(Word),
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
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        self.test.holds(subject) != self.negated
    }

    pub const fn is_timed(&self) -> bool {
        matches!(self.test, Test::Age(..) | Test::Late(..))
    }
}

impl Test {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Word(word) => word.holds(subject),
            Self::Pattern(pattern) => subject.texts().any(|text| pattern.0.is_match(text)),
            Self::Text(field, values) => {
                subject.text(*field).is_some_and(|text| values.iter().any(|value| value.holds(text)))
            }
            Self::State(words) => subject.states.iter().flatten().any(|state| words.contains(state)),
            Self::Kind(words) => subject.kind.is_some_and(|kind| words.contains(&kind)),
            Self::Severity(wanted) => subject.severity.is_some_and(|severity| wanted.contains(&severity)),
            Self::Evidence(wanted) => subject.evidence.is_some_and(|evidence| wanted.contains(&evidence)),
            Self::Label(name, value) => subject
                .labels
                .and_then(|labels| labels.get(name.as_str()))
                .is_some_and(|found| value.as_ref().is_none_or(|value| found.eq_ignore_ascii_case(value))),
            Self::Priorities(wanted) => subject.priority.is_some_and(|priority| wanted.contains(&priority)),
            Self::Priority(compare, level) => {
                subject.priority.is_some_and(|priority| compare.holds(priority, *level))
            }
            Self::Age(compare, seconds) => holds_since(*compare, subject.ended, subject, *seconds),
            Self::Late(compare, seconds) => holds_since(*compare, subject.late_from, subject, *seconds),
            Self::Is(flags) => flags.iter().any(|flag| subject.flags & flag.bit() != 0),
        }
    }
}

fn holds_since(
    compare: Compare,
    since: Option<chrono::DateTime<chrono::Utc>>,
    subject: &Subject<'_>,
    seconds: u64,
) -> bool {
    since.is_some_and(|since| {
        compare.holds((subject.now - since).num_seconds(), i64::try_from(seconds).unwrap_or(i64::MAX))
    })
}

/// A text that is looked for, without regard to case.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    text: String,
    /// Beyond ASCII, case is not a matter of bytes.
    folded: Option<Regex>,
}

impl Needle {
    pub fn new(text: &str) -> Self {
        let folded = if text.is_ascii() {
            None
        } else {
            RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build().ok()
        };
        Self { text: text.to_owned(), folded }
    }

    fn is_in(&self, text: &str) -> bool {
        if let Some(folded) = &self.folded {
            return folded.is_match(text);
        }
        let needle = self.text.as_bytes();
        let Some(first) = needle.first() else { return true };
        text.as_bytes()
            .windows(needle.len())
            .any(|window| window[0].eq_ignore_ascii_case(first) && window.eq_ignore_ascii_case(needle))
    }

    fn is_all_of(&self, text: &str) -> bool {
        match &self.folded {
            None => text.eq_ignore_ascii_case(&self.text),
            Some(_) => text.to_lowercase() == self.text.to_lowercase(),
        }
    }
}

/// A bare word.
#[derive(Debug, Clone)]
pub(super) struct Word {
    needle: Needle,
    /// Shared by clones of the filter; matching needs scratch memory, hence the lock.
    scattered: Option<Arc<Mutex<Matcher>>>,
}

impl Word {
    pub fn new(text: &str) -> Self {
        let scattered = (text.chars().count() >= FUZZY_FROM).then(|| {
            let config = Config::default().max_typos(Some(0)).casing(CaseMatching::Ignore);
            // Built as a pattern, so that none of its characters is an operator.
            let pattern = frizbee::Pattern::new(text, frizbee::PatternConfig::default());
            Arc::new(Mutex::new(Matcher::from_patterns(&[pattern], &config)))
        });
        Self { needle: Needle::new(text), scattered }
    }

    pub fn text(&self) -> &str {
        &self.needle.text
    }

    fn holds(&self, subject: &Subject<'_>) -> bool {
        if subject.texts().any(|text| self.needle.is_in(text)) {
            return true;
        }
        let Some(scattered) = &self.scattered else { return false };
        let mut matcher = scattered.lock().unwrap_or_else(PoisonError::into_inner);
        let name = subject.text(Field::Name);
        let id = subject.text(Field::Id).filter(|id| name != Some(*id));
        name.into_iter().chain(id).any(|text| matcher.match_one(text, 0).is_some())
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.needle.text == other.needle.text
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

    fn holds(&self, text: &str) -> bool {
        if self.exact { self.needle.is_all_of(text) } else { self.needle.is_in(text) }
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
pub(super) fn quoted(text: &str, is_word: bool) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',' | '=') || (is_word && c == ':');
    let leads = is_word && text.starts_with(['-', '!', '/']);
    if text.is_empty() || leads || text.contains(special) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}
