//! Tasks by filter and order, with a cursor that is pinned to identity.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Fleet;
use super::changes::{Delta, plus};
use super::filter::{Filter, Subject};
use super::order::{Order, Rank};
use super::rows::TaskRow;
use super::seat::Seat;
use crate::model::{Clean, TaskKey};

/// How long a filter that depends on the time may lag behind it.
const TIMED: TimeDelta = TimeDelta::seconds(1);
/// From so many changed rows on, one pass over the list is cheaper than moving each.
const MANY: usize = 32;

/// Tasks by filter and order, with a cursor that is pinned to identity.
///
/// Every task has its place, whatever the filter lets through: another filter
/// is one look at each row, and none of them is sorted anew. Kept up to date
/// from deltas, all of which it must be given ([`TaskList::absorb`]).
///
/// The cursor stays on its task however the rows move. Where its row goes, the
/// cursor goes to the next row below that stays, else to the next above.
#[derive(Debug, Clone, Default)]
pub struct TaskList {
    filter: Filter,
    order: Order,
    /// Of each task, by its row's seat.
    places: Vec<Option<Place>>,
    seats: HashMap<TaskKey, Seat>,
    /// Every task, in order.
    all: Vec<Seat>,
    /// Those that the filter lets through, in order; `None`: all.
    shown: Option<Vec<Seat>>,
    cursor: Option<TaskKey>,
    evaluated: Option<DateTime<Utc>>,
}

/// Where a task is in the order: the row itself may have moved on.
#[derive(Debug, Clone)]
struct Place {
    rank: Rank,
    key: TaskKey,
    /// What filters ask of its row, side by side with the others': rows lie too far apart to go through as one types.
    subject: Subject,
    /// Whether the filter lets it through; says nothing while there is none.
    passes: bool,
}

/// Reading.
impl TaskList {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    /// The row at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&TaskKey> {
        self.rows().get(index).and_then(|&seat| self.key(seat))
    }

    /// The rows from the top.
    #[must_use]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &TaskKey> {
        self.rows().iter().filter_map(|&seat| self.key(seat))
    }

    /// Where a task is, if it is listed.
    #[must_use]
    pub fn index_of(&self, key: &TaskKey) -> Option<usize> {
        let place = self.place(*self.seats.get(key)?)?;
        self.find(self.rows(), place).ok()
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

    fn rows(&self) -> &[Seat] {
        self.shown.as_deref().unwrap_or(&self.all)
    }

    fn place(&self, seat: Seat) -> Option<&Place> {
        self.places.get(seat.index())?.as_ref()
    }

    fn key(&self, seat: Seat) -> Option<&TaskKey> {
        self.place(seat).map(|place| &place.key)
    }

    fn is_shown(&self, seat: Seat) -> bool {
        self.place(seat).is_some_and(|place| place.passes || self.filter.is_empty())
    }

    /// Whether a task is listed.
    fn lists(&self, key: &TaskKey) -> bool {
        self.seats.get(key).is_some_and(|&seat| self.is_shown(seat))
    }

    fn compare(&self, a: &Place, b: &Place) -> Ordering {
        self.order.compare((&a.rank, &a.key), (&b.rank, &b.key))
    }

    fn find(&self, rows: &[Seat], place: &Place) -> Result<usize, usize> {
        rows.binary_search_by(|&seat| {
            self.place(seat).map_or(Ordering::Less, |other| self.compare(other, place))
        })
    }
}

/// Following the fleet.
impl TaskList {
    /// Begins anew with all that `fleet` has; a list that was given every delta has no need of it.
    pub fn rebuild(&mut self, fleet: &Fleet, now: DateTime<Utc>) {
        self.places.clear();
        self.seats.clear();
        self.all.clear();
        for (seat, row) in fleet.all_seated() {
            let place = self.place_of(row, now);
            self.settle(seat, place);
            self.all.push(seat);
        }
        self.sort();
        self.sift(now);
    }

    /// Follows a change of the fleet; whether rows came, went or moved.
    pub fn absorb(&mut self, delta: &Delta, fleet: &Fleet, now: DateTime<Utc>) -> bool {
        let keys = delta.gone.iter().chain(&delta.changed).chain(&delta.added);
        let moves: Vec<Move<'_>> = keys.filter_map(|key| self.follow(key, fleet, now)).collect();
        let seen = moves.iter().any(|moved| moved.was_shown || moved.is_shown);
        if !moves.is_empty() {
            self.leave_cursor(&moves);
            if moves.len() < MANY {
                self.move_each(moves);
            } else {
                self.move_all(moves);
            }
            self.show();
            self.hold_cursor();
        }
        self.refresh(now) || seen
    }

    /// Lets time pass for a filter that depends on it; whether anything was done.
    pub fn refresh(&mut self, now: DateTime<Utc>) -> bool {
        let is_overdue = self.next_change().is_some_and(|at| at <= now);
        if is_overdue {
            self.sift(now);
        }
        is_overdue
    }

    /// Takes another filter.
    ///
    /// # Errors
    /// What is wrong with the text; the filter in force stays.
    pub fn set_filter(&mut self, text: &str, now: DateTime<Utc>) -> Result<(), Clean> {
        let filter = Filter::parse(text).map_err(|error| error.message)?;
        if filter != self.filter {
            self.filter = filter;
            self.sift(now);
        }
        Ok(())
    }

    /// Takes another order; the cursor stays on its task.
    pub fn set_order(&mut self, order: Order, fleet: &Fleet) {
        if order != self.order {
            self.order = order;
            for (seat, row) in fleet.all_seated() {
                if let Some(Some(place)) = self.places.get_mut(seat.index()) {
                    place.rank = order.rank(row);
                }
            }
            self.sort();
            self.show();
        }
    }

    /// Puts every row to the filter.
    fn sift(&mut self, now: DateTime<Utc>) {
        self.evaluated = Some(now);
        let index = self.cursor_index();
        let before = self.shown.take();
        if !self.filter.is_empty() {
            for place in self.places.iter_mut().flatten() {
                place.passes = self.filter.holds(&place.subject, now);
            }
        }
        if let Some(index) = index {
            let before = before.as_deref().unwrap_or(&self.all);
            let next = neighbour(before, index, |seat| self.is_shown(seat));
            self.cursor = next.and_then(|seat| self.key(seat)).cloned();
        }
        self.show();
        self.hold_cursor();
    }

    /// Lists anew what passes.
    fn show(&mut self) {
        self.shown = if self.filter.is_empty() {
            None
        } else {
            Some(self.all.iter().copied().filter(|&seat| self.is_shown(seat)).collect())
        };
    }

    /// Sorts everything anew: by key first, as it nearly is already, then by rank, which keeps that among equals.
    fn sort(&mut self) {
        let mut rows: Vec<(&Place, Seat)> =
            self.all.iter().filter_map(|&seat| Some((self.place(seat)?, seat))).collect();
        rows.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        rows.sort_by(|(a, _), (b, _)| self.order.compare_ranks(&a.rank, &b.rank));
        self.all = rows.into_iter().map(|(_, seat)| seat).collect();
    }

    fn settle(&mut self, seat: Seat, place: Place) {
        if self.places.len() <= seat.index() {
            self.places.resize_with(seat.index() + 1, || None);
        }
        self.seats.insert(place.key.clone(), seat);
        self.places[seat.index()] = Some(place);
    }

    fn vacate(&mut self, key: &TaskKey, seat: Seat) -> Option<Place> {
        self.seats.remove(key);
        self.places.get_mut(seat.index()).and_then(Option::take)
    }

    /// Looks at one row again: what becomes of it, or `None` if it stays where it is.
    fn follow<'a>(&mut self, key: &'a TaskKey, fleet: &Fleet, now: DateTime<Utc>) -> Option<Move<'a>> {
        let from = self.seats.get(key).copied();
        let was_shown = from.is_some_and(|seat| self.is_shown(seat));
        let Some((seat, row)) = fleet.seated(key) else {
            return from.map(|_| Move { key, from, to: None, was_shown, is_shown: false });
        };
        let place = self.place_of(row, now);
        let is_shown = place.passes;
        if from == Some(seat)
            && was_shown == is_shown
            && let Some(Some(old)) = self.places.get_mut(seat.index())
            && old.rank == place.rank
        {
            *old = place;
            return None;
        }
        Some(Move { key, from, to: Some((seat, place)), was_shown, is_shown })
    }

    fn place_of(&self, row: &TaskRow, now: DateTime<Utc>) -> Place {
        let subject = Subject::task(row);
        let passes = self.filter.holds(&subject, now);
        Place { rank: self.order.rank(row), key: row.key.clone(), subject, passes }
    }

    /// Few rows: each is taken from its place, then each is put into its new one.
    fn move_each(&mut self, moves: Vec<Move<'_>>) {
        for Move { key, from, .. } in &moves {
            let Some(seat) = *from else { continue };
            if let Some(place) = self.place(seat)
                && let Ok(index) = self.find(&self.all, place)
            {
                self.all.remove(index);
            }
            self.vacate(key, seat);
        }
        for (seat, place) in moves.into_iter().filter_map(|moved| moved.to) {
            if let Err(index) = self.find(&self.all, &place) {
                self.all.insert(index, seat);
            }
            self.settle(seat, place);
        }
    }

    /// Many rows: those that stay, and those that come, each in order, become one.
    fn move_all(&mut self, moves: Vec<Move<'_>>) {
        for Move { key, from, .. } in &moves {
            if let Some(seat) = *from {
                self.vacate(key, seat);
            }
        }
        let places = &self.places;
        self.all.retain(|seat| places.get(seat.index()).is_some_and(Option::is_some));
        let mut coming: Vec<(Seat, Place)> = moves.into_iter().filter_map(|moved| moved.to).collect();
        coming.sort_by(|(_, a), (_, b)| self.compare(a, b));
        let staying = std::mem::take(&mut self.all);
        self.all.reserve(staying.len() + coming.len());
        let mut staying = staying.into_iter().peekable();
        for (seat, place) in coming {
            while let Some(other) = staying
                .next_if(|&other| self.place(other).is_some_and(|other| self.compare(other, &place).is_lt()))
            {
                self.all.push(other);
            }
            self.all.push(seat);
            self.settle(seat, place);
        }
        self.all.extend(staying);
    }

    /// If the row under the cursor goes, its neighbour gets the cursor.
    fn leave_cursor(&mut self, moves: &[Move<'_>]) {
        let goes = |key: &TaskKey| moves.iter().any(|moved| !moved.is_shown && moved.key == key);
        if self.cursor.as_ref().is_some_and(goes)
            && let Some(index) = self.cursor_index()
        {
            let gone: HashSet<Seat> =
                moves.iter().filter(|moved| !moved.is_shown).filter_map(|moved| moved.from).collect();
            let next = neighbour(self.rows(), index, |seat| !gone.contains(&seat));
            self.cursor = next.and_then(|seat| self.key(seat)).cloned();
        }
    }

    /// There is a cursor while there is a row.
    fn hold_cursor(&mut self) {
        if !self.cursor.as_ref().is_some_and(|key| self.lists(key)) {
            self.cursor = self.get(0).cloned();
        }
    }
}

/// Moving the cursor.
impl TaskList {
    /// To a task; whether it is listed.
    pub fn select(&mut self, key: &TaskKey) -> bool {
        let listed = self.lists(key);
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
}

/// What becomes of one row.
struct Move<'a> {
    key: &'a TaskKey,
    /// Where it is known.
    from: Option<Seat>,
    /// Where it is to be known.
    to: Option<(Seat, Place)>,
    was_shown: bool,
    is_shown: bool,
}

/// The row at `index` if it stays, else the next below that does, else the next above.
fn neighbour(rows: &[Seat], index: usize, stays: impl Fn(Seat) -> bool) -> Option<Seat> {
    let (above, below) = rows.split_at_checked(index)?;
    below.iter().chain(above.iter().rev()).copied().find(|&seat| stays(seat))
}
