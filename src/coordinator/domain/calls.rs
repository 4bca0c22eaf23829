//! What operators ask for.

use chrono::{DateTime, Utc};

use crate::model::{Clean, Priority, Run, RunId, RunState, TaskId};

use super::{Bad, Domain, Effect, Entry, Paused, Refused, Stop, Work, Write};

pub(super) fn conflict(why: impl Into<String>) -> Refused {
    Refused::Conflict(Clean::from(why.into()))
}

/// Why no run of it can be asked for.
pub(super) fn no_trigger(entry: &Entry) -> Option<&'static str> {
    if entry.record.archived.is_some() {
        return Some("it is put away: resume takes it back");
    }
    if entry.definition.work == Work::Watched {
        return Some("it has no command here: it is only watched");
    }
    if entry.definition.built_in().is_some() && !entry.active.is_empty() {
        return Some("it is running already");
    }
    (entry.active.len() >= super::MAX_PENDING).then_some("100 runs of it are waiting or running already")
}

/// Why it can't be paused.
pub(super) fn no_pause(entry: &Entry) -> Option<&'static str> {
    if entry.record.archived.is_some() {
        Some("it is put away")
    } else if !entry.definition.enabled {
        Some(switched_off(entry))
    } else if entry.record.paused.is_some() {
        Some("it is paused already")
    } else if entry.definition.schedule.is_none() {
        Some("it has no schedule to pause")
    } else {
        None
    }
}

/// Why it can't be resumed.
pub(super) fn no_resume(entry: &Entry) -> Option<&'static str> {
    if entry.record.paused.is_some() || entry.record.archived.is_some() {
        None
    } else if entry.definition.enabled {
        Some("it is not paused")
    } else if entry.definition.is_added() {
        Some("it is switched off in its definition: set enabled to true there")
    } else {
        Some("it is switched off in tasks.toml: set enabled = true there")
    }
}

/// What is said of a task that is not enabled.
pub(super) fn switched_off(entry: &Entry) -> &'static str {
    if entry.definition.is_added() {
        "it is switched off in its definition (\"enabled\": false)"
    } else {
        "it is switched off in tasks.toml (enabled = false)"
    }
}

/// Why a built-in has no place in the queue.
pub(super) const OUTSIDE_QUEUE: &str = "a built-in task runs at once, outside the queue";
/// Why a built-in is not stopped.
pub(super) const ENDS_BY_ITSELF: &str = "a built-in task ends by itself within moments";

impl Domain {
    pub(super) fn entry(&self, task: &TaskId) -> Result<&Entry, Refused> {
        self.tasks.get(task).ok_or_else(|| Refused::NoTask(task.clone()))
    }

    /// A run on demand: waits its turn, or starts at once.
    ///
    /// # Errors
    /// Why there is none.
    pub fn trigger(
        &mut self,
        task: &TaskId,
        priority: Option<Priority>,
        now: DateTime<Utc>,
    ) -> Result<RunId, Refused> {
        self.demand(task, priority, "manual", now)
    }

    /// A new run in the place of one that ended.
    ///
    /// # Errors
    /// Why there is none.
    pub fn retry(&mut self, ended: &Run, now: DateTime<Utc>) -> Result<RunId, Refused> {
        match ended.state {
            RunState::Succeeded => Err(conflict("it succeeded; to run it once more, trigger the task")),
            RunState::Queued | RunState::Running => Err(conflict(format!("it is still {}", ended.state))),
            _ => self.demand(&ended.task, ended.priority, "retry", now),
        }
    }

    fn demand(
        &mut self,
        task: &TaskId,
        priority: Option<Priority>,
        cause: &str,
        now: DateTime<Utc>,
    ) -> Result<RunId, Refused> {
        if let Some(why) = no_trigger(self.entry(task)?) {
            return Err(conflict(why));
        }
        self.enqueue(task, priority, cause, None, now).ok_or_else(|| Refused::NoTask(task.clone()))
    }

    /// Stops scheduling a task.
    ///
    /// # Errors
    /// Why not.
    pub fn pause(&mut self, task: &TaskId, by: &Clean, now: DateTime<Utc>) -> Result<(), Refused> {
        if let Some(why) = no_pause(self.entry(task)?) {
            return Err(conflict(why));
        }
        if let Some(entry) = self.tasks.get_mut(task) {
            entry.record.paused = Some(Paused { at: now, by: by.clone() });
            entry.reason = Some(Clean::from(format!("paused by {by}")));
            entry.touched = true;
            self.mark(task);
        }
        Ok(())
    }

    /// Schedules a task again, also one that was put away; slots of the pause don't count.
    ///
    /// # Errors
    /// Why not.
    pub fn resume(&mut self, task: &TaskId, by: &Clean, now: DateTime<Utc>) -> Result<(), Refused> {
        if let Some(why) = no_resume(self.entry(task)?) {
            return Err(conflict(why));
        }
        if let Some(entry) = self.tasks.get_mut(task) {
            entry.record.paused = None;
            entry.record.archived = None;
            entry.reason = Some(Clean::from(format!("resumed by {by}")));
            entry.forget_slots(now);
            self.follow(task, now);
            self.mark(task);
        }
        Ok(())
    }

    /// Unqueues a run, or has it stopped.
    ///
    /// # Errors
    /// Why not; [`Refused::NoRun`] when it has ended, or never was.
    pub fn cancel(&mut self, run: &RunId, why: &Clean, now: DateTime<Utc>) -> Result<(), Refused> {
        let active = self.runs.get_mut(run).ok_or_else(|| Refused::NoRun(run.clone()))?;
        if active.definition.built_in().is_some() {
            return Err(conflict(ENDS_BY_ITSELF));
        }
        if active.row.run.state == RunState::Queued {
            self.withdraw(run, why, now);
            return Ok(());
        }
        if active.row.is_elsewhere() {
            self.let_go(run, why, now);
            return Ok(());
        }
        if matches!(active.stopping, Some(Stop::Asked(_))) {
            return Err(conflict("it is being stopped already"));
        }
        // An operator's word goes before the limit's: no retry follows.
        let told = active.stopping.replace(Stop::Asked(why.clone())).is_some();
        self.out.writes.push(Write::Stopping(run.clone(), Stop::Asked(why.clone())));
        if !told {
            self.out.effects.push(Effect::Stop(run.clone()));
        }
        let task = active.row.run.task.clone();
        self.mark(&task);
        Ok(())
    }

    /// Takes a pending run out of its queue.
    pub(super) fn withdraw(&mut self, run: &RunId, why: &Clean, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(run) else { return };
        active.row.run.message = Some(why.clone());
        self.queue.remove(super::runs::place(active));
        // It counts against its task only if an attempt of it has failed already.
        let bad = (active.row.run.attempt > 0).then_some(Bad::Failed);
        self.end_run(run, RunState::Aborted, bad, now);
    }

    /// Sets the priority of a pending run.
    ///
    /// # Errors
    /// Why not; [`Refused::NoRun`] when it has ended, or never was.
    pub fn reprioritise_run(&mut self, run: &RunId, priority: Priority) -> Result<(), Refused> {
        let active = self.runs.get_mut(run).ok_or_else(|| Refused::NoRun(run.clone()))?;
        if active.definition.built_in().is_some() {
            return Err(conflict(OUTSIDE_QUEUE));
        }
        if active.row.run.state != RunState::Queued {
            return Err(conflict("it has started; a priority orders only what waits"));
        }
        let claim = self.queue.remove(super::runs::place(active));
        active.row.run.priority = Some(priority);
        if let Some(claim) = claim {
            self.queue.push(super::runs::place(active), claim);
        }
        let row = active.row.clone();
        self.mark(&row.run.task.clone());
        self.note_run(&row);
        Ok(())
    }

    /// Sets the priority of a task's pending runs, and of those to come.
    ///
    /// # Errors
    /// Why not.
    pub fn reprioritise_task(&mut self, task: &TaskId, priority: Priority) -> Result<(), Refused> {
        let entry = self.entry(task)?;
        if entry.definition.built_in().is_some() {
            return Err(conflict(OUTSIDE_QUEUE));
        }
        let pending = self.pending_of(task);
        if pending.is_empty() {
            return Err(conflict("no run of it is pending"));
        }
        if let Some(entry) = self.tasks.get_mut(task) {
            entry.record.priority = Some(priority);
            entry.touched = true;
        }
        for run in pending {
            self.reprioritise_run(&run, priority)?;
        }
        Ok(())
    }
}
