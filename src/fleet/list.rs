//! Tasks by filter and order, with a cursor that is pinned to identity.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Fleet;
use super::changes::{Delta, plus};
use super::filter::Filter;
use super::order::{Order, Place, Rank};
use super::rows::TaskRow;
use crate::model::{Clean, TaskKey};

/// How long a filter that depends on the time may lag behind it.
const TIMED: TimeDelta = TimeDelta::seconds(1);
/// From so many changed rows on, one pass over the list is cheaper than moving each.
const MANY: usize = 32;

/// Tasks by filter and order, with a cursor that is pinned to identity.
/// Kept up to date from deltas: a changed row is moved, nothing is sorted anew.
///
/// The cursor stays on its task however the rows move. Where its row goes, the
/// cursor goes to the next row below that stays, else to the next above.
#[derive(Debug, Clone, Default)]
pub struct TaskList {
    filter: Filter,
    order: Order,
    places: Vec<Place>,
    /// The rank by which each listed row has its place: the row itself may have moved on.
    ranks: HashMap<TaskKey, Rank>,
    cursor: Option<TaskKey>,
    evaluated: Option<DateTime<Utc>>,
}

/// Reading.
impl TaskList {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The row at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&TaskKey> {
        self.places.get(index).map(|place| &place.key)
    }

    /// The rows from the top.
    #[must_use]
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &TaskKey> + DoubleEndedIterator {
        self.places.iter().map(|place| &place.key)
    }

    /// Where a task is, if it is listed.
    #[must_use]
    pub fn index_of(&self, key: &TaskKey) -> Option<usize> {
        let rank = self.ranks.get(key)?;
        self.find(&Place { rank: rank.clone(), key: key.clone() }).ok()
    }

    /// The task under the cursor; there is one while there is a row.
    #[must_use]
    pub const fn cursor(&self) -> Option<&TaskKey> {
        self.cursor.as_ref()
    }

    /// Where the cursor is.
    #[must_use]
    pub fn cursor_index(&self) -> Option<usize> {
        self.cursor.as_ref().and_then(|key| self.index_of(key))
    }

    /// The filter in force.
    #[must_use]
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The order in force.
    #[must_use]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// When [`TaskList::refresh`] has something to do: only while the filter depends on the time.
    #[must_use]
    pub fn next_change(&self) -> Option<DateTime<Utc>> {
        if self.filter.is_timed() { self.evaluated.map(|at| plus(at, TIMED)) } else { None }
    }

    fn find(&self, place: &Place) -> Result<usize, usize> {
        self.places.binary_search_by(|other| self.order.compare(other, place))
    }
}

/// Following the fleet.
impl TaskList {
    /// Filters and sorts all tasks anew.
    pub fn rebuild(&mut self, fleet: &Fleet, now: DateTime<Utc>) {
        let mut places: Vec<Place> = fleet
            .tasks()
            .filter(|row| self.filter.matches(row, now))
            .map(|row| Place { rank: self.order.rank(row), key: row.key.clone() })
            .collect();
        places.sort_by(|a, b| self.order.compare(a, b));
        let old_index = self.cursor_index();
        self.ranks = places.iter().map(|place| (place.key.clone(), place.rank.clone())).collect();
        if let Some(index) = old_index {
            let ranks = &self.ranks;
            self.cursor = neighbour(&self.places, index, |key| ranks.contains_key(key)).cloned();
        }
        self.places = places;
        self.evaluated = Some(now);
        self.hold_cursor();
    }

    /// Follows a change of the fleet; whether rows came, went or moved.
    pub fn absorb(&mut self, delta: &Delta, fleet: &Fleet, now: DateTime<Utc>) -> bool {
        if self.is_overdue(now) {
            self.rebuild(fleet, now);
            return true;
        }
        let keys = delta.added.iter().chain(&delta.changed).chain(&delta.gone);
        let moves: Vec<Move<'_>> = keys.filter_map(|key| self.move_of(key, fleet, now)).collect();
        if moves.is_empty() {
            return false;
        }
        self.leave_cursor(&moves);
        if moves.len() < MANY {
            self.move_each(moves);
        } else {
            self.move_all(moves);
        }
        self.hold_cursor();
        true
    }

    /// Lets time pass for a filter that depends on it; whether anything was done.
    pub fn refresh(&mut self, fleet: &Fleet, now: DateTime<Utc>) -> bool {
        let overdue = self.is_overdue(now);
        if overdue {
            self.rebuild(fleet, now);
        }
        overdue
    }

    /// Takes another filter.
    ///
    /// # Errors
    /// What is wrong with the text; the filter in force stays.
    pub fn set_filter(&mut self, text: &str, fleet: &Fleet, now: DateTime<Utc>) -> Result<(), Clean> {
        let filter = Filter::parse(text).map_err(|error| error.message)?;
        if filter != self.filter {
            self.filter = filter;
            self.rebuild(fleet, now);
        }
        Ok(())
    }

    /// Takes another order; the cursor stays on its task.
    pub fn set_order(&mut self, order: Order, fleet: &Fleet, now: DateTime<Utc>) {
        if order != self.order {
            self.order = order;
            // The old places are good in the old order only.
            self.places.clear();
            self.ranks.clear();
            self.rebuild(fleet, now);
        }
    }

    fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        self.next_change().is_some_and(|at| at <= now)
    }

    /// What becomes of one row; `None` if it stays where it is.
    fn move_of<'a>(&self, key: &'a TaskKey, fleet: &Fleet, now: DateTime<Utc>) -> Option<Move<'a>> {
        let listed = |row: &&TaskRow| self.filter.matches(row, now);
        let to = fleet.task(key).filter(listed).map(|row| self.order.rank(row));
        let from = self.ranks.get(key);
        (from != to.as_ref()).then(|| Move { key, from: from.cloned(), to })
    }

    /// Few rows: each is taken from its place and put into another.
    fn move_each(&mut self, moves: Vec<Move<'_>>) {
        for Move { key, from, to } in moves {
            if let Some(rank) = from
                && let Ok(index) = self.find(&Place { rank, key: key.clone() })
            {
                self.places.remove(index);
                self.ranks.remove(key);
            }
            if let Some(rank) = to {
                let place = Place { rank: rank.clone(), key: key.clone() };
                if let Err(index) = self.find(&place) {
                    self.places.insert(index, place);
                }
                self.ranks.insert(key.clone(), rank);
            }
        }
    }

    /// Many rows: those that stay, and those that come, each in order, become one.
    fn move_all(&mut self, moves: Vec<Move<'_>>) {
        let moving: HashSet<&TaskKey> = moves.iter().map(|moved| moved.key).collect();
        let mut staying = std::mem::take(&mut self.places);
        staying.retain(|place| !moving.contains(&place.key));
        let mut coming = Vec::with_capacity(moves.len());
        for Move { key, to, .. } in moves {
            match to {
                Some(rank) => {
                    self.ranks.insert(key.clone(), rank.clone());
                    coming.push(Place { rank, key: key.clone() });
                }
                None => {
                    self.ranks.remove(key);
                }
            }
        }
        // Two sorted runs: the sort finds them, and merges.
        coming.sort_by(|a, b| self.order.compare(a, b));
        staying.extend(coming);
        staying.sort_by(|a, b| self.order.compare(a, b));
        self.places = staying;
    }

    /// If the row under the cursor goes, its neighbour gets the cursor.
    fn leave_cursor(&mut self, moves: &[Move<'_>]) {
        let goes = |key: &TaskKey| moves.iter().any(|moved| moved.to.is_none() && moved.key == key);
        if self.cursor.as_ref().is_some_and(goes)
            && let Some(index) = self.cursor_index()
        {
            let gone: HashSet<&TaskKey> =
                moves.iter().filter(|moved| moved.to.is_none()).map(|moved| moved.key).collect();
            self.cursor = neighbour(&self.places, index, |key| !gone.contains(key)).cloned();
        }
    }

    /// There is a cursor while there is a row.
    fn hold_cursor(&mut self) {
        if !self.cursor.as_ref().is_some_and(|key| self.ranks.contains_key(key)) {
            self.cursor = self.get(0).cloned();
        }
    }
}

/// Moving the cursor.
impl TaskList {
    /// To a task; whether it is listed.
    pub fn select(&mut self, key: &TaskKey) -> bool {
        let listed = self.ranks.contains_key(key);
        if listed {
            self.cursor = Some(key.clone());
        }
        listed
    }

    /// To the row at `index`, at most the last.
    pub fn select_index(&mut self, index: usize) {
        self.cursor = self.get(index.min(self.len().saturating_sub(1))).cloned();
    }

    /// By so many rows, up if negative; stops at the ends.
    pub fn select_by(&mut self, rows: isize) {
        if let Some(index) = self.cursor_index() {
            self.select_index(index.saturating_add_signed(rows));
        }
    }

    /// One row down.
    pub fn select_next(&mut self) {
        self.select_by(1);
    }

    /// One row up.
    pub fn select_previous(&mut self) {
        self.select_by(-1);
    }

    /// To the first row.
    pub fn select_first(&mut self) {
        self.select_index(0);
    }

    /// To the last row.
    pub fn select_last(&mut self) {
        self.select_index(usize::MAX);
    }
}

/// What becomes of one row.
struct Move<'a> {
    key: &'a TaskKey,
    /// The rank by which it is listed.
    from: Option<Rank>,
    /// The rank by which it is to be listed.
    to: Option<Rank>,
}

/// The row at `index` if it stays, else the next below that does, else the next above.
fn neighbour(places: &[Place], index: usize, stays: impl Fn(&TaskKey) -> bool) -> Option<&TaskKey> {
    let (above, below) = places.split_at_checked(index)?;
    let mut nearest = below.iter().chain(above.iter().rev()).map(|place| &place.key);
    nearest.find(|key| stays(key))
}
