//! How many runs wait and run, and since when, per queue, machine and priority:
//! kept up to date run by run, never counted anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::model::{Priority, Queue, QueueName, RunId, RunState};

use super::machines::machine_of;
use super::{Active, Domain};

/// Where a run counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    queue: QueueName,
    machine: String,
    /// Its priority and since when it waits; `None` while it runs.
    waiting: Option<(Priority, DateTime<Utc>)>,
}

/// The runs of one place.
#[derive(Debug, Default)]
pub(super) struct Tally {
    running: u64,
    waiting: [BTreeSet<(DateTime<Utc>, RunId)>; Priority::COUNT],
}

impl Tally {
    pub(super) const fn running(&self) -> u64 {
        self.running
    }

    pub(super) fn depth(&self) -> u64 {
        self.by_priority().iter().sum()
    }

    pub(super) fn by_priority(&self) -> [u64; Priority::COUNT] {
        std::array::from_fn(|i| self.waiting[i].len() as u64)
    }

    /// Since when the oldest run of each priority waits.
    pub(super) fn oldest_by_priority(&self) -> [Option<DateTime<Utc>>; Priority::COUNT] {
        std::array::from_fn(|i| self.waiting[i].first().map(|(since, _)| *since))
    }

    pub(super) fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest_by_priority().into_iter().flatten().min()
    }

    fn is_empty(&self) -> bool {
        self.running == 0 && self.waiting.iter().all(BTreeSet::is_empty)
    }

    fn put(&mut self, run: &RunId, standing: &Standing) {
        match standing.waiting {
            Some((priority, since)) => {
                self.waiting[priority.index()].insert((since, run.clone()));
            }
            None => self.running += 1,
        }
    }

    fn take(&mut self, run: &RunId, standing: &Standing) {
        match standing.waiting {
            Some((priority, since)) => {
                self.waiting[priority.index()].remove(&(since, run.clone()));
            }
            None => self.running -= 1,
        }
    }
}

/// All tallies.
#[derive(Debug, Default)]
pub(super) struct Depths {
    runs: HashMap<RunId, Standing>,
    queues: BTreeMap<QueueName, Tally>,
    machines: BTreeMap<String, Tally>,
    /// Queues that have changed since they were last told.
    changed: BTreeSet<QueueName>,
}

impl Depths {
    /// The tally of a machine; `None`: nothing waits or runs there.
    pub(super) fn machine(&self, name: &str) -> Option<&Tally> {
        self.machines.get(name)
    }

    /// Machines that something waits or runs on.
    pub(super) fn machines(&self) -> impl Iterator<Item = &str> {
        self.machines.keys().map(String::as_str)
    }

    /// A run counts here from now on, and nowhere else; `None`: nowhere. Whether that is another place.
    fn set(&mut self, run: &RunId, now: Option<Standing>) -> bool {
        if self.runs.get(run) == now.as_ref() {
            return false;
        }
        if let Some(old) = self.runs.remove(run) {
            if let Some(tally) = self.queues.get_mut(&old.queue) {
                tally.take(run, &old);
                if tally.is_empty() {
                    self.queues.remove(&old.queue);
                }
            }
            if let Some(tally) = self.machines.get_mut(&old.machine) {
                tally.take(run, &old);
                if tally.is_empty() {
                    self.machines.remove(&old.machine);
                }
            }
            self.changed.insert(old.queue);
        }
        if let Some(new) = now {
            self.queues.entry(new.queue.clone()).or_default().put(run, &new);
            self.machines.entry(new.machine.clone()).or_default().put(run, &new);
            self.changed.insert(new.queue.clone());
            self.runs.insert(run.clone(), new);
        }
        true
    }
}

impl Domain {
    /// Counts a run where it is now.
    pub(super) fn recount(&mut self, id: &RunId) {
        let standing = self.runs.get(id).and_then(standing);
        if self.depths.set(id, standing) {
            self.out.machines_changed = true;
        }
    }

    /// Tells of the queues that have changed.
    pub(super) fn tell_queues(&mut self) {
        let mut changed = std::mem::take(&mut self.depths.changed);
        if std::mem::take(&mut self.queues_changed) {
            changed.extend(self.queue_names.iter().cloned());
            changed.extend(self.queues.iter().map(|queue| queue.name.clone()));
        }
        for name in changed {
            let tally = self.depths.queues.get(&name);
            let place = self.queues.binary_search_by(|queue| queue.name.cmp(&name));
            if tally.is_none() && !self.queue_names.contains(&name) {
                if let Ok(place) = place {
                    self.queues.remove(place);
                    self.out.queues.retain(|queue| queue.name != name);
                    self.out.queues_gone.push(name);
                }
                continue;
            }
            let nothing = Tally::default();
            let queue = tell(name, tally.unwrap_or(&nothing));
            match place {
                Ok(place) if self.queues[place] == queue => continue,
                Ok(place) => self.queues[place] = queue.clone(),
                Err(place) => self.queues.insert(place, queue.clone()),
            }
            self.out.queues.push(queue);
        }
    }
}

fn tell(name: QueueName, tally: &Tally) -> Queue {
    Queue {
        name,
        depth: tally.depth(),
        by_priority: Some(tally.by_priority()),
        running: tally.running(),
        stale: 0,
        oldest_pending: tally.oldest(),
        oldest_by_priority: Some(tally.oldest_by_priority()),
    }
}

/// Where an active run counts. A built-in's counts nowhere, nor what is carried out elsewhere: it takes no place here.
fn standing(active: &Active) -> Option<Standing> {
    let run = &active.row.run;
    if active.definition.built_in().is_some() || active.row.is_elsewhere() || run.state.is_ended() {
        return None;
    }
    let waiting = (run.state != RunState::Running)
        .then(|| (run.priority.unwrap_or_default(), run.queued.unwrap_or_default()));
    Some(Standing { queue: active.definition.queue(), machine: machine_of(active).to_owned(), waiting })
}
