//! By what a task is pinged: the key in its definition, else one that was made
//! for it once and is remembered.

use std::collections::HashMap;

use crate::model::{Clean, TaskId};

use super::ids::Keys;
use super::{Domain, Entry};

/// Which task a key is of.
#[derive(Debug)]
pub(super) struct PingKeys {
    made: Keys,
    tasks: HashMap<Clean, TaskId>,
}

impl PingKeys {
    pub(super) fn new(made: Keys) -> Self {
        Self { made, tasks: HashMap::new() }
    }

    /// Gives a key that a task no longer has away, if no other has taken it.
    fn forget(&mut self, key: &str, id: &TaskId) {
        if self.tasks.get(key) == Some(id) {
            self.tasks.remove(key);
        }
    }
}

impl Entry {
    /// By what it is pinged; a built-in is not.
    pub(super) fn ping_key(&self) -> Option<&Clean> {
        let made = self.record.ping_key.as_ref();
        self.definition.ping_key.as_ref().or(made).filter(|_| self.definition.built_in().is_none())
    }
}

impl Domain {
    /// The task that is pinged by a key.
    pub(super) fn task_of_key(&self, key: &str) -> Option<TaskId> {
        self.keys.tasks.get(key).cloned()
    }

    /// Has a task known by its key, which is made if it has none. `old`: what it was known by.
    pub(super) fn key_task(&mut self, id: &TaskId, old: Option<&str>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        if entry.definition.built_in().is_none() && entry.ping_key().is_none() {
            entry.record.ping_key = Some(self.keys.made.next().into());
            entry.touched = true;
        }
        let key = entry.ping_key().cloned();
        if let Some(old) = old.filter(|old| Some(*old) != key.as_deref()) {
            self.keys.forget(old, id);
        }
        if let Some(key) = key {
            self.keys.tasks.insert(key, id.clone());
        }
    }

    /// A task is no longer known by its key.
    pub(super) fn unkey_task(&mut self, id: &TaskId, entry: &Entry) {
        if let Some(key) = entry.ping_key() {
            self.keys.forget(key, id);
        }
    }
}
