//! What becomes of a clock that is set, and of a machine that sleeps.
//!
//! A machine that starts with a wrong clock and is put right later, by hours or
//! years, would otherwise wait for slots until its clock is there again, and
//! call nothing late. One whose clock is put forward would think that what runs
//! had run for hours, and so would one that was asleep. Small corrections change
//! nothing: no slot comes twice.
//!
//! A slot that was dealt with and comes again, because the clock was set back
//! by `d`, comes `d` after it was first dealt with. So it does not count again
//! where `d` is less than the schedule's interval, and does where it is not:
//! either way runs are never more than twice as far apart as the schedule says.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Facts, Run, TaskId};

use super::{Domain, Entry};

/// A clock that goes back no further than this was only corrected.
const CORRECTION: TimeDelta = TimeDelta::seconds(60);
/// A machine that was asleep for less was only busy.
const NAP: TimeDelta = TimeDelta::seconds(5);

/// How long a machine has been up, by its clocks that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steady {
    /// Asleep or not.
    pub up: Duration,
    /// Without what it was asleep.
    pub awake: Duration,
}

fn delta(later: Duration, earlier: Duration) -> TimeDelta {
    TimeDelta::from_std(later.saturating_sub(earlier)).unwrap_or_default()
}

impl Domain {
    /// Notices whether the clock was put forward since the last look, or the
    /// machine was asleep: what runs has not run meanwhile, and what waits for
    /// its next attempt waits for as long as it was to. A slot that was passed
    /// over is dealt with like any other.
    pub fn keep_time(&mut self, now: DateTime<Utc>, steady: Steady) {
        let Some((then, before)) = self.steady.replace((now, steady)) else { return };
        let passed = delta(steady.up, before.up);
        let forward = Some((now - then) - passed).filter(|by| *by > CORRECTION).unwrap_or_default();
        let asleep =
            Some(passed - delta(steady.awake, before.awake)).filter(|by| *by > NAP).unwrap_or_default();
        if forward.is_zero() && asleep.is_zero() {
            return;
        }
        let runs: Vec<_> = self.runs.keys().cloned().collect();
        for id in runs {
            let Some(active) = self.runs.get_mut(&id) else { continue };
            let run = &mut active.row.run;
            for at in [&mut run.queued, &mut run.started, &mut run.next_at] {
                *at = at.map(|at| at + forward);
            }
            run.last_beat = run.last_beat.map(|at| at + forward + asleep);
            for at in [&mut active.waiting_since, &mut active.resting_since] {
                *at = at.map(|at| at + forward);
            }
            active.asleep += asleep;
            let run = active.row.run.clone();
            self.mark(&run.task);
            self.tell_run(run);
        }
    }

    /// Notices whether the clock was set back since the last look.
    pub(super) fn follow_clock(&mut self, now: DateTime<Utc>) {
        let latest = self.latest.replace(now);
        let Some(by) = latest.map(|latest| latest - now).filter(|by| *by > CORRECTION) else { return };
        let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for id in ids {
            if let Some(entry) = self.tasks.get_mut(&id) {
                entry.set_back(now, Some(by));
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
    /// Takes back what is remembered of a time that has not come yet. `by`: how
    /// far the clock was set back, where that is known.
    pub(super) fn set_back(&mut self, now: DateTime<Utc>, by: Option<TimeDelta>) {
        let Facts { since, satisfied, last_start, previous_start, last_end, failing_since, .. } =
            &mut self.record.facts;
        let newest =
            [*since, *satisfied, *last_start, *last_end, *failing_since, Some(self.record.considered)];
        let ahead = newest.into_iter().flatten().max().map(|newest| newest - now);
        let Some(by) = by.or(ahead).filter(|by| *by > CORRECTION) else { return };
        for at in [last_start, previous_start, last_end, failing_since] {
            *at = at.map(|at| at - by);
        }
        *since = since.map(|at| at.min(now));
        self.touched = true;
        if ahead.is_none_or(|ahead| ahead <= TimeDelta::zero()) {
            return;
        }
        // Comes again sooner than the next one may.
        let interval = |slot| self.plan.as_ref().and_then(|plan| plan.interval(slot));
        let dealt_with = satisfied.filter(|slot| *slot > now);
        if dealt_with.and_then(interval).is_some_and(|interval| by < interval) {
            return;
        }
        *satisfied = satisfied.filter(|slot| *slot <= now);
        self.forget_slots(now);
        self.reason = Some("the clock was set back".into());
    }
}
