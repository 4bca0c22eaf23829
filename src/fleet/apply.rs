//! Applying an answer under the law of coverage: something missing is gone
//! only inside complete coverage, or when it is said to be gone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::history::RunKey;
use super::site::{Context, Entry, Site, carried};
use crate::model::{Coverage, Labels, Part, Run, RunId, Snapshot, Task, TaskId, TaskKey};

impl Site {
    /// Applies one answer.
    pub fn apply(&mut self, snapshot: Snapshot, ctx: &mut Context<'_>) {
        let before = self.basis();
        if self.pulse.good(&mut self.row, &snapshot, ctx.now) {
            ctx.changes.endpoint(&self.name);
        }
        self.apply_tasks(snapshot.tasks, ctx);
        self.apply_runs(&snapshot.runs, ctx);
        ctx.changes.queues |= merge(&mut self.queues, snapshot.queues, |queue| queue.name.clone());
        ctx.changes.alerts |= merge(&mut self.told, snapshot.alerts, crate::model::Alert::key);
        self.turn(before, ctx);
        self.answer_awaited(ctx);
        self.settle(ctx);
    }

    /// Tasks: nothing is allocated for one that is as it was.
    fn apply_tasks(&mut self, part: Part<Task, TaskId>, ctx: &mut Context<'_>) {
        self.generation += 1;
        let generation = self.generation;
        // From the back, so that of two with one id the last wins without the first being seen at all.
        for task in part.items.into_iter().rev() {
            match self.entries.get_mut(&task.id) {
                Some(entry) if entry.seen == generation => {}
                Some(entry) => {
                    entry.seen = generation;
                    if entry.row.task != task {
                        self.replace(task, ctx);
                    }
                }
                None => self.insert(task, ctx),
            }
        }
        let unseen: Vec<TaskId> = match part.coverage {
            Coverage::Complete => self
                .entries
                .iter()
                .filter(|(_, entry)| entry.seen != generation)
                .map(|(id, _)| id.clone())
                .collect(),
            Coverage::Listed => part
                .gone
                .into_iter()
                .filter(|id| self.entries.get(id).is_some_and(|entry| entry.seen != generation))
                .collect(),
        };
        for id in &unseen {
            self.remove(id, ctx);
        }
    }

    fn insert(&mut self, task: Task, ctx: &mut Context<'_>) {
        let basis = self.basis();
        let key = TaskKey::new(&self.name, &task.id);
        let labels = merged(&self.row.spec.labels, &task.labels);
        ctx.changes.add(key.clone());
        ctx.changes.alerts |= !self.told.is_empty();
        let mut entry = Entry::new(key, task, labels, basis, ctx.seats.take(), self.generation);
        self.book.counts.add(super::summary::Class::of(&entry.row));
        entry.take_in(false, &mut self.history, &mut self.book, ctx);
        entry.judge(basis, &mut self.book, ctx);
        self.entries.insert(entry.row.task.id.clone(), Box::new(entry));
    }

    fn replace(&mut self, task: Task, ctx: &mut Context<'_>) {
        let basis = self.basis();
        let Some(entry) = self.entries.get_mut(&task.id) else { return };
        let before = super::summary::Class::of(&entry.row);
        let mut old = std::mem::replace(&mut entry.row.task, task);
        let new = &mut entry.row.task;
        // Facts are not shown: what they change is what the judgement makes of them.
        let (facts, _) = (new.facts.take(), old.facts.take());
        if *new != old {
            ctx.changes.change(&entry.row.key);
        }
        new.facts = facts;
        if new.labels != old.labels {
            entry.row.labels = merged(&self.row.spec.labels, &new.labels);
        }
        // Alerts and runs carry some of their task.
        if context(new) != context(&old) {
            ctx.changes.alerts |= !(self.told.is_empty() && entry.problems.is_empty());
            ctx.changes.runs = true;
        }
        let same_schedule = new.schedule == old.schedule;
        self.book.counts.move_between(before, super::summary::Class::of(&entry.row));
        entry.take_in(same_schedule, &mut self.history, &mut self.book, ctx);
        entry.judge(basis, &mut self.book, ctx);
    }

    /// Runs that are newly known or have changed.
    fn apply_runs(&mut self, part: &Part<Run, RunId>, ctx: &mut Context<'_>) {
        if part.coverage == Coverage::Complete {
            let mut listed: HashSet<&RunId> = part.items.iter().filter_map(|run| run.id.as_ref()).collect();
            let carried = self.entries.values().flat_map(|entry| carried(&entry.row.task));
            listed.extend(carried.filter_map(|run| run.id.as_ref()));
            ctx.changes.runs |= self.history.retain(|id| listed.contains(id));
        } else if !part.gone.is_empty() {
            let listed: HashSet<&RunId> = part.items.iter().filter_map(|run| run.id.as_ref()).collect();
            for id in part.gone.iter().filter(|id| !listed.contains(id)) {
                ctx.changes.runs |= self.history.forget(id);
            }
        }
        self.learn(&part.items, ctx);
    }

    /// Learns runs; of two with one identity the last wins.
    pub fn learn(&mut self, runs: &[Run], ctx: &mut Context<'_>) {
        let mut seen = HashSet::with_capacity(runs.len());
        for run in runs.iter().rev() {
            let Some(key) = RunKey::of(run) else { continue };
            if !seen.insert(key) {
                continue;
            }
            ctx.changes.runs |= self.history.learn(run);
            if let Some(entry) = self.entries.get_mut(&run.task) {
                entry.series.learn(run);
            }
        }
    }
}

/// What other rows carry of a task.
fn context(task: &Task) -> impl PartialEq + '_ {
    (&task.name, &task.team, &task.machine, &task.labels, task.priority)
}

/// Merges a part into what is known; whether that changed anything.
fn merge<K: Ord, T: PartialEq>(known: &mut BTreeMap<K, T>, part: Part<T, K>, key: impl Fn(&T) -> K) -> bool {
    // Of two with one key the last wins.
    let listed: BTreeMap<K, T> = part.items.into_iter().map(|item| (key(&item), item)).collect();
    let count = known.len();
    match part.coverage {
        Coverage::Complete => known.retain(|key, _| listed.contains_key(key)),
        Coverage::Listed => {
            for key in part.gone.iter().filter(|key| !listed.contains_key(key)) {
                known.remove(key);
            }
        }
    }
    let mut changed = known.len() != count;
    for (key, item) in listed {
        if known.get(&key) != Some(&item) {
            known.insert(key, item);
            changed = true;
        }
    }
    changed
}

/// A task's own labels over those of its endpoint; shared where they can be.
fn merged(of_endpoint: &Labels, of_task: &Labels) -> Labels {
    if of_endpoint.is_empty() {
        Arc::clone(of_task)
    } else if of_task.is_empty() {
        Arc::clone(of_endpoint)
    } else {
        let mut labels = BTreeMap::clone(of_endpoint);
        labels.extend(of_task.iter().map(|(name, value)| (name.clone(), value.clone())));
        Arc::new(labels)
    }
}
