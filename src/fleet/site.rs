//! One endpoint with everything that is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::alerts;
use super::changes::{Agenda, Changes, Wake};
use super::coming::{self, Coming};
use super::health::{self, Pulse};
use super::history::History;
use super::lateness::{self, Basis, Plans, ReadPlan};
use super::rows::{EndpointRow, Failure, TaskRow};
use super::seat::{Seat, Seats};
use super::series::Series;
use super::summary::{Class, Counts};
use crate::model::{
    Alert, AlertKey, EndpointName, EndpointSpec, Labels, Queue, QueueName, Run, RunState, Task, TaskId,
    TaskKey, TaskState,
};

/// What every step works with.
pub(super) struct Context<'a> {
    pub now: DateTime<Utc>,
    pub agenda: &'a mut Agenda,
    pub plans: &'a mut Plans,
    pub seats: &'a mut Seats,
    pub changes: &'a mut Changes,
}

/// One task with what is kept beside its row.
#[derive(Debug)]
pub(super) struct Entry {
    pub row: TaskRow,
    pub seat: Seat,
    /// Problems that vigie computed.
    pub problems: Vec<Alert>,
    pub series: Series,
    plan: Option<Arc<ReadPlan>>,
    wake: Option<DateTime<Utc>>,
    /// The generation of the answer that listed it last.
    pub seen: u64,
}

/// What is kept up to date across the tasks of one endpoint, so that nobody has to scan them.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub counts: Counts,
    /// Tasks with computed problems.
    pub troubled: BTreeSet<TaskId>,
    /// Tasks with active runs that have no id: no history can hold those.
    pub bare_active: BTreeSet<TaskId>,
    /// When tasks are due.
    pub coming: Coming,
    /// Tasks that the next answer will show to be judged by their system, or not.
    pub awaiting: BTreeSet<TaskId>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Site {
    pub name: EndpointName,
    pub row: EndpointRow,
    pub pulse: Pulse,
    /// Boxed, since half-filled tree nodes would waste as much as the rows take.
    pub entries: BTreeMap<TaskId, Box<Entry>>,
    pub queues: BTreeMap<QueueName, Queue>,
    /// Alerts that the system raised.
    pub told: BTreeMap<AlertKey, Alert>,
    /// Computed alerts of the endpoint as a whole.
    pub own: Vec<Alert>,
    pub history: History,
    pub book: Book,
    pub generation: u64,
    evidence_wake: Option<DateTime<Utc>>,
    silence_wake: Option<DateTime<Utc>>,
}

impl Entry {
    /// A task that is new; `judge` gives it its state.
    pub fn new(key: TaskKey, task: Task, labels: Labels, basis: Basis, seat: Seat, generation: u64) -> Self {
        let row = TaskRow {
            key,
            task,
            labels,
            state: TaskState::Unknown,
            evidence: basis.evidence,
            since: None,
            next_due: None,
            late_since: None,
            unverified_late_since: None,
            own_finding: false,
            schedule_error: None,
            receipts: Vec::new(),
        };
        Self {
            row,
            seat,
            problems: Vec::new(),
            series: Series::default(),
            plan: None,
            wake: None,
            seen: generation,
        }
    }

    /// Reads the schedule, if it is another than before, and learns the runs that the task carries.
    pub fn take_in(
        &mut self,
        old_schedule_holds: bool,
        history: &mut History,
        book: &mut Book,
        ctx: &mut Context<'_>,
    ) {
        if !old_schedule_holds {
            self.plan = self.row.task.schedule.as_ref().map(|schedule| ctx.plans.read(schedule));
            self.row.schedule_error =
                self.plan.as_ref().and_then(|plan| plan.as_ref().as_ref().err()).cloned();
        }
        for run in carried(&self.row.task) {
            ctx.changes.runs |= history.learn(run);
            self.series.learn(run);
        }
        let bare = self.row.task.active_runs.iter().any(|run| run.id.is_none());
        if bare != book.bare_active.contains(&self.row.task.id) {
            ctx.changes.runs = true;
            if bare {
                book.bare_active.insert(self.row.task.id.clone());
            } else {
                book.bare_active.remove(&self.row.task.id);
            }
        }
    }

    /// Judges the task, and tells what that changed.
    pub fn judge(&mut self, basis: Basis, book: &mut Book, ctx: &mut Context<'_>) {
        let (before, was_due) = (Class::of(&self.row), coming::due(&self.row));
        let mut verdict = lateness::judge(&self.row.task, self.plan.as_deref(), basis, ctx.now);
        let row = &mut self.row;
        ctx.agenda.set(|| Wake::Task(row.key.clone()), &mut self.wake, verdict.wake);
        if self.problems != verdict.problems {
            ctx.changes.alerts = true;
            if verdict.problems.is_empty() {
                book.troubled.remove(&row.task.id);
            } else {
                book.troubled.insert(row.task.id.clone());
            }
            self.problems = std::mem::take(&mut verdict.problems);
        }
        if verdict.awaits_answer {
            book.awaiting.insert(row.task.id.clone());
        } else if !book.awaiting.is_empty() {
            book.awaiting.remove(&row.task.id);
        }
        if verdict.show(basis.evidence, row) {
            ctx.changes.change(&row.key);
        }
        book.counts.move_between(before, Class::of(row));
        book.coming.shift(&row.task.id, was_due, coming::due(row));
    }

    /// Its time has come: the agenda no longer holds it.
    pub fn woken(&mut self) {
        self.wake = None;
    }

    /// The newest instant at which a run of it is known to have started.
    pub fn last_start(&self) -> Option<DateTime<Utc>> {
        let told = self.row.task.facts.as_ref().and_then(|facts| facts.last_start);
        carried(&self.row.task).filter_map(|run| run.started).chain(told).max()
    }
}

/// The runs that a task carries.
pub(super) fn carried(task: &Task) -> impl Iterator<Item = &Run> {
    task.active_runs.iter().chain(&task.last_run)
}

impl Site {
    /// An endpoint that nothing is known of yet.
    pub fn new(spec: &EndpointSpec, now: DateTime<Utc>) -> Self {
        Self {
            name: spec.name.clone(),
            row: health::connecting(spec, now),
            pulse: Pulse::default(),
            entries: BTreeMap::new(),
            queues: BTreeMap::new(),
            told: BTreeMap::new(),
            own: Vec::new(),
            history: History::default(),
            book: Book::default(),
            generation: 0,
            evidence_wake: None,
            silence_wake: None,
        }
    }

    /// How its evidence bears on its tasks.
    pub fn basis(&self) -> Basis {
        self.pulse.basis(&self.row)
    }

    /// A failed poll: ages what is known, deletes nothing.
    pub fn fail(&mut self, failure: Failure, ctx: &mut Context<'_>) {
        let before = self.basis();
        if self.pulse.failed(&mut self.row, failure, ctx.now) {
            ctx.changes.endpoint(&self.name);
        }
        self.turn(before, ctx);
        self.settle(ctx);
    }

    /// A poll that did not come.
    pub fn age(&mut self, ctx: &mut Context<'_>) {
        self.evidence_wake = None;
        let before = self.basis();
        if self.pulse.age(&mut self.row, ctx.now) {
            ctx.changes.endpoint(&self.name);
        }
        self.turn(before, ctx);
        self.settle(ctx);
    }

    /// Judges every task anew if the evidence is another than `before`.
    pub fn turn(&mut self, before: Basis, ctx: &mut Context<'_>) {
        let basis = self.basis();
        if basis.bears_as(before) {
            return;
        }
        ctx.changes.alerts |= !(self.told.is_empty() && self.book.troubled.is_empty() && self.own.is_empty());
        ctx.changes.queues |= !self.queues.is_empty();
        for entry in self.entries.values_mut() {
            entry.judge(basis, &mut self.book, ctx);
        }
    }

    /// An answer has come: judges those anew that were waiting for one.
    pub fn answer_awaited(&mut self, ctx: &mut Context<'_>) {
        let basis = self.basis();
        for id in std::mem::take(&mut self.book.awaiting) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.judge(basis, &mut self.book, ctx);
            }
        }
    }

    /// A task's time has come.
    pub fn judge_again(&mut self, id: &TaskId, ctx: &mut Context<'_>) {
        let basis = self.basis();
        if let Some(entry) = self.entries.get_mut(id) {
            entry.woken();
            entry.judge(basis, &mut self.book, ctx);
        }
    }

    /// A silence has run out.
    pub fn unsilence(&mut self, ctx: &mut Context<'_>) {
        self.silence_wake = None;
        ctx.changes.alerts = true;
        self.settle(ctx);
    }

    /// A task is gone.
    pub fn remove(&mut self, id: &TaskId, ctx: &mut Context<'_>) {
        let Some(mut entry) = self.entries.remove(id) else { return };
        ctx.agenda.set(|| Wake::Task(entry.row.key.clone()), &mut entry.wake, None);
        self.book.counts.remove(Class::of(&entry.row));
        self.book.coming.shift(id, coming::due(&entry.row), None);
        ctx.seats.leave(entry.seat);
        ctx.changes.alerts |= self.book.troubled.remove(id) || !self.told.is_empty();
        ctx.changes.runs |= self.book.bare_active.remove(id);
        self.book.awaiting.remove(id);
        ctx.changes.runs |= self.history.forget_task(id);
        ctx.changes.remove(entry.row.key);
    }

    /// The endpoint is gone with all its rows.
    pub fn dismiss(mut self, ctx: &mut Context<'_>) {
        let ids: Vec<TaskId> = self.entries.keys().cloned().collect();
        for id in &ids {
            self.remove(id, ctx);
        }
        let name = &self.name;
        ctx.agenda.set(|| Wake::Evidence(name.clone()), &mut self.evidence_wake, None);
        ctx.agenda.set(|| Wake::Silence(name.clone()), &mut self.silence_wake, None);
        ctx.changes.alerts |= !(self.told.is_empty() && self.own.is_empty());
        ctx.changes.queues |= !self.queues.is_empty();
        ctx.changes.runs |= self.history.newest_first().next().is_some();
        ctx.changes.endpoint(&self.name);
    }

    /// Brings what is derived of the endpoint as a whole up to date.
    pub fn settle(&mut self, ctx: &mut Context<'_>) {
        if self.row.tasks != self.entries.len() {
            self.row.tasks = self.entries.len();
            ctx.changes.endpoint(&self.name);
        }
        let mut own = self.pulse.alerts(&self.row);
        own.extend(alerts::scheduler_silent(self));
        if self.own != own {
            self.own = own;
            ctx.changes.alerts = true;
        }
        let deadline = self.pulse.deadline(&self.row);
        let silence = self
            .told
            .values()
            .filter_map(|alert| alert.silenced_until)
            .filter(|until| *until > ctx.now)
            .min();
        let name = &self.name;
        ctx.agenda.set(|| Wake::Evidence(name.clone()), &mut self.evidence_wake, deadline);
        ctx.agenda.set(|| Wake::Silence(name.clone()), &mut self.silence_wake, silence);
    }

    /// Known runs of one task, newest first.
    pub fn runs_of(&self, id: &TaskId) -> Vec<&Run> {
        let task = self.entries.get(id).map(|entry| &entry.row.task);
        self.history.of_task(id, task.into_iter().flat_map(carried))
    }

    /// Of the known runs at least the `limit` that come first when those in
    /// progress come before all, then the newest.
    pub fn first_runs(&self, limit: usize) -> impl Iterator<Item = &Run> {
        self.bare_runs().chain(self.history.active()).chain(self.history.newest_ended(limit))
    }

    /// Active runs that have no id.
    fn bare_runs(&self) -> impl Iterator<Item = &Run> {
        let tasks = self.book.bare_active.iter().filter_map(|id| self.entries.get(id));
        tasks.flat_map(|entry| entry.row.task.active_runs.iter().filter(|run| run.id.is_none()))
    }

    /// Whether a run of `id` is waiting or in progress, as far as its row tells.
    pub fn is_active(entry: &Entry) -> bool {
        entry.row.task.active_runs.iter().any(|run| !run.state.is_ended())
            || matches!(entry.row.state, TaskState::Running | TaskState::Queued)
            || entry.row.task.last_run.as_ref().is_some_and(|run| run.state == RunState::Running)
    }
}
