//! What everybody may see at once: the newest view, and what changed lately.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::coordinator::domain::{Batch, Domain};
use crate::model::{Alert, AlertKey, Clean, Queue, QueueName, Run, RunId, Task, TaskId};

use super::{ChangesSince, HealthView, View};

/// Changes that are kept; who lags further behind reads everything.
const KEPT: usize = 8_192;

#[derive(Debug)]
enum Change {
    Task(Arc<Task>),
    TaskGone(TaskId),
    Run(Box<Run>),
    Queue(Queue),
    QueueGone(QueueName),
    Alert(Box<Alert>),
    AlertGone(AlertKey),
}

#[derive(Debug)]
struct State {
    view: Arc<View>,
    health: HealthView,
    changes: VecDeque<(u64, Change)>,
    /// Revisions up to here may have changes that are no longer kept.
    forgotten: u64,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Shared {
    state: RwLock<State>,
    revision: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(epoch: u64, at: DateTime<Utc>) -> Self {
        let view = View {
            revision: 0,
            epoch,
            tasks: Vec::new(),
            queues: Vec::new(),
            alerts: Vec::new(),
            file_problems: Vec::new(),
            at,
        };
        let state = State {
            view: Arc::new(view),
            health: HealthView::default(),
            changes: VecDeque::new(),
            forgotten: 0,
        };
        Self { state: RwLock::new(state), revision: watch::Sender::new(0) }
    }

    /// Shows what has come of a step that is on disk.
    pub(super) fn publish(&self, batch: Batch, domain: &Domain, file_problems: &[Clean], at: DateTime<Utc>) {
        if batch.tells_nothing() && self.view().file_problems == file_problems {
            return;
        }
        let revision = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let revision = state.view.revision + 1;
            let health = health(domain);
            state.view = Arc::new(View {
                revision,
                epoch: state.view.epoch,
                tasks: domain.told().cloned().collect(),
                queues: domain.queues().to_vec(),
                alerts: domain.alerts(),
                file_problems: file_problems.to_vec(),
                at,
            });
            state.health = health;
            for change in changes(batch) {
                state.changes.push_back((revision, change));
            }
            while state.changes.len() > KEPT {
                if let Some((gone, _)) = state.changes.pop_front() {
                    state.forgotten = gone;
                }
            }
            revision
        };
        self.revision.send_replace(revision);
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).view.clone()
    }

    pub(super) fn health(&self) -> HealthView {
        self.state.read().unwrap_or_else(PoisonError::into_inner).health.clone()
    }

    pub(super) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(super) fn since(&self, revision: u64) -> Option<ChangesSince> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if revision > state.view.revision || revision < state.forgotten {
            return None;
        }
        let mut tasks = Latest::default();
        let mut runs = Latest::default();
        let mut queues = Latest::default();
        let mut alerts = Latest::default();
        let first = state.changes.partition_point(|(of, _)| *of <= revision);
        for (_, change) in state.changes.range(first..) {
            match change {
                Change::Task(task) => tasks.put(task.id.clone(), Some(task.clone())),
                Change::TaskGone(id) => tasks.put(id.clone(), None),
                Change::Run(run) => {
                    let id = run.id.clone().unwrap_or_else(|| RunId::new(""));
                    runs.put(id, Some(Run::clone(run)));
                }
                Change::Queue(queue) => queues.put(queue.name.clone(), Some(queue.clone())),
                Change::QueueGone(name) => queues.put(name.clone(), None),
                Change::Alert(alert) => alerts.put(alert.key(), Some(Alert::clone(alert))),
                Change::AlertGone(key) => alerts.put(key.clone(), None),
            }
        }
        let (tasks, tasks_gone) = tasks.split();
        let (runs, _) = runs.split();
        let (queues, queues_gone) = queues.split();
        let (alerts, alerts_gone) = alerts.split();
        let revision = state.view.revision;
        Some(ChangesSince { revision, tasks, tasks_gone, runs, queues, queues_gone, alerts, alerts_gone })
    }
}

/// The last word on each thing, in the order of first words.
#[derive(Debug)]
struct Latest<K, V> {
    order: Vec<K>,
    values: HashMap<K, Option<V>>,
}

impl<K, V> Default for Latest<K, V> {
    fn default() -> Self {
        Self { order: Vec::new(), values: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Latest<K, V> {
    fn put(&mut self, key: K, value: Option<V>) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push(key);
        }
    }

    /// What is there, and what is gone.
    fn split(mut self) -> (Vec<V>, Vec<K>) {
        let mut there = Vec::new();
        let mut gone = Vec::new();
        for key in self.order {
            match self.values.remove(&key).flatten() {
                Some(value) => there.push(value),
                None => gone.push(key),
            }
        }
        (there, gone)
    }
}

fn changes(batch: Batch) -> impl Iterator<Item = Change> {
    let tasks = batch.tasks.into_iter().map(Change::Task);
    let runs = batch.runs.into_iter().map(|run| Change::Run(Box::new(run)));
    let queues = batch.queues.into_iter().map(Change::Queue);
    let alerts = batch.alerts.into_iter().map(|alert| Change::Alert(Box::new(alert)));
    let gone = batch.tasks_gone.into_iter().map(Change::TaskGone);
    let gone = gone.chain(batch.queues_gone.into_iter().map(Change::QueueGone));
    let gone = gone.chain(batch.alerts_gone.into_iter().map(Change::AlertGone));
    gone.chain(tasks).chain(runs).chain(queues).chain(alerts)
}

fn health(domain: &Domain) -> HealthView {
    let errors = domain.told().filter_map(|task| {
        let run = task.last_run.as_ref().filter(|run| run.state.is_bad())?;
        let message = run.message.clone().unwrap_or_else(|| Clean::from(format!("run {}", run.state)));
        Some((task.id.clone(), message))
    });
    HealthView {
        active: domain.scheduled().cloned().collect(),
        last_success: domain.last_successes().map(|(id, at)| (id.clone(), at)).collect(),
        errors: errors.collect(),
    }
}
