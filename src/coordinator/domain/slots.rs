//! Due times become runs, or are missed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Clean, RunState, TaskId};
use crate::schedule::windows;

use super::judge::lapse;
use super::{CatchUp, Domain, MAX_PENDING, Overlap, RunRow, Stop};

/// Slots that were passed over are counted up to here.
const COUNTED: usize = 1_000;
/// A start so soon after its slot is in time, however short the windows: the
/// coordinator was there, and busy.
const BUSY: TimeDelta = TimeDelta::seconds(10);

impl Domain {
    /// Does what has come due for one task.
    pub(super) fn advance(&mut self, id: &TaskId, now: DateTime<Utc>) {
        self.mark(id);
        let Some(entry) = self.tasks.get(id) else { return };
        let scheduled = self.scheduling && entry.is_scheduled();
        let active: Vec<_> = entry.active.iter().map(|(_, run)| run.clone()).collect();
        if scheduled && entry.next_slot.is_some_and(|slot| slot <= now) {
            self.pass_slots(id, now);
        }
        for run in active {
            let Some(active) = self.runs.get_mut(&run) else { continue };
            if active.deadline().is_some_and(|deadline| deadline <= now) {
                active.stopping = Some(Stop::Overrun);
                self.out.writes.push(super::Write::Stopping(run.clone(), Stop::Overrun));
                self.out.effects.push(super::Effect::Stop(run));
            } else if active.waiting_since.is_none() && active.row.run.next_at.is_some_and(|at| at <= now) {
                self.make_ready(&run, now);
            }
        }
    }

    /// Deals with every slot up to now: the newest becomes a run if that is in
    /// time or is to be caught up with, older ones are missed as one row.
    fn pass_slots(&mut self, id: &TaskId, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        let Some(plan) = &entry.plan else { return };
        let considered = entry.record.considered;
        let newest = plan.previous(now).filter(|slot| *slot > considered);
        let Some(newest) = newest.or_else(|| entry.next_slot.filter(|slot| *slot <= now)) else {
            entry.next_slot = plan.next(now);
            return;
        };
        let mut older = plan.slots_between(considered, newest - TimeDelta::milliseconds(1), COUNTED);
        let dark = plan.blackouts().end(newest).map(|end| (newest, plan.blackouts().clock(end)));
        // What is in a blackout is no slot to catch up with.
        older.retain(|slot| plan.blackouts().end(*slot).is_none());
        let newest = if dark.is_some() { older.pop() } else { Some(newest) };
        let passed = dark.as_ref().map(|(slot, _)| *slot).or(newest).unwrap_or(now);
        let in_time = newest.is_some_and(|newest| {
            let (window, _) = windows(&entry.definition.policy, plan.interval(newest));
            now - newest <= window.max(BUSY)
        });
        let catch_up = entry.definition.catch_up;
        entry.record.considered = passed;
        entry.next_slot = plan.next(passed);
        entry.touched = true;
        if let Some((slot, end)) = dark {
            self.miss(id, slot, &format!("blackout: nothing of it starts by itself until {end}"), now);
        }
        let Some(newest) = newest else { return };
        if self.scheduling && (in_time || catch_up == CatchUp::Once) {
            if let (Some(last), CatchUp::None) = (older.last(), catch_up) {
                self.miss(id, *last, &passed_over(older.len()), now);
            }
            self.arrive(id, newest, if in_time { "schedule" } else { "catch-up" }, now);
        } else {
            self.miss(id, newest, &passed_over(older.len() + 1), now);
        }
    }

    /// Records the slots that came while nothing scheduled, where nothing
    /// schedules now either. What is to be caught up with stays overdue.
    pub(super) fn give_up_slots(&mut self, id: &TaskId, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(id) else { return };
        let passed = entry.next_slot.is_some_and(|slot| slot <= now);
        if passed && entry.is_scheduled() && entry.definition.catch_up == CatchUp::None {
            self.pass_slots(id, now);
        }
    }

    /// A slot has come and is to be run, unless what is active forbids it.
    fn arrive(&mut self, id: &TaskId, slot: DateTime<Utc>, cause: &str, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(id) else { return };
        let definition = entry.definition.clone();
        let skip = definition.overlap == Overlap::Skip || definition.built_in().is_some();
        let before = entry.active.first().and_then(|(_, run)| self.runs.get(run));
        if let (true, Some(before)) = (skip, before) {
            let verb =
                if before.row.run.state == RunState::Running { "is still running" } else { "still waits" };
            let since = before.row.run.started.or(before.row.run.queued).unwrap_or(now);
            let age = lapse(since, now);
            self.miss(id, slot, &format!("skipped: the run before it {verb}, since {age}"), now);
        } else if entry.active.len() >= MAX_PENDING {
            self.miss(id, slot, &format!("skipped: {MAX_PENDING} runs of it are waiting or running"), now);
        } else {
            self.enqueue(id, None, cause, Some(slot), now);
        }
    }

    /// Records a slot that is not run.
    pub(super) fn miss(&mut self, id: &TaskId, slot: DateTime<Utc>, why: &str, now: DateTime<Utc>) {
        self.pass_by(id, Some(slot), "schedule", why, now);
    }

    /// Records a run that was to be, and is not.
    pub(super) fn pass_by(
        &mut self,
        id: &TaskId,
        slot: Option<DateTime<Utc>>,
        cause: &str,
        why: &str,
        now: DateTime<Utc>,
    ) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        entry.record.satisfy(slot);
        entry.touched = true;
        entry.reason = Some(Clean::line(why));
        let mut run = crate::model::Run::bare(id.clone(), RunState::Missed);
        run.id = Some(self.ids.next(now));
        run.slot = slot;
        run.ended = Some(now);
        run.message = Some(Clean::line(why));
        run.cause = Some(Clean::line(cause));
        let row = RunRow::here(self.take_seq(), run);
        self.note_run(&row);
        self.mark(id);
    }
}

fn passed_over(slots: usize) -> String {
    match slots {
        0 | 1 => "not run: no coordinator could start it when it was due".to_owned(),
        n if n >= COUNTED => {
            format!("not run, like {COUNTED} or more slots before it: no coordinator could start them")
        }
        n => format!("not run, like {} before it: no coordinator could start them", n - 1),
    }
}
