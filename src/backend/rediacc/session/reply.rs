//! What a procedure answered: result sets, told apart by their columns.

use chrono::{DateTime, Utc};

use super::envelope::Row;

/// The result sets of one call, without the one that carries the token, and
/// without any vault or credential field.
#[derive(Debug)]
pub struct Reply {
    sets: Vec<Vec<Row>>,
    /// When the answer had arrived, by our clock.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// The endpoint's own clock, where it tells.
    pub server_time: Option<DateTime<Utc>>,
}

impl Reply {
    /// Of the sets of an answer: those without columns tell nothing.
    pub(super) fn new(
        mut sets: Vec<Vec<Row>>,
        at: DateTime<Utc>,
        latency_ms: u64,
        server_time: Option<DateTime<Utc>>,
    ) -> Self {
        sets.retain(|rows| rows.iter().any(|row| !row.is_empty()));
        Self { sets, at, latency_ms, server_time }
    }

    /// Every set that has columns, in the endpoint's order.
    pub fn sets(&self) -> &[Vec<Row>] {
        &self.sets
    }

    /// The rows of the first set with that column. None, if no set has it: an
    /// empty set carries no columns.
    pub fn with(&self, column: &str) -> &[Row] {
        self.with_all(&[column])
    }

    /// The rows of the first set that has all these columns.
    pub fn with_all(&self, columns: &[&str]) -> &[Row] {
        self.sets
            .iter()
            .find(|rows| columns.iter().all(|column| rows.iter().any(|row| row.contains_key(*column))))
            .map_or(&[], Vec::as_slice)
    }

    /// The first row of the first set with that column.
    pub fn row_with(&self, column: &str) -> Option<&Row> {
        self.with(column).first()
    }
}
