//! What one caller sees: the tasks of their teams and all that belongs to
//! them, with what their role may do. Whoever reads for a caller reads through
//! a [`Sight`]: what is not theirs is not there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{
    Alert, AlertKey, Clean, Flip, Priority, Queue, QueueName, Role, Run, RunId, RunState, Scope, Task,
    TaskId, TaskSource,
};
use crate::wire::Machine;

use crate::coordinator::domain::{AFTER, Via};
use crate::coordinator::engine::file::remarks;
use crate::coordinator::engine::{
    Actor, ChangesSince, Engine, HealthView, LogPiece, Refusal, RunFilter, View,
};

/// What callers of some teams hear of a bad task file: its words are of everybody's tasks.
const BAD_FILE: &str = "the task file is not taken, tasks are as before: who sees all teams sees why";

impl Actor {
    /// Whether they see everybody's tasks.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.scope == Scope::All
    }

    /// Whether they see a task.
    #[must_use]
    pub fn sees(&self, task: &Task) -> bool {
        self.sees_all() || self.scope.holds(task.team.as_deref())
    }

    /// A task of `view` as they read it: with what their role may do, and without what is others'.
    /// For whoever sees and may do everything, the very one.
    #[must_use]
    pub fn read(&self, view: &View, task: &Arc<Task>) -> Arc<Task> {
        if self.sees_all() && self.role == Role::Admin {
            return Arc::clone(task);
        }
        let mut task = Task::clone(task);
        task.capabilities = task.capabilities.within(self.role);
        // Who has the key may ping.
        if !self.role.covers(Role::Operator) {
            task.ping_key = None;
        }
        if !self.sees_all() && !view.file_problems.is_empty() {
            let of_file = remarks(&view.file_problems);
            for remark in task.remarks.iter_mut().filter(|remark| of_file.contains(remark)) {
                *remark = BAD_FILE.into();
            }
        }
        // Their task's definition names it; how it does is its own team's business.
        let foreign = |id: &TaskId| !view.tasks.get(id).is_some_and(|other| self.sees(other));
        if !self.sees_all() && task.after.iter().any(foreign) {
            for remark in task.remarks.iter_mut().filter(|remark| remark.starts_with(AFTER)) {
                *remark = Clean::line(remark.split(';').next().unwrap_or_default());
            }
        }
        Arc::new(task)
    }

    /// Their queues.
    #[must_use]
    pub fn queues(&self, view: &View) -> Vec<Queue> {
        let theirs = |queue: &&Queue| self.scope.holds(Some(queue.name.as_raw()));
        view.queues.iter().filter(theirs).cloned().collect()
    }

    /// The coordinator's own machine, and those that their tasks run on, with
    /// what runs and waits there of theirs: others' is not counted.
    #[must_use]
    pub fn machines(&self, view: &View) -> Vec<Machine> {
        if self.sees_all() {
            return view.machines.to_vec();
        }
        let mut theirs: HashMap<Option<&Clean>, Vec<&Run>> = HashMap::new();
        for task in view.tasks.iter().filter(|task| self.sees(task)) {
            theirs.entry(task.machine.as_ref()).or_default().extend(&task.active_runs);
        }
        let told = view.machines.iter().filter_map(|machine| {
            let name = machine.host.is_some().then_some(&machine.name);
            let runs = theirs.get(&name).map(Vec::as_slice);
            // This machine is everybody's.
            let runs = if name.is_none() { Some(runs.unwrap_or_default()) } else { runs };
            runs.map(|runs| part(machine, runs))
        });
        told.collect()
    }

    /// Open alerts of their tasks and queues, oldest first.
    #[must_use]
    pub fn alerts(&self, view: &View) -> Vec<Alert> {
        let theirs = |alert: &&Alert| {
            self.sees_all()
                || match (&alert.task, &alert.queue) {
                    (Some(task), _) => view.tasks.get(task).is_some_and(|task| self.sees(task)),
                    (None, Some(queue)) => self.scope.holds(Some(queue.as_raw())),
                    (None, None) => false,
                }
        };
        view.alerts.iter().filter(theirs).cloned().collect()
    }

    /// What is wrong with the task file.
    #[must_use]
    pub fn file_problems(&self, view: &View) -> Vec<Clean> {
        if self.sees_all() || view.file_problems.is_empty() {
            return view.file_problems.to_vec();
        }
        vec![BAD_FILE.into()]
    }
}

/// A machine, with these runs alone. What was told of from elsewhere takes no place there.
fn part(machine: &Machine, runs: &[&Run]) -> Machine {
    let mut part = Machine { running: 0, depth: 0, by_priority: [0; Priority::COUNT], ..machine.clone() };
    (part.oldest_pending, part.oldest_by_priority) = (None, [None; Priority::COUNT]);
    for run in runs.iter().filter(|run| !Via::is_told(run)) {
        if run.state == RunState::Running {
            part.running += 1;
            continue;
        }
        let place = run.priority.unwrap_or_default().index();
        part.depth += 1;
        part.by_priority[place] += 1;
        let earlier = |oldest: Option<DateTime<Utc>>| oldest.into_iter().chain(run.queued).min();
        part.oldest_by_priority[place] = earlier(part.oldest_by_priority[place]);
        part.oldest_pending = earlier(part.oldest_pending);
    }
    part
}

impl ChangesSince {
    /// Whether there is nothing new in it.
    #[must_use]
    pub fn tells_nothing(&self) -> bool {
        self.tasks.is_empty()
            && self.tasks_gone.is_empty()
            && self.runs.is_empty()
            && self.queues.is_empty()
            && self.queues_gone.is_empty()
            && self.alerts.is_empty()
            && self.alerts_gone.is_empty()
    }
}

/// Whether the caller may give a team a task.
pub(super) fn within_scope(
    definition: &crate::coordinator::domain::Definition,
    actor: &Actor,
) -> Result<(), Refusal> {
    let team = definition.team.as_deref();
    if actor.scope.holds(team) {
        return Ok(());
    }
    let whose = team.map_or_else(|| "a task without a team".to_owned(), |team| format!("a task of {team}"));
    Err(Refusal::OtherTeam(Clean::from(format!(
        "{} may not make {whose}: name one of its own teams",
        actor.name
    ))))
}

/// The coordinator as one caller sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    engine: &'a Engine,
    actor: &'a Actor,
}

impl Engine {
    /// What `actor` sees.
    #[must_use]
    pub const fn seen_by<'a>(&'a self, actor: &'a Actor) -> Sight<'a> {
        Sight { engine: self, actor }
    }
}

impl Sight<'_> {
    /// Whether a task is theirs.
    ///
    /// # Errors
    /// It is not: to them there is none of that id.
    pub fn owns(&self, task: &TaskId) -> Result<(), Refusal> {
        self.task(task).map(drop)
    }

    /// The id of the task that is meant: it is said itself, or a name that one of their tasks alone has.
    ///
    /// # Errors
    /// There is none, or there are several of that name.
    pub fn named(&self, said: &TaskId) -> Result<TaskId, Refusal> {
        let view = self.engine.view();
        if view.tasks.get(said).is_some_and(|task| self.actor.sees(task)) {
            return Ok(said.clone());
        }
        // What was submitted once is called after its program, and is nobody's to report on.
        let named = |task: &&Arc<Task>| {
            task.name == *said.as_raw() && task.source != Some(TaskSource::OneOff) && self.actor.sees(task)
        };
        let mut called = view.tasks.iter().filter(named);
        match (called.next(), called.next()) {
            (None, _) => Err(Refusal::NoTask(said.clone())),
            (Some(one), None) => Ok(one.id.clone()),
            (Some(one), Some(other)) => Err(Refusal::Conflict(Clean::from(format!(
                "several tasks are called {}: say the id of one, such as {} or {}",
                said.shown(),
                one.id,
                other.id
            )))),
        }
    }

    /// One task.
    ///
    /// # Errors
    /// There is none, or it is not theirs.
    pub fn task(&self, id: &TaskId) -> Result<Arc<Task>, Refusal> {
        let view = self.engine.view();
        let found = view.tasks.get(id).filter(|task| self.actor.sees(task));
        found.map(|task| self.actor.read(&view, task)).ok_or_else(|| Refusal::NoTask(id.clone()))
    }

    /// What changed after `revision`; `None` when that is no longer known: read everything.
    /// A task that has left their teams is gone, one that has come to them is new.
    #[must_use]
    pub fn since(&self, revision: u64) -> Option<ChangesSince> {
        let mut changes = self.engine.shared.since(revision, &self.actor.scope)?;
        let view = self.engine.view();
        for task in &mut changes.tasks {
            *task = self.actor.read(&view, task);
        }
        Some(changes)
    }

    /// Runs from disk, newest first.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<Run>, Refusal> {
        // Of a task that is not theirs there are none.
        if let Some(task) = filter.task.as_ref().filter(|_| !self.actor.sees_all())
            && self.owns(task).is_err()
        {
            return Ok(Vec::new());
        }
        self.engine.runs(RunFilter { of: self.tasks(), ..filter }).await
    }

    /// One run.
    ///
    /// # Errors
    /// There is none, it is not theirs, or it can't be read.
    pub async fn run(&self, id: &RunId) -> Result<Run, Refusal> {
        let mut run = self.engine.run(id).await?;
        if !run.state.is_ended()
            && let Some(task) = self.engine.view().tasks.get(&run.task)
            && let Some(told) = task.active_runs.iter().find(|told| told.id.as_ref() == Some(id))
        {
            // What is found out while it runs is not on disk.
            run.message.clone_from(&told.message);
        }
        if self.actor.sees_all() || self.owns(&run.task).is_ok() {
            return Ok(run);
        }
        Err(Refusal::NoRun(id.clone()))
    }

    /// A piece of a run's log; see [`Engine::log`].
    ///
    /// # Errors
    /// As [`Sight::run`], or the log can't be read.
    pub async fn log(&self, id: &RunId, offset: u64, limit: usize) -> Result<LogPiece, Refusal> {
        if !self.actor.sees_all() {
            self.run(id).await?;
        }
        self.engine.log(id, offset, limit).await
    }

    /// Flips, newest first.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn flips(&self, limit: usize) -> Result<Vec<Flip>, Refusal> {
        self.engine.flips_of(self.tasks(), limit).await
    }

    /// For the duplistatus surface.
    #[must_use]
    pub fn health(&self) -> Arc<HealthView> {
        let health = self.engine.health();
        if self.actor.sees_all() {
            return health;
        }
        let mut health = HealthView::clone(&health);
        let view = self.engine.view();
        let theirs = |id: &TaskId| view.tasks.get(id).is_some_and(|task| self.actor.sees(task));
        health.active.retain(|id| theirs(id));
        health.last_success.retain(|(id, _)| theirs(id));
        health.errors.retain(|(id, _)| theirs(id));
        Arc::new(health)
    }

    /// Their tasks; `None`: all.
    fn tasks(&self) -> Option<Arc<[TaskId]>> {
        let view = self.engine.view();
        let theirs = || view.tasks.iter().filter(|task| self.actor.sees(task)).map(|task| task.id.clone());
        (!self.actor.sees_all()).then(|| theirs().collect())
    }
}

/// A task, and a team that it has left.
type Left<'a> = (&'a (TaskId, Option<Clean>), &'a ());

/// Leaves of `changes` what is of `scope`. `moved`: the teams that tasks have
/// left, since the revision that is asked from; `view`: as it is now.
pub(super) fn narrow(changes: &mut ChangesSince, moved: &[Left<'_>], view: &View, scope: &Scope) {
    let holds = |team: Option<&Clean>| scope.holds(team.map(Clean::as_str));
    let sees = |task: &TaskId| view.tasks.get(task).is_some_and(|task| holds(task.team.as_ref()));
    let moved = moved.iter().map(|(moved, ())| *moved);
    let (left, before): (Vec<_>, Vec<_>) = moved.partition(|(_, team)| holds(team.as_ref()));
    let left: HashSet<&TaskId> = left.into_iter().map(|(task, _)| task).filter(|task| !sees(task)).collect();
    let came: HashSet<&TaskId> = before.into_iter().map(|(task, _)| task).filter(|task| sees(task)).collect();

    changes.tasks_gone.retain(|task| left.contains(task));
    let mut gone: HashSet<TaskId> = changes.tasks_gone.iter().cloned().collect();
    changes.tasks.retain(|task| {
        let theirs = sees(&task.id);
        if !theirs && left.contains(&task.id) && gone.insert(task.id.clone()) {
            changes.tasks_gone.push(task.id.clone());
        }
        theirs
    });
    changes.runs.retain(|run| sees(&run.task));
    let told: HashSet<RunId> = changes.runs.iter().filter_map(|run| run.id.clone()).collect();
    let active =
        changes.tasks.iter().filter(|task| came.contains(&task.id)).flat_map(|task| &task.active_runs);
    let active: Vec<Run> =
        active.filter(|run| run.id.as_ref().is_some_and(|id| !told.contains(id))).cloned().collect();
    changes.runs.extend(active);

    let queue = |name: &QueueName| scope.holds(Some(name.as_raw()));
    changes.queues.retain(|known| queue(&known.name));
    changes.queues_gone.retain(queue);
    narrow_alerts(changes, view, &sees, &queue, &left, &came);
}

/// Alerts go where their task goes: they are told with one that came, and closed with one that left.
fn narrow_alerts(
    changes: &mut ChangesSince,
    view: &View,
    sees: &dyn Fn(&TaskId) -> bool,
    queue: &dyn Fn(&QueueName) -> bool,
    left: &HashSet<&TaskId>,
    came: &HashSet<&TaskId>,
) {
    let theirs = |key: &AlertKey| match (&key.task, &key.queue) {
        (Some(task), _) => sees(task),
        (None, Some(name)) => queue(name),
        (None, None) => false,
    };
    changes.alerts.retain(|alert| theirs(&alert.key()));
    changes
        .alerts_gone
        .retain(|key| theirs(key) || key.task.as_ref().is_some_and(|task| left.contains(task)));
    if left.is_empty() && came.is_empty() {
        return;
    }
    let told: HashSet<AlertKey> = changes.alerts.iter().map(Alert::key).collect();
    let closed: HashSet<AlertKey> = changes.alerts_gone.iter().cloned().collect();
    for alert in &view.alerts {
        let (Some(task), key) = (&alert.task, alert.key()) else { continue };
        if came.contains(task) && !told.contains(&key) {
            changes.alerts.push(alert.clone());
        } else if left.contains(task) && !closed.contains(&key) {
            changes.alerts_gone.push(key);
        }
    }
}

#[cfg(test)]
mod tests;
