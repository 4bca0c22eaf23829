//! What was changed lately, and by which revision: each thing once, however
//! often it changes, so that it stays bounded under any traffic.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The newest change of each thing.
#[derive(Debug)]
pub(super) struct Trail<K, V> {
    next: u64,
    /// By the order of changes: the revision, and what was changed.
    order: BTreeMap<u64, (u64, K)>,
    places: HashMap<K, (u64, V)>,
    /// Revisions up to here may have changes that are no longer kept.
    forgotten: u64,
}

impl<K, V> Default for Trail<K, V> {
    fn default() -> Self {
        Self { next: 0, order: BTreeMap::new(), places: HashMap::new(), forgotten: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> Trail<K, V> {
    /// Notes a change.
    pub(super) fn touch(&mut self, key: K, value: V, revision: u64) {
        let place = self.next;
        self.next += 1;
        if let Some((old, _)) = self.places.insert(key.clone(), (place, value)) {
            self.order.remove(&old);
        }
        self.order.insert(place, (revision, key));
    }

    /// Keeps the newest `most`.
    pub(super) fn trim(&mut self, most: usize) {
        while self.order.len() > most
            && let Some((_, (revision, key))) = self.order.pop_first()
        {
            self.places.remove(&key);
            self.forgotten = revision;
        }
    }

    /// What was changed after `revision`, oldest first; `None` when that is no longer known.
    pub(super) fn since(&self, revision: u64) -> Option<Vec<(&K, &V)>> {
        if revision < self.forgotten {
            return None;
        }
        let newer = self.order.values().rev().take_while(|(of, _)| *of > revision);
        let mut found: Vec<(&K, &V)> =
            newer.filter_map(|(_, key)| Some((key, &self.places.get(key)?.1))).collect();
        found.reverse();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_once_with_its_last_word() {
        let mut trail = Trail::default();
        for (revision, key) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            trail.touch(key, revision, revision);
        }
        assert_eq!(trail.since(0), Some(vec![(&"b", &2), (&"a", &3), (&"c", &4)]));
        assert_eq!(trail.since(3), Some(vec![(&"c", &4)]));
        assert_eq!(trail.since(4), Some(vec![]));
        trail.trim(2);
        assert_eq!(trail.since(1), None, "b was changed by 2, and is no longer known");
        assert_eq!(trail.since(2), Some(vec![(&"a", &3), (&"c", &4)]));
    }

    #[test]
    fn it_is_bounded_however_often_something_changes() {
        let mut trail = Trail::default();
        for revision in 1..10_000_u64 {
            trail.touch(revision % 7, (), revision);
        }
        assert_eq!((trail.order.len(), trail.places.len(), trail.forgotten), (7, 7, 0));
    }
}
