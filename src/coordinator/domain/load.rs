//! What was on disk at the start, and what the task file says now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Alert, Blackout, Clean, Policy, Run, RunId, RunState, Schedule, TaskId, TaskSource};

use crate::wire::Silence;

use super::{
    Active, Audit, BuiltIn, Definition, Domain, Effect, Entry, Fate, Limits, Lost, Outcome, Record, RunRow,
    Stop, Work, Write,
};

/// What becomes of the runs of a task that was taken out.
const GONE: &str = "its task is no longer in tasks.toml";

/// A task as it was remembered.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// What was. Boxed: it becomes the task's own as it is.
    pub record: Box<Record>,
    /// The schedule that it had.
    pub schedule: Option<Schedule>,
    /// The blackouts that it had.
    pub blackout: Vec<Blackout>,
    /// The windows and limits that it had.
    pub policy: Policy,
    /// Whether it was defined when the coordinator ended.
    pub defined: bool,
    /// Whether it was not scheduled then.
    pub paused: bool,
}

/// What was on disk.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Tasks by id, also those that are no longer defined.
    pub tasks: BTreeMap<TaskId, Remembered>,
    /// Runs that had not ended, in the order of coming.
    pub runs: Vec<RunRow>,
    /// Those among them that were being stopped, and why.
    pub stopping: BTreeMap<RunId, Stop>,
    /// What became of those that were in progress; whatever is not among them ended with its coordinator.
    pub fates: BTreeMap<RunId, Fate>,
    /// Open alerts.
    pub alerts: Vec<Alert>,
    /// Silences.
    pub silences: Vec<Silence>,
    /// The newest place in the history.
    pub last_seq: u64,
    /// When the backup was made that this is; `None`: it is what a coordinator left.
    pub restored: Option<DateTime<Utc>>,
}

/// What is known of a run of a backup: what was seen of it since. Of any other
/// nothing starts by itself, since it may have run.
fn since_backup(run: &Run, fate: Option<Fate>, backup: DateTime<Utc>) -> Fate {
    let runs = run.state == RunState::Running;
    match fate {
        Some(fate @ (Fate::GoesOn | Fate::Ended(_))) => fate,
        // The copy is whole: that is how this run ended.
        _ if runs && run.task.as_raw() == BuiltIn::SelfBackup.id() => {
            let message = Some("it made the backup that this coordinator was restored from".into());
            Fate::Ended(Outcome { good: true, message, at: Some(backup), ..Outcome::default() })
        }
        _ => {
            let at = backup.format("%Y-%m-%d %H:%M:%S UTC");
            let why = if runs {
                format!("it ran when the backup of {at} was made: how it ended is not known")
            } else {
                format!("it waited when the backup of {at} was made: it may have run since")
            };
            Fate::Unknown(why.into())
        }
    }
}

/// For the audit log.
fn restored(backup: DateTime<Utc>, now: DateTime<Utc>) -> Write {
    Write::Audit(Audit {
        at: now,
        actor: "start".into(),
        from: "here".into(),
        action: "restore",
        target: "".into(),
        detail: Clean::from(format!("the backup of {}", backup.format("%Y-%m-%dT%H:%M:%S%.3fZ"))),
        outcome: "ok".into(),
    })
}

impl Domain {
    /// Takes over what was on disk, for these tasks.
    pub fn load(
        &mut self,
        mut loaded: Loaded,
        definitions: impl IntoIterator<Item = Definition>,
        limits: Limits,
        now: DateTime<Utc>,
    ) {
        let definitions = definitions.into_iter();
        self.next_seq = loaded.last_seq + 1;
        self.limits = limits;
        self.queue.reconsider();
        self.alerts = loaded.alerts.into_iter().map(|alert| (alert.key(), alert)).collect();
        self.silences = loaded.silences.into_iter().map(|silence| (silence.id.clone(), silence)).collect();
        self.out.silences_changed = !self.silences.is_empty();
        let mut remembered = loaded.tasks;
        self.tasks.reserve(definitions.size_hint().0);
        for definition in definitions {
            let id = definition.id.clone();
            let entry = match remembered.remove(&id) {
                Some(known) => {
                    let same = known.defined && known.schedule == definition.schedule;
                    let (policy, paused, blackout) = (known.policy, known.paused, known.blackout);
                    let mut entry = Entry::new(Arc::new(definition), known.record);
                    // What is on disk as it is needs no writing.
                    entry.touched = !same
                        || entry.definition.policy != policy
                        || entry.definition.blackout != blackout
                        || entry.is_paused() != paused;
                    // Whatever came of the slots since a backup, it is not known here.
                    if !same || loaded.restored.is_some() {
                        entry.forget_slots(now);
                    }
                    entry.set_back(now, None);
                    entry
                }
                None => Entry::new(Arc::new(definition), Box::new(Record::new(now))),
            };
            self.add(&id, entry);
        }
        for (id, known) in remembered {
            if known.defined {
                self.out.writes.push(Write::TaskGone(id.clone()));
            }
            self.forgotten.insert(id, known.record);
        }
        self.follow_definitions();
        if let Some(backup) = loaded.restored {
            self.out.writes.extend([Write::Restored, restored(backup, now)]);
        }
        for row in loaded.runs {
            let id = row.run.id.as_ref();
            let stopping = id.and_then(|id| loaded.stopping.remove(id));
            let fate = id.and_then(|id| loaded.fates.remove(id));
            let fate = match loaded.restored {
                Some(backup) => since_backup(&row.run, fate, backup),
                None => fate.unwrap_or_else(|| Fate::Lost(Lost::with_its_coordinator())),
            };
            self.take_over(row, stopping, fate, now);
        }
        // What was added is judged anyway: only what may start, or have missed something, is looked at here.
        let is_still = |id: &&TaskId| {
            let entry = self.tasks.get(id).filter(|entry| entry.active.is_empty());
            entry.is_some_and(|entry| {
                entry.next_slot.is_none_or(|slot| slot > now) && entry.definition.after.is_empty()
            })
        };
        let ids: Vec<TaskId> = self.order.iter().filter(|id| !is_still(id)).cloned().collect();
        for id in &ids {
            if self.scheduling {
                self.advance(id, now);
                self.follow(id, now);
            } else {
                self.give_up_slots(id, now);
            }
        }
    }

    /// Takes over a run. `fate`: what became of it, if it was in progress.
    fn take_over(&mut self, mut row: RunRow, stopping: Option<Stop>, fate: Fate, now: DateTime<Utc>) {
        super::clock::take_back(&mut row.run, now);
        let Some(id) = row.run.id.clone() else { return };
        let task = row.run.task.clone();
        let defined = self.tasks.get(&task).map(|entry| entry.definition.clone());
        let gone = defined.is_none();
        let mut definition =
            defined.unwrap_or_else(|| Arc::new(Definition::new(task.as_raw(), Work::Watched)));
        let elsewhere = row.is_elsewhere();
        let running = row.run.state == RunState::Running;
        if running && !elsewhere && definition.machine != row.run.machine {
            // It is where it was started, wherever the next ones are to start.
            Arc::make_mut(&mut definition).machine.clone_from(&row.run.machine);
        }
        let later = row.run.next_at.is_some_and(|at| at > now);
        let why_not = match &fate {
            _ if gone => Some(GONE.into()),
            Fate::Unknown(why) => Some(why.clone()),
            _ => None,
        };
        let active = Active {
            row,
            definition,
            stopping: stopping.filter(|_| running),
            waiting_since: None,
            resting_since: None,
            asleep: TimeDelta::zero(),
            late_start: None,
            excused_until: None,
        };
        if elsewhere {
            // It goes on, whatever became of this coordinator.
            self.go_on(active, now);
            if gone {
                self.let_go(&id, &GONE.into(), now);
            }
            return;
        }
        if running && active.definition.built_in().is_none() {
            self.queue.occupy(&super::runs::claim(&active));
        }
        let told = active.stopping.is_some();
        self.adopt(active);
        if running {
            match fate {
                // Nobody knows whether it was told.
                Fate::GoesOn if told => self.out.effects.push(Effect::Stop(id.clone())),
                Fate::GoesOn => {}
                Fate::Ended(outcome) => self.finished(&id, outcome, now),
                Fate::Lost(lost) => self.lost(&id, lost, now),
                Fate::NeverStarted => self.not_started(&id, now),
                Fate::Unknown(why) => self.give_up(&id, Lost { why, certain: false }, now),
            }
        }
        let waits = self.active(&id).is_some_and(|active| active.row.run.state == RunState::Queued);
        if waits && let Some(why) = why_not {
            self.withdraw(&id, &why, now);
        } else if running {
            // It goes on, is over, or has its place in the queue again.
        } else if !later {
            self.make_ready(&id, now);
        }
    }

    pub(super) fn add(&mut self, id: &TaskId, entry: Entry) {
        self.dirty.insert(id.clone());
        if entry.definition.source == TaskSource::OneOff {
            self.one_offs.insert(id.clone());
        }
        Arc::make_mut(&mut self.order).push(id.clone());
        self.tasks.insert(id.clone(), entry);
        self.key_task(id, None);
    }

    /// Puts these tasks and limits in the place of those before, but for the
    /// tasks of the API. Pauses, histories and active runs stay; pending runs
    /// of tasks that are gone are aborted.
    pub fn replace(&mut self, definitions: Vec<Definition>, limits: Limits, now: DateTime<Utc>) {
        self.limits = limits;
        self.queue.reconsider();
        let order = Arc::unwrap_or_clone(std::mem::take(&mut self.order));
        let is_added = |id: &TaskId| self.tasks.get(id).is_some_and(|entry| entry.definition.is_added());
        let (added, before): (Vec<TaskId>, Vec<TaskId>) = order.into_iter().partition(is_added);
        let mut gone: BTreeSet<TaskId> = before.into_iter().collect();
        for definition in definitions {
            let id = definition.id.clone();
            if gone.remove(&id) {
                Arc::make_mut(&mut self.order).push(id.clone());
                self.redefine(&id, definition, now);
            } else {
                let mut record = self.forgotten.remove(&id).unwrap_or_else(|| Box::new(Record::new(now)));
                record.forget_slots(now);
                let entry = Entry::new(Arc::new(definition), record);
                self.add(&id, entry);
            }
        }
        Arc::make_mut(&mut self.order).extend(added);
        for id in gone {
            self.drop_task(&id, &GONE.into(), now);
        }
        self.follow_definitions();
    }

    pub(super) fn redefine(&mut self, id: &TaskId, definition: Definition, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        if *entry.definition == definition {
            return;
        }
        let old_key = entry.ping_key().cloned();
        let old = std::mem::replace(&mut entry.definition, Arc::new(definition));
        let new = entry.definition.clone();
        if old.priority != new.priority {
            entry.record.priority = None;
        }
        if old.schedule != new.schedule || old.blackout != new.blackout {
            (entry.plan, entry.blackouts) = super::plan(&new);
        }
        entry.record.succeeded.retain(|task| new.after.contains(task));
        if old.schedule != new.schedule || old.enabled != new.enabled {
            entry.forget_slots(now);
        }
        entry.touched = true;
        self.key_task(id, old_key.as_deref());
        self.dirty.insert(id.clone());
        // What runs goes on as it began; what waits is of the new sort.
        let pending: Vec<RunId> = self.pending_of(id);
        for run in pending {
            let Some(active) = self.runs.get_mut(&run) else { continue };
            let waits = self.queue.remove(super::runs::place(active)).is_some();
            active.definition = new.clone();
            active.row.run.machine.clone_from(&new.machine);
            if waits {
                self.queue.push(super::runs::place(active), super::runs::claim(active));
            } else if old.blackout != new.blackout && active.row.run.attempt == 0 {
                // It was held back, and may be no more.
                self.make_ready(&run, now);
            }
            self.recount(&run);
        }
    }

    /// Takes a task out; whoever calls takes it out of the order.
    pub(super) fn drop_task(&mut self, id: &TaskId, why: &Clean, now: DateTime<Utc>) {
        for run in self.pending_of(id) {
            self.withdraw(&run, why, now);
        }
        for run in self.elsewhere_of(id) {
            self.let_go(&run, why, now);
        }
        let Some(mut entry) = self.tasks.remove(id) else { return };
        self.unkey_task(id, &entry);
        if let Some(wake) = entry.wake.take() {
            self.wakes.remove(&(wake, id.clone()));
        }
        self.dirty.remove(id);
        self.one_offs.remove(id);
        self.stalled.remove(id);
        for key in self.alerts_on(Some(id)) {
            self.close_alert(&key, now);
        }
        self.out.writes.push(entry.write());
        self.out.writes.push(Write::TaskGone(id.clone()));
        self.out.tasks.shift_remove(id);
        self.out.tasks_gone.push(id.clone());
        if entry.definition.source != TaskSource::OneOff {
            self.forgotten.insert(id.clone(), entry.record);
        }
    }

    /// Open runs of a task that are carried out elsewhere.
    fn elsewhere_of(&self, id: &TaskId) -> Vec<RunId> {
        let active = self.tasks.get(id).into_iter().flat_map(|entry| entry.active.iter().map(|(_, run)| run));
        active
            .filter(|run| self.runs.get(*run).is_some_and(|active| active.row.is_elsewhere()))
            .cloned()
            .collect()
    }

    /// Runs of a task that wait for a place or for their next attempt.
    pub(super) fn pending_of(&self, id: &TaskId) -> Vec<RunId> {
        let active = self.tasks.get(id).into_iter().flat_map(|entry| entry.active.iter().map(|(_, run)| run));
        active
            .filter(|run| self.runs.get(*run).is_some_and(|active| active.row.run.state == RunState::Queued))
            .cloned()
            .collect()
    }
}
