//! What was perhaps meant by a filter that lets nothing through.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use super::Filter;
use super::parse::nearest;
use super::subject::Subject;
use super::term::{Field, Term, Test, quoted};
use crate::fleet::{Fleet, TaskRow};
use crate::model::Clean;

/// A term that lets something through, in place of one that lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The term that lets nothing through.
    pub instead_of: Clean,
    /// What is nearest to it.
    pub term: Clean,
    /// How many tasks that lets through, by itself.
    pub tasks: usize,
}

/// `team:data (31)`.
impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.term, self.tasks)
    }
}

impl Filter {
    /// For a filter that lets no task through: the first of its terms that does
    /// so by itself, and what it was perhaps meant to be.
    #[must_use]
    pub fn suggest(&self, fleet: &Fleet, now: DateTime<Utc>) -> Option<Suggestion> {
        self.terms.iter().filter(|term| !term.negated).find_map(|term| suggest(term, fleet, now))
    }
}

fn suggest(term: &Term, fleet: &Fleet, now: DateTime<Utc>) -> Option<Suggestion> {
    let (fields, typed): (&[Field], &str) = match &term.test {
        Test::Text(field, values) => (std::slice::from_ref(field), values.first()?.text()),
        Test::Word(word) => (&Field::ALL, word.text()),
        _ => return None,
    };
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for row in fleet.tasks() {
        let subject = Subject::task(row);
        if term.holds(&subject, now) {
            return None;
        }
        for &field in fields {
            // A task whose id is its name has one name.
            let repeats = field == Field::Id && fields.len() > 1 && row.key.task.as_raw() == &*row.task.name;
            if let Some(text) = text_of(row, field).filter(|_| !repeats) {
                *counts.entry((text, field.word())).or_default() += 1;
            }
        }
    }
    let near = nearest(typed, counts.keys().map(|(text, _)| *text))?;
    let ((text, field), tasks) = counts.into_iter().find(|((text, _), _)| *text == near)?;
    let text = Clean::line(text);
    Some(Suggestion {
        instead_of: Clean::from(term.to_string()),
        term: Clean::from(format!("{field}:{}", quoted(&text, false))),
        tasks,
    })
}

fn text_of(row: &TaskRow, field: Field) -> Option<&str> {
    match field {
        Field::Name => Some(&row.task.name),
        Field::Id => Some(row.key.task.as_raw()),
        Field::Endpoint => Some(row.key.endpoint.as_raw()),
        Field::Team => row.team().map(Clean::as_str),
        Field::Machine => row.machine().map(Clean::as_str),
    }
}
