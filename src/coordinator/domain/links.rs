//! Which tasks the end of a task starts, and whether that ever comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::TaskId;

use super::Definition;

/// Every "its end may start that one" between tasks.
#[derive(Debug, Default)]
pub struct Links<'a> {
    next: BTreeMap<&'a TaskId, Vec<&'a TaskId>>,
}

impl<'a> Links<'a> {
    /// Between these tasks.
    pub fn of(definitions: impl Iterator<Item = &'a Definition>) -> Self {
        let mut links = Self::default();
        for definition in definitions {
            for (field, named) in definition.names() {
                let (from, to) = direction(field, &definition.id, named);
                links.next.entry(from).or_default().push(to);
            }
        }
        links
    }

    /// What is wrong with a task that names another in a field: that one's end
    /// leads back to its own start.
    #[must_use]
    pub fn circle(&self, task: &TaskId, field: &str, named: &TaskId) -> Option<String> {
        if task == named {
            return Some("names the task itself: it would start itself for ever".to_owned());
        }
        let (from, to) = direction(field, task, named);
        let path = self.path(to, from)?;
        let path: Vec<&str> = std::iter::once(from).chain(path).map(TaskId::as_raw).collect();
        Some(format!("goes in a circle, and would start runs for ever: {}", path.join(" -> ")))
    }

    /// The tasks from one to another, both among them.
    fn path(&self, from: &TaskId, to: &TaskId) -> Option<Vec<&TaskId>> {
        let (first, _) = self.next.get_key_value(from)?;
        let mut seen = BTreeSet::from([*first]);
        let mut came_from: BTreeMap<&TaskId, &TaskId> = BTreeMap::new();
        let mut waiting = std::collections::VecDeque::from([*first]);
        while let Some(at) = waiting.pop_front() {
            if at == to {
                let back = std::iter::successors(Some(at), |at| came_from.get(*at).copied());
                let mut path: Vec<&TaskId> = back.collect();
                path.reverse();
                return Some(path);
            }
            for next in self.next.get(at).into_iter().flatten().copied() {
                if seen.insert(next) {
                    came_from.insert(next, at);
                    waiting.push_back(next);
                }
            }
        }
        None
    }
}

/// From the task that ends to the one that starts.
fn direction<'a>(field: &str, task: &'a TaskId, named: &'a TaskId) -> (&'a TaskId, &'a TaskId) {
    if field == "after" { (named, task) } else { (task, named) }
}
