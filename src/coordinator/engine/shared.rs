//! What everybody may see at once: the newest view, and what changed lately.
//! Showing a step costs what the step has changed, however many tasks there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::coordinator::domain::{Batch, Domain, Pulse};
use crate::model::{Alert, AlertKey, AlertKind, Clean, QueueName, Run, RunId, Scope, TaskId};

use super::listed::Listed;
use super::sight::narrow;
use super::trail::Trail;
use super::{ChangesSince, HealthView, View};

/// Changed runs, queues and alerts that are kept, and tasks that are gone; who
/// lags further behind reads everything.
const KEPT: usize = 8_192;

#[derive(Debug)]
struct State {
    view: Arc<View>,
    /// Tasks in the order of the file.
    order: Arc<Vec<TaskId>>,
    /// What `/health` tells of tasks beyond the view.
    pulses: HashMap<TaskId, Pulse>,
    /// When an open alert began: that is its place in the view.
    began: HashMap<AlertKey, DateTime<Utc>>,
    tasks: Trail<TaskId, ()>,
    /// Teams that tasks are no longer of, or were of when they went.
    left: Trail<(TaskId, Option<Clean>), ()>,
    runs: Trail<RunId, Box<Run>>,
    queues: Trail<QueueName, ()>,
    alerts: Trail<AlertKey, ()>,
    /// The first view is not a change: before it nobody knew anything.
    first: u64,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Shared {
    state: RwLock<State>,
    revision: watch::Sender<u64>,
    /// As it was last asked for, and of which revision.
    health: Mutex<(u64, Arc<HealthView>)>,
}

impl Shared {
    pub(super) fn new(epoch: u64, at: DateTime<Utc>) -> Self {
        let view = View {
            revision: 0,
            epoch,
            tasks: Listed::default(),
            queues: Listed::default(),
            alerts: Listed::default(),
            machines: Arc::default(),
            silences: Arc::default(),
            file_problems: Arc::default(),
            trouble: None,
            at,
        };
        let state = State {
            view: Arc::new(view),
            order: Arc::default(),
            pulses: HashMap::new(),
            began: HashMap::new(),
            tasks: Trail::default(),
            left: Trail::default(),
            runs: Trail::default(),
            queues: Trail::default(),
            alerts: Trail::default(),
            first: 0,
        };
        Self { state: RwLock::new(state), revision: watch::Sender::new(0), health: Mutex::default() }
    }

    /// Shows what has come of a step that is on disk.
    pub(super) fn publish(&self, batch: Batch, domain: &Domain, file_problems: &[Clean], at: DateTime<Utc>) {
        if batch.tells_nothing() && *self.view().file_problems == *file_problems {
            return;
        }
        let revision = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.publish(batch, domain, file_problems, at);
            state.view.revision
        };
        self.revision.send_replace(revision);
    }

    /// Shows that the database can't be written, and why, or that it can again. What was shown before.
    pub(super) fn set_trouble(&self, trouble: Option<Clean>, at: DateTime<Utc>) -> Option<Alert> {
        if self.view().trouble == trouble {
            return None;
        }
        let (revision, before) = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let before = state.set_trouble(trouble, at);
            (state.view.revision, before)
        };
        self.revision.send_replace(revision);
        before
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).view.clone()
    }

    pub(super) fn health(&self) -> Arc<HealthView> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if health.0 != state.view.revision {
            *health = (state.view.revision, Arc::new(state.health()));
        }
        health.1.clone()
    }

    pub(super) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// What changed after `revision`, as far as it is of `scope`; `None` when that is no longer known.
    pub(super) fn since(&self, revision: u64, scope: &Scope) -> Option<ChangesSince> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut changes = state.since(revision)?;
        if *scope != Scope::All {
            narrow(&mut changes, &state.left.since(revision)?, &state.view, scope);
        }
        Some(changes)
    }
}

impl State {
    fn publish(&mut self, batch: Batch, domain: &Domain, file_problems: &[Clean], at: DateTime<Utc>) {
        // A copy shares all of the old view but what is changed here.
        let view = Arc::make_mut(&mut self.view);
        let is_first = view.revision == 0;
        view.revision += 1;
        view.at = at;
        let revision = view.revision;
        if is_first {
            self.first = revision;
        }
        if batch.machines_changed {
            view.machines = Arc::new(domain.told_machines());
        }
        if batch.silences_changed {
            view.silences = Arc::new(domain.silences());
        }
        if *view.file_problems != *file_problems {
            view.file_problems = file_problems.into();
        }
        if !Arc::ptr_eq(&self.order, domain.order()) {
            self.order = domain.order().clone();
        }
        for id in batch.tasks_gone {
            if let Some(task) = view.tasks.get(&id) {
                self.left.touch((id.clone(), task.team.clone()), (), revision);
            }
            view.tasks.remove(&id);
            self.pulses.remove(&id);
            self.tasks.touch(id, (), revision);
        }
        for (id, task) in batch.tasks {
            if let Some(pulse) = domain.pulse(&id) {
                self.pulses.insert(id.clone(), pulse);
            }
            if !is_first {
                if let Some(before) = view.tasks.get(&id).filter(|before| before.team != task.team) {
                    self.left.touch((id.clone(), before.team.clone()), (), revision);
                }
                self.tasks.touch(id.clone(), (), revision);
            }
            view.tasks.insert(id, task);
        }
        for name in batch.queues_gone {
            view.queues.remove(&name);
            self.queues.touch(name, (), revision);
        }
        for queue in batch.queues {
            self.queues.touch(queue.name.clone(), (), revision);
            view.queues.insert(queue.name.clone(), queue);
        }
        for key in batch.alerts_gone {
            if let Some(since) = self.began.remove(&key) {
                view.alerts.remove(&(since, key.clone()));
            }
            self.alerts.touch(key, (), revision);
        }
        for (key, alert) in batch.alerts {
            let since = alert.since;
            if let Some(before) = self.began.insert(key.clone(), since) {
                view.alerts.remove(&(before, key.clone()));
            }
            view.alerts.insert((since, key.clone()), alert);
            self.alerts.touch(key, (), revision);
        }
        if is_first {
            for alert in domain.alerts() {
                self.began.insert(alert.key(), alert.since);
                view.alerts.insert((alert.since, alert.key()), alert);
            }
        }
        for (id, run) in batch.runs {
            self.runs.touch(id, Box::new(run), revision);
        }
        let tasks = view.tasks.len();
        self.tasks.trim(tasks + KEPT);
        self.left.trim(KEPT);
        self.runs.trim(KEPT);
        self.queues.trim(KEPT);
        self.alerts.trim(KEPT);
    }

    /// An alert of its own that lives here alone: it can't be on disk while that can't be written.
    fn set_trouble(&mut self, trouble: Option<Clean>, at: DateTime<Utc>) -> Option<Alert> {
        let view = Arc::make_mut(&mut self.view);
        view.revision += 1;
        view.at = at;
        let key = AlertKey { task: None, queue: None, kind: AlertKind::SchedulerSilent };
        let since = self.began.get(&key).copied();
        let before = since.and_then(|since| view.alerts.get(&(since, key.clone())).cloned());
        match &trouble {
            Some(why) => {
                let since = since.unwrap_or(at);
                let alert = Alert {
                    task: None,
                    queue: None,
                    kind: key.kind,
                    severity: key.kind.severity(),
                    since,
                    summary: Clean::from(format!("nothing is started until it can be written: {why}")),
                    acknowledged_by: None,
                    silenced_until: None,
                    handling: None,
                };
                self.began.insert(key.clone(), since);
                view.alerts.insert((since, key.clone()), alert);
            }
            None => {
                if let Some(since) = self.began.remove(&key) {
                    view.alerts.remove(&(since, key.clone()));
                }
            }
        }
        self.alerts.touch(key, (), view.revision);
        view.trouble = trouble;
        before
    }

    fn health(&self) -> HealthView {
        let mut health = HealthView { trouble: self.view.trouble.clone(), ..HealthView::default() };
        for id in self.order.iter() {
            let Some(pulse) = self.pulses.get(id) else { continue };
            if pulse.scheduled {
                health.active.push(id.clone());
            }
            health.last_success.extend(pulse.last_success.map(|at| (id.clone(), at)));
            let last = self.view.tasks.get(id).and_then(|task| task.last_run.as_ref());
            if let Some(run) = last.filter(|run| run.state.is_bad()) {
                let message = run.message.clone();
                let message = message.unwrap_or_else(|| Clean::from(format!("run {}", run.state)));
                health.errors.push((id.clone(), message));
            }
        }
        health
    }

    fn since(&self, revision: u64) -> Option<ChangesSince> {
        if revision > self.view.revision || revision < self.first {
            return None;
        }
        let mut changes = ChangesSince { revision: self.view.revision, ..ChangesSince::default() };
        for (id, ()) in self.tasks.since(revision)? {
            match self.view.tasks.get(id) {
                Some(task) => changes.tasks.push(task.clone()),
                None => changes.tasks_gone.push(id.clone()),
            }
        }
        for (_, run) in self.runs.since(revision)? {
            changes.runs.push(Run::clone(run));
        }
        for (name, ()) in self.queues.since(revision)? {
            match self.view.queues.get(name) {
                Some(queue) => changes.queues.push(queue.clone()),
                None => changes.queues_gone.push(name.clone()),
            }
        }
        for (key, ()) in self.alerts.since(revision)? {
            let open = self.began.get(key).and_then(|since| self.view.alerts.get(&(*since, key.clone())));
            match open {
                Some(alert) => changes.alerts.push(alert.clone()),
                None => changes.alerts_gone.push(key.clone()),
            }
        }
        Some(changes)
    }
}
