//! Which keys do what: the defaults of the action table, changed by the configuration.

use std::collections::BTreeMap;

use crate::action::{Action, Key};

/// Keys by action and actions by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    by_key: BTreeMap<Key, Vec<Action>>,
    by_action: BTreeMap<Action, Vec<Key>>,
}

impl Keymap {
    /// The defaults, changed by `overrides`: the keys given replace an
    /// action's own, none unbinds it. A key given to an action is taken from
    /// the defaults of others.
    #[must_use]
    pub fn new(overrides: &[(Action, Vec<Key>)]) -> Self {
        let mut by_action: BTreeMap<Action, Vec<Key>> = BTreeMap::new();
        let given: Vec<Key> = overrides.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        for &action in Action::ALL {
            let keys = overrides.iter().find(|(a, _)| *a == action).map_or_else(
                || {
                    let defaults = action.spec().keys.iter().filter_map(|key| key.parse().ok());
                    defaults.filter(|key| !given.contains(key)).collect()
                },
                |(_, keys)| keys.clone(),
            );
            by_action.insert(action, keys);
        }
        let mut by_key: BTreeMap<Key, Vec<Action>> = BTreeMap::new();
        for (&action, keys) in &by_action {
            for &key in keys {
                by_key.entry(key).or_default().push(action);
            }
        }
        Self { by_key, by_action }
    }

    /// The actions of a key, in the table's order: more than one where they
    /// exclude each other ([`Action::SHARED`]).
    #[must_use]
    pub fn actions(&self, key: Key) -> &[Action] {
        self.by_key.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The keys of an action; the first is the one that hints show.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Key] {
        self.by_action.get(&action).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_replace_unbind_and_take() {
        let map = Keymap::new(&[(Action::Trigger, vec![Key::char('x')]), (Action::Quit, vec![])]);
        assert_eq!(map.actions(Key::char('x')), [Action::Trigger]);
        assert!(map.actions(Key::char('t')).is_empty());
        assert!(map.keys(Action::Cancel).is_empty());
        assert!(map.keys(Action::Quit).is_empty());
        assert_eq!(map.actions(Key::char('P')), [Action::Pause, Action::Resume]);
    }
}
