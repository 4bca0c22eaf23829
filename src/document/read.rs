//! Documents, tables and values that remember where they were written.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Problem, did_you_mean};
use crate::model::{Clean, duration_text, parse_duration};

/// A parsed file, and what is wrong with it so far.
pub struct Document<'t> {
    root: Spanned<DeTable<'t>>,
    /// Byte offsets at which lines begin, the first (0) included.
    line_starts: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Document<'t> {
    /// Reads TOML.
    ///
    /// # Errors
    /// Every syntax error with its line, in the order of lines.
    pub fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let line_starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { root, line_starts, problems: RefCell::default() };
        if errors.is_empty() {
            return Ok(document);
        }
        for error in errors {
            let line = document.line(error.span().map_or(0, |span| span.start));
            document.report(line, "", error.message());
        }
        Err(document.into_problems())
    }

    /// The top level.
    pub fn root(&self) -> Table<'_> {
        let place = Place { line: 1, path: None, problems: &self.problems, lines: &self.line_starts };
        Table::new(place, self.root.get_ref())
    }

    /// Records a problem that the file has as a whole, or that shows only
    /// when values are compared. `line` counts from 1.
    pub fn report(&self, line: usize, path: &str, message: &str) {
        self.problems.borrow_mut().push(Problem { line, path: path.into(), message: message.into() });
    }

    /// Whether a problem was recorded.
    pub fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// All problems, in the order of lines.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    /// The line (from 1) of a byte offset.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the content: it may hold what is secret.
        f.debug_struct("Document").field("problems", &self.problems.borrow()).finish_non_exhaustive()
    }
}

/// A step of a key path, and those before it: written out only where there is something to say.
struct Step<'a> {
    before: Option<Rc<Self>>,
    to: To<'a>,
}

enum To<'a> {
    Key(&'a str),
    Element(usize),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(before) = &self.before {
            write!(f, "{before}")?;
        }
        match self.to {
            To::Element(index) => write!(f, "[{index}]"),
            To::Key(key) => {
                let dot = if self.before.is_some() { "." } else { "" };
                let is_bare = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
                if !key.is_empty() && key.bytes().all(is_bare) {
                    write!(f, "{dot}{key}")
                } else {
                    write!(f, "{dot}{key:?}")
                }
            }
        }
    }
}

/// Where something is written, and where its problems go.
#[derive(Clone)]
struct Place<'a> {
    line: usize,
    /// `None` at the top level.
    path: Option<Rc<Step<'a>>>,
    problems: &'a RefCell<Vec<Problem>>,
    lines: &'a [usize],
}

impl<'a> Place<'a> {
    fn path(&self) -> String {
        self.path.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn problem(&self, message: &str) {
        self.problems.borrow_mut().push(Problem {
            line: self.line,
            path: Clean::line(&self.path()),
            message: message.into(),
        });
    }

    fn child(&self, to: To<'a>, span: &Range<usize>) -> Self {
        let line = self.lines.partition_point(|&start| start <= span.start);
        Place { line, path: Some(Rc::new(Step { before: self.path.clone(), to })), ..*self }
    }
}

/// A table that is being read.
pub struct Table<'a> {
    place: Place<'a>,
    content: &'a DeTable<'a>,
    /// Few, and asked for in turn: looked through faster than kept in order.
    asked: RefCell<Vec<&'a str>>,
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("path", &self.place.path())
            .field("line", &self.place.line)
            .finish_non_exhaustive()
    }
}

impl<'a> Table<'a> {
    const fn new(place: Place<'a>, content: &'a DeTable<'a>) -> Self {
        Self { place, content, asked: RefCell::new(Vec::new()) }
    }

    /// The line that it begins at, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.place.line
    }

    /// Its key path, such as `endpoint[1].auth`; empty at the top level.
    #[must_use]
    pub fn path(&self) -> String {
        self.place.path()
    }

    /// Records a problem with the table as a whole.
    pub fn problem(&self, message: &str) {
        self.place.problem(message);
    }

    /// Makes `keys` known although nobody asks for them.
    pub fn know(&self, keys: &[&'a str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// The keys that were asked for so far, by name.
    #[must_use]
    pub fn known(&self) -> Vec<String> {
        let mut known: Vec<String> = self.asked.borrow().iter().map(|&key| key.to_owned()).collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// The value of `key`, if it is there.
    #[must_use]
    pub fn get(&self, key: &'a str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        let (name, value) = self.content.get_key_value(key)?;
        Some(Value { place: self.place.child(To::Key(key), &name.span()), content: value.get_ref() })
    }

    /// The value of `key`; that it is missing is a problem.
    #[must_use]
    pub fn need(&self, key: &'a str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.problem(&format!("{key:?} is missing"));
        }
        value
    }

    /// Every key with its value, by name: for tables whose keys are free. All
    /// of them are then known.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        self.content
            .iter()
            .map(|(name, value)| {
                let key: &'a str = name.get_ref();
                self.asked.borrow_mut().push(key);
                let place = self.place.child(To::Key(key), &name.span());
                (key, Value { place, content: value.get_ref() })
            })
            .collect()
    }

    /// A text.
    pub fn string(&self, key: &'a str) -> Option<String> {
        self.get(key)?.string()
    }

    /// `true` or `false`.
    pub fn bool(&self, key: &'a str) -> Option<bool> {
        self.get(key)?.bool()
    }

    /// A whole number within `range`.
    pub fn integer(&self, key: &'a str, range: RangeInclusive<i64>) -> Option<i64> {
        self.get(key)?.integer(range)
    }

    /// A number within `range`.
    pub fn number(&self, key: &'a str, range: RangeInclusive<f64>) -> Option<f64> {
        self.get(key)?.number(range)
    }

    /// A duration such as `"10m"`.
    pub fn duration(&self, key: &'a str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    /// A list of texts.
    pub fn strings(&self, key: &'a str) -> Option<Vec<String>> {
        self.get(key)?.strings()
    }

    /// One word of a closed set; `allowed` are the words to name when it is another.
    pub fn word<T: FromStr>(
        &self,
        key: &'a str,
        allowed: impl IntoIterator<Item = &'static str>,
    ) -> Option<T> {
        self.get(key)?.word(allowed)
    }

    /// A table, inline or under its own header.
    pub fn table(&self, key: &'a str) -> Option<Self> {
        self.get(key)?.table()
    }

    /// Tables under `[[key]]`, in order; those that are no tables are problems.
    pub fn tables(&self, key: &'a str) -> Vec<Self> {
        self.get(key).map(Value::tables).unwrap_or_default()
    }

    /// Texts by free names: labels, environments.
    pub fn string_map(&self, key: &'a str) -> Option<Vec<(String, String)>> {
        let table = self.table(key)?;
        let pairs = table.entries().into_iter();
        Some(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.string()?))).collect())
    }

    /// Says of every key that nobody asked for that it is unknown.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for (name, _) in self.content {
            let key: &'a str = name.get_ref();
            if !asked.contains(&key) {
                let mut asked = asked.clone();
                asked.sort_unstable();
                let near = did_you_mean(key, asked);
                self.place.child(To::Key(key), &name.span()).problem(&format!("unknown key{near}"));
            }
        }
    }
}

/// A value that is being read. What it turns out not to be is a problem.
#[derive(Clone)]
pub struct Value<'a> {
    place: Place<'a>,
    content: &'a DeValue<'a>,
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("path", &self.place.path())
            .field("line", &self.place.line)
            .finish_non_exhaustive()
    }
}

impl<'a> Value<'a> {
    /// The line that it is written at, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.place.line
    }

    /// Its key path.
    #[must_use]
    pub fn path(&self) -> String {
        self.place.path()
    }

    /// Records a problem with it.
    pub fn problem(&self, message: &str) {
        self.place.problem(message);
    }

    /// The text, if it is one; anything else is no problem.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        self.content.as_str()
    }

    /// Whether it is a table; no problem if not.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.content.is_table()
    }

    /// Whether it is `true`; no problem if not.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.content.as_bool() == Some(true)
    }

    /// Whether it is a list; no problem if not.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.content.is_array()
    }

    /// The problem "must be `wanted`, is …"; never the value, which may be secret.
    fn must_be<T>(&self, wanted: &str) -> Option<T> {
        let is = match self.content {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.problem(&format!("must be {wanted}, not {is}"));
        None
    }

    /// A text.
    #[must_use]
    pub fn string(self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    fn text(&self) -> Option<&'a str> {
        self.content.as_str().or_else(|| self.must_be("a string"))
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        self.content.as_bool().or_else(|| self.must_be("true or false"))
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer(self, range: RangeInclusive<i64>) -> Option<i64> {
        let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = self.content.as_integer() else { return self.must_be(&wanted()) };
        let number = i64::from_str_radix(integer.as_str(), integer.radix());
        number.ok().filter(|number| range.contains(number)).or_else(|| {
            self.problem(&format!("must be {}, not {integer}", wanted()));
            None
        })
    }

    /// A number, whole or not, within `range`.
    #[must_use]
    pub fn number(self, range: RangeInclusive<f64>) -> Option<f64> {
        let wanted = || format!("a number from {} to {}", range.start(), range.end());
        let (text, number) = match self.content {
            DeValue::Float(float) => (float.to_string(), float.as_str().parse::<f64>().ok()),
            DeValue::Integer(integer) if integer.radix() == 10 => {
                (integer.to_string(), integer.as_str().parse::<f64>().ok())
            }
            _ => return self.must_be(&wanted()),
        };
        number.filter(|number| range.contains(number)).or_else(|| {
            self.problem(&format!("must be {}, not {text}", wanted()));
            None
        })
    }

    /// A duration such as `"10m"`.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        let Some(text) = self.content.as_str() else { return self.must_be("a duration such as \"10m\"") };
        parse_duration(text).map_err(|error| self.problem(&error)).ok()
    }

    /// A duration within `range`.
    #[must_use]
    pub fn duration_within(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let duration = self.clone().duration()?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let text = |d: &Duration| match d.subsec_millis() {
            0 => duration_text(d.as_secs()),
            _ => format!("{}ms", d.as_millis()),
        };
        self.problem(&format!("must be from {} to {}", text(range.start()), text(range.end())));
        None
    }

    /// The elements of a list.
    #[must_use]
    pub fn list(self) -> Option<Vec<Self>> {
        let Some(array) = self.content.as_array() else { return self.must_be("a list") };
        let place = &self.place;
        let element = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| Self {
            place: place.child(To::Element(index), &item.span()),
            content: item.get_ref(),
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// A list of texts. `None` if any is not one.
    #[must_use]
    pub fn strings(self) -> Option<Vec<String>> {
        let Some(array) = self.content.as_array() else { return self.must_be("a list of strings") };
        let elements = self.list()?;
        let texts: Vec<String> = elements.into_iter().filter_map(Self::string).collect();
        (texts.len() == array.len()).then_some(texts)
    }

    /// One word of a closed set; `allowed` are the words to name when it is another.
    pub fn word<T: FromStr>(self, allowed: impl IntoIterator<Item = &'static str>) -> Option<T> {
        let text = self.text()?;
        text.parse().ok().or_else(|| {
            let allowed: Vec<&str> = allowed.into_iter().collect();
            let near = did_you_mean(text, allowed.iter().copied());
            self.problem(&format!("{text:?} is not one of {}{near}", allowed.join(", ")));
            None
        })
    }

    /// A table, inline or under its own header.
    #[must_use]
    pub fn table(self) -> Option<Table<'a>> {
        match self.content {
            DeValue::Table(content) => Some(Table::new(self.place, content)),
            _ => self.must_be("a table"),
        }
    }

    /// The tables of a list; those that are none are problems.
    #[must_use]
    pub fn tables(self) -> Vec<Table<'a>> {
        if self.content.is_table() {
            let path = self.place.path();
            self.problem(&format!("must be a list of tables: write [[{path}]], not [{path}]"));
            return Vec::new();
        }
        self.list().unwrap_or_default().into_iter().filter_map(Self::table).collect()
    }
}
