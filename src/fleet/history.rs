//! Known runs of one endpoint: bounded per task and as a whole.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use chrono::{DateTime, Utc};

use crate::model::{Run, RunId, TaskId};

/// Most runs that are kept of one task.
pub const MAX_RUNS_PER_TASK: usize = 50;
/// Most runs that are kept of one endpoint.
pub const MAX_RUNS_PER_ENDPOINT: usize = 2_000;
/// Tasks of one endpoint whose fetched history is kept beyond that, the latest looked at.
const MAX_LOOKED_AT: usize = 32;

/// What tells runs apart: their id, or (where a system gives none) task and time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RunKey {
    Id(RunId),
    Bare(TaskId, DateTime<Utc>),
}

impl RunKey {
    /// `None` for a run that can't be told from others: one without id that has not ended, or at no known time.
    pub fn of(run: &Run) -> Option<Self> {
        match &run.id {
            Some(id) => Some(Self::Id(id.clone())),
            None if run.state.is_ended() => {
                run.ended.or(run.started).map(|at| Self::Bare(run.task.clone(), at))
            }
            None => None,
        }
    }
}

/// The time that orders runs: when it started, else what is known.
pub(super) fn moment(run: &Run) -> DateTime<Utc> {
    run.started.or(run.queued).or(run.ended).or(run.slot).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

type Place = (DateTime<Utc>, RunKey);

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct History {
    runs: BTreeMap<Place, Run>,
    places: HashMap<RunKey, DateTime<Utc>>,
    /// Those that have not ended.
    active: BTreeSet<Place>,
    by_task: HashMap<TaskId, BTreeSet<Place>>,
    /// Fetched for a task that somebody looks at, latest looked at last.
    looked_at: VecDeque<(TaskId, BTreeMap<RunKey, Run>)>,
}

impl History {
    /// Learns or updates one run; whether anything changed.
    pub fn learn(&mut self, run: &Run) -> bool {
        let Some(key) = RunKey::of(run) else { return false };
        if let Some((_, runs)) = self.looked_at.iter_mut().find(|(task, _)| *task == run.task)
            && let Some(known) = runs.get_mut(&key)
        {
            known.clone_from(run);
        }
        let place = (moment(run), key);
        if let Some(&at) = self.places.get(&place.1) {
            let old = (at, place.1.clone());
            if at == place.0
                && let Some(known) = self.runs.get_mut(&old)
                && known.task == run.task
            {
                let changed = known != run;
                if changed {
                    known.clone_from(run);
                    self.mark(place, run);
                }
                return changed;
            }
            self.remove(&old);
        }
        // A full shelf gives up its oldest for a newer one: the task's own first.
        let of_task = self.by_task.get(&run.task);
        let full = if of_task.is_some_and(|places| places.len() >= MAX_RUNS_PER_TASK) {
            of_task.and_then(BTreeSet::first)
        } else if self.runs.len() >= MAX_RUNS_PER_ENDPOINT {
            self.runs.first_key_value().map(|(oldest, _)| oldest)
        } else {
            None
        };
        if let Some(oldest) = full {
            if *oldest > place {
                return false;
            }
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
        self.by_task.entry(run.task.clone()).or_default().insert(place.clone());
        self.places.insert(place.1.clone(), place.0);
        self.mark(place.clone(), run);
        self.runs.insert(place, run.clone());
        true
    }

    /// Notes whether the run at `place` is active.
    fn mark(&mut self, place: Place, run: &Run) {
        if run.state.is_ended() {
            self.active.remove(&place);
        } else {
            self.active.insert(place);
        }
    }

    /// Keeps what was fetched for tasks that somebody looks at.
    pub fn look_at(&mut self, runs: Vec<Run>) -> bool {
        let mut changed = false;
        for run in runs {
            let Some(key) = RunKey::of(&run) else { continue };
            let mut found = match self.looked_at.iter().position(|(task, _)| *task == run.task) {
                Some(position) => self.looked_at.remove(position),
                None => None,
            }
            .unwrap_or_else(|| (run.task.clone(), BTreeMap::new()));
            if found.1.len() < MAX_RUNS_PER_TASK || found.1.contains_key(&key) {
                changed |= found.1.get(&key) != Some(&run);
                found.1.insert(key, run);
            }
            self.looked_at.push_back(found);
            if self.looked_at.len() > MAX_LOOKED_AT {
                self.looked_at.pop_front();
            }
        }
        changed
    }

    fn remove(&mut self, place: &Place) -> bool {
        self.places.remove(&place.1);
        self.active.remove(place);
        let Some(run) = self.runs.remove(place) else { return false };
        if let Some(of_task) = self.by_task.get_mut(&run.task) {
            of_task.remove(place);
            if of_task.is_empty() {
                self.by_task.remove(&run.task);
            }
        }
        true
    }

    /// Forgets one run; whether it was known.
    pub fn forget(&mut self, id: &RunId) -> bool {
        let key = RunKey::Id(id.clone());
        for (_, runs) in &mut self.looked_at {
            runs.remove(&key);
        }
        self.places.get(&key).copied().is_some_and(|at| self.remove(&(at, key)))
    }

    /// Forgets every run with an id for which `keep` says no; whether there was one.
    pub fn retain(&mut self, keep: impl Fn(&RunId) -> bool) -> bool {
        let gone: Vec<RunId> = self
            .places
            .keys()
            .filter_map(|key| match key {
                RunKey::Id(id) if !keep(id) => Some(id.clone()),
                _ => None,
            })
            .collect();
        for id in &gone {
            self.forget(id);
        }
        !gone.is_empty()
    }

    /// Forgets the runs of a task that is gone; whether there were some.
    pub fn forget_task(&mut self, task: &TaskId) -> bool {
        self.looked_at.retain(|(looked_at, _)| looked_at != task);
        let places = self.by_task.remove(task).unwrap_or_default();
        for place in &places {
            self.places.remove(&place.1);
            self.active.remove(place);
            self.runs.remove(place);
        }
        !places.is_empty()
    }

    /// One run by its id.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        let key = RunKey::Id(id.clone());
        let at = *self.places.get(&key)?;
        self.runs.get(&(at, key))
    }

    /// All, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().rev()
    }

    /// Those that have not ended.
    pub fn active(&self) -> impl Iterator<Item = &Run> {
        self.active.iter().filter_map(|place| self.runs.get(place))
    }

    /// The newest of those that have ended: `limit`, and what is of the same time as the last of them.
    pub fn newest_ended(&self, limit: usize) -> impl Iterator<Item = &Run> {
        let mut last = None;
        let ended = self.runs.iter().rev().filter(|(_, run)| run.state.is_ended()).enumerate();
        let first = ended.take_while(move |(index, ((at, _), _))| {
            let more = *index < limit || last == Some(*at);
            last = Some(*at);
            more
        });
        first.map(|(_, (_, run))| run)
    }

    /// Those of one task together with what its row carries, newest first; each run once.
    pub fn of_task<'a>(&'a self, task: &TaskId, embedded: impl Iterator<Item = &'a Run>) -> Vec<&'a Run> {
        let mut bare: Vec<&Run> = Vec::new();
        let mut known: BTreeMap<RunKey, &Run> = BTreeMap::new();
        if let Some((_, runs)) = self.looked_at.iter().find(|(looked_at, _)| looked_at == task) {
            known.extend(runs.iter().map(|(key, run)| (key.clone(), run)));
        }
        for run in embedded {
            match RunKey::of(run) {
                Some(key) => {
                    known.insert(key, run);
                }
                None => bare.push(run),
            }
        }
        // What is kept is at least as new as what a row carries.
        for place in self.by_task.get(task).into_iter().flatten() {
            if let Some(run) = self.runs.get(place) {
                known.insert(place.1.clone(), run);
            }
        }
        let mut runs: Vec<&Run> = known.into_values().chain(bare).collect();
        runs.sort_by(|a, b| newest_first(a, b));
        runs
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.runs.len(), self.places.len());
        assert!(self.runs.iter().all(|(at, run)| self.active.contains(at) != run.state.is_ended()));
        assert_eq!(self.runs.len(), self.by_task.values().map(BTreeSet::len).sum::<usize>());
        self.runs.len()
    }
}

/// Active runs first, then the newest; a fixed order among equals.
pub(super) fn newest_first(a: &Run, b: &Run) -> Ordering {
    a.state
        .is_ended()
        .cmp(&b.state.is_ended())
        .then_with(|| moment(b).cmp(&moment(a)))
        .then_with(|| b.id.cmp(&a.id))
        .then_with(|| b.task.cmp(&a.task))
}
