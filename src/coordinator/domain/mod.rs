//! What the coordinator decides: tasks, slots, runs, the queue, lateness.
//!
//! Pure: no clock, no I/O; `now` is an argument. A transition changes the
//! state in memory and leaves rows to write and effects to carry out in a
//! [`Batch`]; nothing is started, answered or shown before its rows are on disk.
//!
//! - [`definition`](Definition): what a task is;
//! - [`queue`](Queue): the order in which pending runs start;
//! - `entries`: tasks by id;
//! - `depth`: how many runs wait and run, and where;
//! - `machines`: whether remote machines can be reached;
//! - `clock`: what becomes of a clock that was set back;
//! - `load`: what was on disk, and what the file says now;
//! - `slots`: due times become runs;
//! - `runs`: a run from its coming to its end, retries among it;
//! - `calls`: what operators ask for;
//! - [`sign`](Sign): what pings and reports say;
//! - `watch`: what pings and reports tell of runs that are carried out elsewhere;
//! - `marks`: what is noticed of runs: started late, too often, over their time, without heartbeat;
//! - `keys`: by what a task is pinged;
//! - `after`: a task's success starts others; what a blackout holds back;
//! - [`links`](Links): which task's end starts which;
//! - `added`: tasks that come over the API, and putting tasks away;
//! - `handling`: what operators say of alerts: who has one, what is put off or silenced;
//! - `judge`: states, flips, alerts, and how a task reads from outside.

mod added;
mod after;
mod calls;
mod clock;
mod definition;
mod depth;
mod entries;
mod handling;
mod ids;
mod judge;
mod keys;
mod links;
mod load;
mod machines;
mod marks;
mod queue;
mod record;
mod runs;
mod sign;
mod slots;
mod told;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Alert, AlertKey, Clean, RunId, RunState, Task, TaskId};
use crate::schedule::{Blackouts, Plan};
use crate::wire::Silence;

pub use added::{Beside, ONLY_WATCHED};
pub use after::AFTER;
pub use clock::Steady;
pub use definition::{
    BuiltIn, CatchUp, CommandSpec, Definition, FailureAction, Limits, NO_TEAM, Overlap, RetryOn, RetryRule,
    Work,
};
pub use handling::{SILENCE, Snooze, Subject, fits, fits_task};
pub use links::Links;
pub use load::{Loaded, Remembered};
pub use machines::{HERE, KnownHosts, MachineSpec, Whereabouts};
pub use queue::{Claim, Place, Queue};
pub use record::{
    Active, Answer, Audit, Bad, Batch, Carrier, Effect, Fate, Lost, Outcome, Paused, Process, Record,
    Refused, RunRow, Said, Stop, TokenRow, Write, legal,
};
pub use sign::{Heard, Noted, Sign, Via, Whose};

/// Pending runs of one task at most; what comes beyond is missed or refused.
const MAX_PENDING: usize = 100;
/// Tasks that are judged anew at once.
const RESTATED: usize = 256;

/// A task with what is known of it.
#[derive(Debug)]
struct Entry {
    definition: Arc<Definition>,
    plan: Option<Plan>,
    blackouts: Blackouts,
    record: Box<Record>,
    /// Runs that have not ended, oldest first.
    active: BTreeSet<(u64, RunId)>,
    /// The first slot after the newest that was looked at.
    next_slot: Option<DateTime<Utc>>,
    /// When something is to be done about it, as it stands in the index.
    wake: Option<DateTime<Utc>>,
    /// As it was last told.
    told: Option<Arc<Task>>,
    /// The record differs from the one on disk.
    touched: bool,
    /// Why its state changes, for the flip.
    reason: Option<Clean>,
    /// When the blackout is over that it was in when it was last judged.
    dark_until: Option<Clean>,
}

impl Entry {
    fn new(definition: Arc<Definition>, record: Box<Record>) -> Self {
        let (plan, blackouts) = plan(&definition);
        let next_slot = plan.as_ref().and_then(|plan| plan.next(record.considered));
        Self {
            definition,
            plan,
            blackouts,
            record,
            active: BTreeSet::new(),
            next_slot,
            wake: None,
            told: None,
            touched: true,
            reason: None,
            dark_until: None,
        }
    }

    /// Whether it has no command here.
    fn is_watched(&self) -> bool {
        self.definition.work == Work::Watched
    }

    /// Whether its slots become runs.
    fn is_scheduled(&self) -> bool {
        self.plan.is_some() && !self.is_paused() && self.definition.work != Work::Watched
    }

    /// Slots before `now` no longer count.
    fn forget_slots(&mut self, now: DateTime<Utc>) {
        self.record.forget_slots(now);
        self.next_slot = self.plan.as_ref().and_then(|plan| plan.next(self.record.considered));
        self.touched = true;
    }
}

/// What is read of a definition, which was found to be readable.
fn plan(definition: &Definition) -> (Option<Plan>, Blackouts) {
    let blackouts = Blackouts::new(&definition.blackout).unwrap_or_default();
    let plan = definition.schedule.as_ref().and_then(|schedule| Plan::new(schedule).ok());
    (plan.map(|plan| plan.avoiding(blackouts.clone())), blackouts)
}

/// What is to be known of a task beyond how it is told. It changes only when that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Whether its slots become runs.
    pub scheduled: bool,
    /// When its newest good run ended.
    pub last_success: Option<DateTime<Utc>>,
}

/// The state of a coordinator. See the module's text.
#[derive(Debug)]
pub struct Domain {
    scheduling: bool,
    closing: bool,
    /// The newest moment that was looked at.
    latest: Option<DateTime<Utc>>,
    /// The newest moment that was looked at by steady clocks too.
    steady: Option<(DateTime<Utc>, Steady)>,
    ids: ids::RunIds,
    keys: keys::PingKeys,
    /// Runs elsewhere that have ended lately.
    recent: watch::Recent,
    next_seq: u64,
    limits: Limits,
    /// Ids in the order of the file, built-ins first.
    order: Arc<Vec<TaskId>>,
    /// Those that were submitted once.
    one_offs: BTreeSet<TaskId>,
    tasks: entries::Entries,
    /// Of tasks that were defined once: a pause outlives an edit.
    forgotten: BTreeMap<TaskId, Box<Record>>,
    runs: BTreeMap<RunId, Active>,
    queue: Queue,
    alerts: BTreeMap<AlertKey, Alert>,
    /// By their ids.
    silences: BTreeMap<String, Silence>,
    /// Which tasks hold an alert on their queue open.
    stalled: BTreeMap<TaskId, (crate::model::QueueName, crate::schedule::Problem)>,
    wakes: BTreeSet<(DateTime<Utc>, TaskId)>,
    dirty: BTreeSet<TaskId>,
    queues: Vec<crate::model::Queue>,
    queues_changed: bool,
    /// By task, those that its success starts.
    followers: BTreeMap<TaskId, BTreeSet<TaskId>>,
    /// The queues of the tasks that are defined.
    queue_names: BTreeSet<crate::model::QueueName>,
    depths: depth::Depths,
    machines: machines::Machines,
    /// The machines of the tasks that are defined.
    machine_names: BTreeSet<Clean>,
    /// What is to be known of every task.
    remarks: Vec<Clean>,
    /// What tasks may do that may do the same.
    spoken: told::Spoken,
    out: Batch,
}

impl Domain {
    /// Without tasks yet. `seed` is random per start, and secret; without
    /// `scheduling` slots don't become runs, and what is asked for does.
    #[must_use]
    pub fn new(seed: [u8; 32], scheduling: bool) -> Self {
        let keys = ids::Keys::new(seed);
        Self {
            scheduling,
            closing: false,
            latest: None,
            steady: None,
            ids: ids::RunIds::new(keys.public_seed()),
            keys: keys::PingKeys::new(keys),
            recent: watch::Recent::default(),
            next_seq: 1,
            limits: Limits::default(),
            order: Arc::default(),
            one_offs: BTreeSet::new(),
            tasks: entries::Entries::default(),
            forgotten: BTreeMap::new(),
            runs: BTreeMap::new(),
            queue: Queue::default(),
            alerts: BTreeMap::new(),
            silences: BTreeMap::new(),
            stalled: BTreeMap::new(),
            wakes: BTreeSet::new(),
            dirty: BTreeSet::new(),
            queues: Vec::new(),
            queues_changed: true,
            followers: BTreeMap::new(),
            queue_names: BTreeSet::new(),
            depths: depth::Depths::default(),
            machines: machines::Machines::default(),
            machine_names: BTreeSet::new(),
            remarks: Vec::new(),
            spoken: told::Spoken::default(),
            out: Batch::default(),
        }
    }

    /// Lets time pass, starts what may start, judges what may have changed,
    /// and gives back everything that has come of it and of the calls before.
    pub fn settle(&mut self, now: DateTime<Utc>) -> Batch {
        self.follow_clock(now);
        loop {
            while let Some((wake, id)) = self.wakes.first().cloned().filter(|(wake, _)| *wake <= now) {
                self.wakes.remove(&(wake, id.clone()));
                if let Some(entry) = self.tasks.get_mut(&id) {
                    entry.wake = None;
                }
                self.advance(&id, now);
            }
            self.expire_silences(now);
            self.tend_machines(now);
            self.start_ready(now);
            for id in std::mem::take(&mut self.dirty) {
                self.judge(&id, now);
            }
            // A task that was judged may have a slot at this very moment.
            if self.next_wake().is_none_or(|wake| wake > now) {
                break;
            }
        }
        self.judge_queues(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Self::settle`] has something to do at the earliest.
    #[must_use]
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        let tasks = self.wakes.first().map(|(at, _)| *at);
        tasks.into_iter().chain(self.machines.wake()).chain(self.silence_wake()).min()
    }

    /// Judges everything anew, whatever is thought to have changed.
    pub fn doubt_everything(&mut self) {
        self.dirty.extend(self.tasks.keys().cloned());
    }

    /// Judges the next tasks in the order of their ids anew, and has their open
    /// alerts on disk, whatever is thought to be there: a piece at a time, so
    /// that no start waits for all of them. Gives the last; `None`: that was all.
    pub fn restate(&mut self, after: Option<&TaskId>) -> Option<TaskId> {
        let ids: Vec<TaskId> = self.tasks.keys_after(after).take(RESTATED).cloned().collect();
        let mut keys = if after.is_none() { self.alerts_on(None) } else { Vec::new() };
        keys.extend(ids.iter().flat_map(|id| self.alerts_on(Some(id))));
        let alerts = keys.iter().filter_map(|key| self.alerts.get(key).cloned());
        self.out.writes.extend(alerts.map(Write::AlertRestated));
        let last = ids.last().filter(|_| ids.len() == RESTATED).cloned();
        self.dirty.extend(ids);
        last
    }

    /// Something to be known of every task: replaces what was.
    pub fn set_remarks(&mut self, remarks: Vec<Clean>) {
        if self.remarks != remarks {
            self.remarks = remarks;
            self.doubt_everything();
        }
    }

    /// Starts nothing more, for good: what waits stays pending, for the next coordinator.
    pub fn close(&mut self) {
        self.scheduling = false;
        self.closing = true;
    }

    /// Whether it starts nothing more.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Ids of the tasks in the file's order, built-ins first. The same list until that changes.
    #[must_use]
    pub const fn order(&self) -> &Arc<Vec<TaskId>> {
        &self.order
    }

    /// What is to be known of a task beyond how it was told.
    #[must_use]
    pub fn pulse(&self, id: &TaskId) -> Option<Pulse> {
        let entry = self.tasks.get(id)?;
        let scheduled = self.scheduling && entry.is_scheduled();
        Some(Pulse { scheduled, last_success: entry.record.last_success })
    }

    /// All tasks as they were last told, in the file's order, built-ins first.
    #[cfg(test)]
    pub fn told(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.order.iter().filter_map(|id| self.tasks.get(id)?.told.as_ref())
    }

    /// Queues as they were last told, by name.
    #[cfg(test)]
    #[must_use]
    pub fn queues(&self) -> &[crate::model::Queue] {
        &self.queues
    }

    /// Open alerts, oldest first.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.alerts.values().cloned().collect();
        alerts.sort_by_key(|alert| alert.since);
        alerts
    }

    /// A run that has not ended.
    #[must_use]
    pub fn active(&self, run: &RunId) -> Option<&Active> {
        self.runs.get(run)
    }

    /// Runs in progress here.
    pub fn running(&self) -> impl Iterator<Item = &Active> {
        let here = self.runs.values().filter(|active| !active.row.is_elsewhere());
        here.filter(|active| active.row.run.state == RunState::Running)
    }

    fn mark(&mut self, task: &TaskId) {
        if !self.dirty.contains(task) {
            self.dirty.insert(task.clone());
        }
    }

    /// Writes a run and tells of it.
    fn note_run(&mut self, row: &RunRow) {
        self.out.writes.push(Write::Run(Box::new(row.clone())));
        self.tell_run(row.run.clone());
    }

    /// Tells of a run as it is now.
    fn tell_run(&mut self, run: crate::model::Run) {
        if let Some(id) = run.id.clone() {
            self.out.runs.insert(id.clone(), run);
            self.recount(&id);
        }
    }

    /// The queues are those of the tasks that are defined now, and each task is followed by those that name it.
    fn follow_definitions(&mut self) {
        self.followers.clear();
        let (mut queues, mut machines) = (BTreeMap::new(), BTreeSet::new());
        for entry in self.tasks.values() {
            let definition = &entry.definition;
            for named in &definition.after {
                self.followers.entry(named.clone()).or_default().insert(definition.id.clone());
            }
            if definition.built_in().is_none() {
                queues.entry(definition.team.as_ref()).or_insert(definition);
            }
            machines.extend(definition.machine.as_ref());
        }
        self.queue_names = queues.into_values().map(|definition| definition.queue()).collect();
        self.machine_names = machines.into_iter().cloned().collect();
        self.queues_changed = true;
        self.out.machines_changed = true;
    }

    /// Sets when a task is looked at next.
    fn schedule_wake(&mut self, id: &TaskId, next_change: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(id) else { return };
        let slot = entry.next_slot.filter(|_| self.scheduling && entry.is_scheduled());
        let runs = entry.active.iter().filter_map(|(_, run)| {
            let active = self.runs.get(run)?;
            let next_at = || active.row.run.next_at.filter(|_| active.waiting_since.is_none());
            let judged = || active.excused_until.filter(|until| *until > now);
            active.deadline().or_else(next_at).or_else(judged)
        });
        // A change that is said to be past would wake for ever.
        let change = next_change.map(|at| if at <= now { now + TimeDelta::seconds(1) } else { at });
        let wake = runs.chain(slot).chain(change).min();
        let old = entry.wake;
        if old != wake {
            if let Some(old) = old {
                self.wakes.remove(&(old, id.clone()));
            }
            if let Some(wake) = wake {
                self.wakes.insert((wake, id.clone()));
            }
            if let Some(entry) = self.tasks.get_mut(id) {
                entry.wake = wake;
            }
        }
    }
}
