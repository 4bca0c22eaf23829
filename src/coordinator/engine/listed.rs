//! A list in order that is cheap to share: a copy shares all of it, and a
//! change after that copies only the piece that it falls into.

use std::borrow::Borrow;
use std::sync::Arc;

/// Entries of one piece at most; a fuller one is split.
const PIECE: usize = 128;

/// Entries of one piece, in order.
type Piece<K, V> = Arc<Vec<(K, V)>>;

/// Values in the order of their keys.
#[derive(Debug, Clone)]
pub struct Listed<K, V> {
    /// None of them is empty.
    pieces: Arc<Vec<Piece<K, V>>>,
    len: usize,
}

impl<K, V> Default for Listed<K, V> {
    fn default() -> Self {
        Self { pieces: Arc::default(), len: 0 }
    }
}

impl<K, V> Listed<K, V> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values, in order.
    #[must_use]
    pub fn iter(&self) -> Values<'_, K, V> {
        Values { rest: &self.pieces, piece: [].iter() }
    }
}

impl<K: Ord + Clone, V: Clone> Listed<K, V> {
    /// Copies of all values, in order.
    #[must_use]
    pub fn to_vec(&self) -> Vec<V> {
        self.iter().cloned().collect()
    }

    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let piece = self.pieces.get(self.piece_of(key))?;
        let place = piece.binary_search_by(|(known, _)| known.borrow().cmp(key)).ok()?;
        piece.get(place).map(|(_, value)| value)
    }

    /// Values whose keys come after this one.
    pub fn after<Q: Ord + ?Sized>(&self, key: &Q) -> Values<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let at = self.piece_of(key);
        let Some(piece) = self.pieces.get(at) else { return self.iter() };
        let first = piece.partition_point(|(known, _)| known.borrow() <= key);
        Values { rest: &self.pieces[at + 1..], piece: piece[first..].iter() }
    }

    /// The piece that a key belongs into.
    fn piece_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let starts_after = |piece: &Piece<K, V>| piece.first().is_some_and(|(first, _)| first.borrow() > key);
        self.pieces.partition_point(|piece| !starts_after(piece)).saturating_sub(1)
    }

    /// Puts a value in its place; one with the same key goes.
    pub(super) fn insert(&mut self, key: K, value: V) {
        // Many come in order: then the last piece is theirs.
        let is_last =
            self.pieces.last().and_then(|piece| piece.first()).is_some_and(|(first, _)| *first <= key);
        let at = if is_last { self.pieces.len() - 1 } else { self.piece_of(&key) };
        let pieces = Arc::make_mut(&mut self.pieces);
        let Some(piece) = pieces.get_mut(at) else {
            pieces.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return;
        };
        let entries = Arc::make_mut(piece);
        match entries.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(place) => entries[place].1 = value,
            Err(place) => {
                entries.insert(place, (key, value));
                self.len += 1;
            }
        }
        if entries.len() > PIECE {
            // What is filled in order stays full.
            let middle = if at + 1 == pieces.len() { PIECE * 7 / 8 } else { PIECE / 2 };
            if let Some(piece) = pieces.get_mut(at) {
                let rest = Arc::make_mut(piece).split_off(middle);
                pieces.insert(at + 1, Arc::new(rest));
            }
        }
    }

    /// Takes a value out.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let at = self.piece_of(key);
        let found = |piece: &Piece<K, V>| piece.binary_search_by(|(known, _)| known.borrow().cmp(key)).ok();
        let Some(place) = self.pieces.get(at).and_then(found) else { return };
        let pieces = Arc::make_mut(&mut self.pieces);
        let entries = Arc::make_mut(&mut pieces[at]);
        entries.remove(place);
        if entries.is_empty() {
            pieces.remove(at);
        }
        self.len -= 1;
    }
}

impl<'a, K, V> IntoIterator for &'a Listed<K, V> {
    type Item = &'a V;
    type IntoIter = Values<'a, K, V>;

    fn into_iter(self) -> Values<'a, K, V> {
        self.iter()
    }
}

/// See [`Listed::iter`].
#[derive(Debug, Clone)]
pub struct Values<'a, K, V> {
    rest: &'a [Piece<K, V>],
    piece: std::slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iterator for Values<'a, K, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        loop {
            if let Some((_, value)) = self.piece.next() {
                return Some(value);
            }
            let (piece, rest) = self.rest.split_first()?;
            self.rest = rest;
            self.piece = piece.iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pairs(listed: &Listed<u16, u32>) -> Vec<u32> {
        listed.iter().copied().collect()
    }

    proptest! {
        /// Against the standard map, and copies stay as they were.
        #[test]
        fn a_list_is_a_map_in_order(
            steps in proptest::collection::vec((any::<bool>(), 0u16..600, any::<u32>()), 0..1_500),
        ) {
            let mut listed = Listed::default();
            let mut map = BTreeMap::new();
            let mut copy = None;
            for (i, (insert, key, value)) in steps.into_iter().enumerate() {
                if insert {
                    listed.insert(key, value);
                    map.insert(key, value);
                } else {
                    listed.remove(&key);
                    map.remove(&key);
                }
                prop_assert_eq!(listed.len(), map.len());
                prop_assert_eq!(listed.get(&key), map.get(&key));
                if i == 700 {
                    copy = Some((listed.clone(), map.clone()));
                }
            }
            prop_assert_eq!(pairs(&listed), map.values().copied().collect::<Vec<_>>());
            for key in [0, 1, 299, 300, 599] {
                let after: Vec<u32> = listed.after(&key).copied().collect();
                prop_assert_eq!(after, map.range(key + 1..).map(|(_, value)| *value).collect::<Vec<_>>());
            }
            if let Some((listed, map)) = copy {
                prop_assert_eq!(pairs(&listed), map.values().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_change_copies_one_piece() {
        let mut listed = Listed::default();
        for key in 0..10_000_u32 {
            listed.insert(key, key);
        }
        let copy = listed.clone();
        listed.insert(5_000, 1);
        let shared = copy.pieces.iter().zip(listed.pieces.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, copy.pieces.len() - 1);
        assert!(copy.pieces.len() < 100, "what is filled in order is full: {}", copy.pieces.len());
    }
}
