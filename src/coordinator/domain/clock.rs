//! What becomes of a clock that was set back.
//!
//! A machine that starts with a wrong clock and is put right later, by hours or
//! years, would otherwise wait for slots until its clock is there again, and
//! call nothing late. Small corrections change nothing: no slot comes twice.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Facts, Run, TaskId};

use super::{Domain, Entry};

/// A clock that goes back no further than this was only corrected.
const CORRECTION: TimeDelta = TimeDelta::seconds(60);

impl Domain {
    /// Notices whether the clock was set back since the last look.
    pub(super) fn follow_clock(&mut self, now: DateTime<Utc>) {
        let latest = self.latest.replace(now);
        let Some(by) = latest.map(|latest| latest - now).filter(|by| *by > CORRECTION) else { return };
        let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for id in ids {
            if let Some(entry) = self.tasks.get_mut(&id) {
                entry.set_back(now);
            }
            self.mark(&id);
        }
        let runs: Vec<_> = self.runs.keys().cloned().collect();
        for id in runs {
            let Some(active) = self.runs.get_mut(&id) else { continue };
            set_back_run(&mut active.row.run, by, now);
            for at in [&mut active.waiting_since, &mut active.resting_since] {
                *at = at.map(|at| at - by);
            }
            // Told, not written: a row that is written forgets its process, and
            // a restart takes back what is on disk.
            let run = active.row.run.clone();
            self.tell_run(run);
        }
    }
}

/// What runs or waits has done so for as long as before; the slot that it came
/// for is one that has not come yet.
fn set_back_run(run: &mut Run, by: TimeDelta, now: DateTime<Utc>) {
    for at in [&mut run.queued, &mut run.started, &mut run.next_at, &mut run.last_beat] {
        *at = at.map(|at| at - by);
    }
    run.slot = run.slot.filter(|slot| *slot <= now + CORRECTION);
}

/// The same for a run that was on disk: the clock may have been set back while nobody looked.
pub(super) fn take_back(run: &mut Run, now: DateTime<Utc>) {
    let newest = run.queued.max(run.started);
    if let Some(by) = newest.map(|newest| newest - now).filter(|by| *by > CORRECTION) {
        set_back_run(run, by, now);
    }
}

impl Entry {
    /// Takes back what is remembered of a time that has not come yet.
    pub(super) fn set_back(&mut self, now: DateTime<Utc>) {
        let ahead = now + CORRECTION;
        let Facts { since, satisfied, last_start, previous_start, last_end, failing_since, .. } =
            &mut self.record.facts;
        let mut changed = false;
        for at in [since, last_start, previous_start, last_end, failing_since] {
            if at.is_some_and(|at| at > ahead) {
                *at = Some(now);
                changed = true;
            }
        }
        if satisfied.is_some_and(|slot| slot > ahead) {
            *satisfied = None;
            changed = true;
        }
        if changed || self.record.considered > ahead {
            self.forget_slots(now);
            self.reason = Some("the clock was set back".into());
        }
    }
}
