//! Tasks by id: found at once, and gone through in the order of their ids.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Bound;

use crate::model::TaskId;

use super::Entry;

/// All tasks. Every step looks some of them up many times, and few go through
/// all: so both a table and an order are kept.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Boxed, as they are large and a table that grows is half empty.
    entries: HashMap<TaskId, Box<Entry>>,
    order: BTreeSet<TaskId>,
}

impl Entries {
    pub(super) fn get(&self, id: &TaskId) -> Option<&Entry> {
        self.entries.get(id).map(|entry| &**entry)
    }

    pub(super) fn get_mut(&mut self, id: &TaskId) -> Option<&mut Entry> {
        self.entries.get_mut(id).map(|entry| &mut **entry)
    }

    pub(super) fn contains_key<Q: Eq + Hash + ?Sized>(&self, id: &Q) -> bool
    where
        TaskId: Borrow<Q>,
    {
        self.entries.contains_key(id)
    }

    /// Room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
    }

    pub(super) fn insert(&mut self, id: TaskId, entry: Entry) {
        self.order.insert(id.clone());
        self.entries.insert(id, Box::new(entry));
    }

    pub(super) fn remove(&mut self, id: &TaskId) -> Option<Entry> {
        self.order.remove(id);
        self.entries.remove(id).map(|entry| *entry)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &TaskId> {
        self.order.iter()
    }

    /// In the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TaskId, &Entry)> {
        self.order.iter().filter_map(|id| Some((id, self.get(id)?)))
    }

    /// In the order of their ids.
    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.iter().map(|(_, entry)| entry)
    }

    /// Ids after this one, or from the first on.
    pub(super) fn keys_after(&self, after: Option<&TaskId>) -> impl Iterator<Item = &TaskId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.order.range::<TaskId, _>((from, Bound::Unbounded))
    }
}
