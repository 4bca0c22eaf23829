//! What a task file must not clash with, though it does not know of it: tasks of the API, and keys that are in use.

use std::collections::BTreeSet;

use crate::coordinator::domain::{Beside, Definition, Links};
use crate::document::Value;
use crate::model::TaskId;

use super::TaskFile;

/// The ids that the file can't have.
pub(super) fn ids(beside: &Beside) -> BTreeSet<TaskId> {
    beside.added.iter().map(|task| task.id.clone()).collect()
}

/// Whether nothing of a file that is good by itself meets what stands beside it.
#[must_use]
pub fn is_apart(file: &TaskFile, beside: &Beside) -> bool {
    let ids = ids(beside);
    let keyed = |task: &&Definition| task.ping_key.is_some();
    file.tasks.iter().all(|task| !ids.contains(&task.id))
        && file.tasks.iter().filter(keyed).all(|task| {
            let key = task.ping_key.as_deref().unwrap_or_default();
            why_not(key, &file.tasks, beside).is_none()
        })
        && is_straight(file, beside)
}

/// Whether no task of the file starts itself in the end by way of those of the API.
fn is_straight(file: &TaskFile, beside: &Beside) -> bool {
    if beside.added.iter().all(|task| task.names().next().is_none()) {
        return true;
    }
    let links = Links::of(file.tasks.iter().chain(beside.added.iter().map(|task| &**task)));
    let mut named = file.tasks.iter().flat_map(|task| task.names().map(move |name| (&task.id, name)));
    named.all(|(id, (field, target))| links.circle(id, field, target).is_none())
}

/// The key of a task of the file must not be another's.
pub(super) fn check_key(value: &Value<'_>, key: &str, tasks: &[Definition], beside: &Beside) {
    if let Some(why) = why_not(key, tasks, beside) {
        value.problem(&why);
    }
}

/// Why a key can't be had: it is that of a task of the API, or was made for a task that is still there.
fn why_not(key: &str, tasks: &[Definition], beside: &Beside) -> Option<String> {
    if beside.added.iter().any(|task| task.id.as_raw() == key) {
        return Some("is the id of a task, which anybody may know: take another key".to_owned());
    }
    let owner = beside.keys.get(key)?;
    let made = |task: &Definition| task.id == *owner && task.ping_key.is_none();
    let taken = beside.added.iter().any(|task| task.id == *owner) || tasks.iter().any(made);
    taken.then(|| format!("is the key of the task {:?}: each task has its own", owner.as_raw()))
}
