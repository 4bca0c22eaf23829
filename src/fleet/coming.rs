//! When tasks are due next, minute by minute: kept up to date, so that no
//! frame has to walk all tasks for it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::changes::plus;
use super::rows::TaskRow;
use super::site::Site;
use crate::model::{TaskId, TaskState};

/// A minute in which something is due.
#[derive(Debug)]
pub struct DueMinute<'a> {
    /// Its beginning.
    pub at: DateTime<Utc>,
    /// The task that is due first in it.
    pub first: &'a TaskRow,
    /// How many tasks are due in it.
    pub tasks: usize,
}

/// The due times of one endpoint's tasks, by the minute since 1970.
#[derive(Debug, Default)]
pub(super) struct Coming(BTreeMap<i64, BTreeSet<(DateTime<Utc>, TaskId)>>);

/// When a row is due, if it waits for that.
pub(super) fn due(row: &TaskRow) -> Option<DateTime<Utc>> {
    row.next_due.filter(|_| !matches!(row.state, TaskState::Paused | TaskState::Archived))
}

fn minute(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(60)
}

impl Coming {
    /// Moves a task from one due time to another.
    pub fn shift(&mut self, task: &TaskId, old: Option<DateTime<Utc>>, new: Option<DateTime<Utc>>) {
        if old == new {
            return;
        }
        if let Some(old) = old
            && let Some(due) = self.0.get_mut(&minute(old))
        {
            due.remove(&(old, task.clone()));
            if due.is_empty() {
                self.0.remove(&minute(old));
            }
        }
        if let Some(new) = new {
            self.0.entry(minute(new)).or_default().insert((new, task.clone()));
        }
    }

    /// The minutes with something due after `now`, up to that of `until`: the first in each, and how many.
    fn after(&self, now: DateTime<Utc>, until: DateTime<Utc>) -> impl Iterator<Item = (i64, &TaskId, usize)> {
        let this = minute(now);
        // Of this one only a part is still to come.
        let rest = self.0.get(&this).and_then(|due| {
            let mut due = due.range((plus(now, TimeDelta::nanoseconds(1)), TaskId::new(""))..);
            let (_, first) = due.next()?;
            Some((this, first, 1 + due.count()))
        });
        let whole = self.0.range(this + 1..minute(until).max(this + 1));
        rest.into_iter().chain(whole.filter_map(|(&at, due)| Some((at, &due.first()?.1, due.len()))))
    }
}

/// The earliest `limit` minutes with something due after `now`, up to that of `until`, over all endpoints.
pub(super) fn due_minutes<'a>(
    sites: impl Iterator<Item = &'a Site>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: usize,
) -> Vec<DueMinute<'a>> {
    let mut minutes: BTreeMap<i64, DueMinute<'a>> = BTreeMap::new();
    for site in sites {
        for (at, task, tasks) in site.book.coming.after(now, until).take(limit) {
            let Some(entry) = site.entries.get(task) else { continue };
            let beginning = DateTime::from_timestamp(at * 60, 0).unwrap_or(now);
            let found = DueMinute { at: beginning, first: &entry.row, tasks };
            minutes
                .entry(at)
                .and_modify(|known| {
                    known.tasks += found.tasks;
                    if found.first.next_due < known.first.next_due {
                        known.first = found.first;
                    }
                })
                .or_insert(found);
        }
    }
    minutes.into_values().take(limit).collect()
}
