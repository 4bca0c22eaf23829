//! Orders of the task table: total, and stable because equals go by their key.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, Utc};

use super::rows::TaskRow;
use super::series::took_ms;
use crate::model::{Clean, EndpointName, TaskKey};

/// What the table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SortKey {
    /// The most urgent state first.
    #[default]
    State,
    /// The endpoint's name.
    Endpoint,
    /// The task's name, without regard to case.
    Name,
    /// The one that ended last first.
    Last,
    /// The longest last run first.
    Took,
    /// The one that is due first, first: late ones before all.
    Next,
    /// Priority 1 first.
    Priority,
    /// The most retries first.
    Retries,
    /// The team's name.
    Team,
    /// The machine's name.
    Machine,
}

impl SortKey {
    /// All, in the order that "sort by the next one" goes through.
    pub const ALL: [Self; 10] = [
        Self::State,
        Self::Endpoint,
        Self::Name,
        Self::Last,
        Self::Took,
        Self::Next,
        Self::Priority,
        Self::Retries,
        Self::Team,
        Self::Machine,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Endpoint => "endpoint",
            Self::Name => "name",
            Self::Last => "last",
            Self::Took => "took",
            Self::Next => "next",
            Self::Priority => "priority",
            Self::Retries => "retries",
            Self::Team => "team",
            Self::Machine => "machine",
        }
    }
}

/// A sort key and a direction. Rows without a value come last in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Order {
    /// By what.
    pub key: SortKey,
    /// The other way round.
    pub reversed: bool,
}

impl Order {
    /// By `key`, in its natural direction.
    #[must_use]
    pub const fn by(key: SortKey) -> Self {
        Self { key, reversed: false }
    }

    /// The other way round.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// By the next key, in its natural direction.
    #[must_use]
    pub fn next(self) -> Self {
        let position = SortKey::ALL.iter().position(|key| *key == self.key).map_or(0, |at| at + 1);
        Self::by(SortKey::ALL[position % SortKey::ALL.len()])
    }

    /// What decides a row's place. Depends on nothing but the row, not on the time.
    pub(super) fn rank(self, row: &TaskRow) -> Rank {
        let time = |at: DateTime<Utc>| Rank::Number(at.timestamp_millis());
        let downwards = |number: i64| Rank::Number(number.saturating_neg());
        let rank = match self.key {
            SortKey::State => Some(Rank::Number(i64::from(row.state.urgency()))),
            SortKey::Endpoint => Some(Rank::Endpoint(row.key.endpoint.clone())),
            SortKey::Name => Some(text(&row.task.name)),
            SortKey::Last => row.last_ended().map(|at| downwards(at.timestamp_millis())),
            SortKey::Took => row
                .task
                .last_run
                .as_ref()
                .and_then(took_ms)
                .map(|took| downwards(i64::try_from(took).unwrap_or(i64::MAX))),
            SortKey::Next => row.late_from().or(row.next_due).map(time),
            SortKey::Priority => row.task.priority.map(|priority| Rank::Number(i64::from(priority.level()))),
            SortKey::Retries => {
                Some(row.task.retry.attempt).filter(|made| *made > 0).map(|made| downwards(i64::from(made)))
            }
            SortKey::Team => row.team().map(text),
            SortKey::Machine => row.machine().map(text),
        };
        rank.unwrap_or(Rank::Missing)
    }

    /// The order of two rows, each by its rank and its key.
    pub(super) fn compare(self, a: (&Rank, &TaskKey), b: (&Rank, &TaskKey)) -> Ordering {
        self.compare_ranks(a.0, b.0).then_with(|| a.1.cmp(b.1))
    }

    /// The order of two rows as far as their ranks decide it.
    pub(super) fn compare_ranks(self, a: &Rank, b: &Rank) -> Ordering {
        match (a, b) {
            (Rank::Missing, Rank::Missing) => Ordering::Equal,
            (Rank::Missing, _) => Ordering::Greater,
            (_, Rank::Missing) => Ordering::Less,
            (a, b) if self.reversed => b.cmp(a),
            (a, b) => a.cmp(b),
        }
    }
}

/// `state`, `took reversed`.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key.word())?;
        if self.reversed { f.write_str(" reversed") } else { Ok(()) }
    }
}

/// Without regard to case; shares the text where it has none.
fn text(text: &Clean) -> Rank {
    if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        Rank::Text(Clean::from(text.to_lowercase()))
    } else {
        Rank::Text(text.clone())
    }
}

/// What decides a row's place; of one order all are of one sort, or missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Number(i64),
    Endpoint(EndpointName),
    Text(Clean),
    Missing,
}
