//! What is noticed of runs beside their state, each once: started late, too
//! often, over their max runtime, without their heartbeat.
//!
//! A mark is written with its run and its flip, so a restart notices nothing twice.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Clean, Evidence, Flip, Policy, Run, RunId, RunMark, RunState, TaskId, duration_text};
use crate::schedule::{answered, windows};

use super::{Active, Domain, Entry, Record, Write};

/// A problem of one run, for its flip.
pub(super) struct Noticed {
    pub(super) mark: RunMark,
    /// When it came about, by the rules.
    pub(super) computed: DateTime<Utc>,
    pub(super) reason: Clean,
}

impl Noticed {
    /// A run that goes on past its max runtime at `computed`, or has ended after it.
    pub(super) fn overrun(policy: &Policy, run: &Run, computed: DateTime<Utc>) -> Self {
        let limit = duration_text(u64::from(policy.max_runtime_s.unwrap_or(0)));
        let reason = Clean::from(format!("run {} not ended after {limit}", shown(run)));
        Self { mark: RunMark::Overran, computed, reason }
    }

    fn silent(policy: &Policy, run: &Run, computed: DateTime<Utc>) -> Self {
        let limit = duration_text(heartbeat_timeout(policy).num_seconds().unsigned_abs());
        let reason = Clean::from(format!("run {} without a heartbeat for {limit}", shown(run)));
        Self { mark: RunMark::HeartbeatLost, computed, reason }
    }

    /// A run that started too soon after the start before.
    pub(super) fn too_often(policy: &Policy, gap: TimeDelta, start: DateTime<Utc>) -> Self {
        let gap = duration_text(gap.num_seconds().max(0).unsigned_abs());
        let least = duration_text(u64::from(policy.min_gap_s.unwrap_or(0)));
        let reason = Clean::from(format!("started {gap} after the start before, less than {least}"));
        Self { mark: RunMark::TooOften, computed: start, reason }
    }
}

fn shown(run: &Run) -> Clean {
    run.id.as_ref().map_or_else(|| "".into(), RunId::shown)
}

/// How long a run that has sent a beat may be silent.
pub(super) fn heartbeat_timeout(policy: &Policy) -> TimeDelta {
    let told = policy.heartbeat_timeout_s.map(|seconds| TimeDelta::seconds(i64::from(seconds)));
    told.unwrap_or(Policy::HEARTBEAT_TIMEOUT)
}

/// When a run is over its max runtime. `asleep`: how long the machine was, which does not count.
pub(super) fn overrun_at(policy: &Policy, run: &Run, asleep: TimeDelta) -> Option<DateTime<Utc>> {
    Some(run.started? + asleep + TimeDelta::seconds(i64::from(policy.max_runtime_s?)))
}

/// When a run is without its heartbeat if none follows.
pub(super) fn silent_at(policy: &Policy, run: &Run) -> Option<DateTime<Utc>> {
    Some(run.last_beat? + heartbeat_timeout(policy))
}

impl Record {
    /// Counts a start. Gives the gap to the one before, where that is shorter than it may be.
    pub(super) fn start(&mut self, at: DateTime<Utc>, policy: &Policy) -> Option<TimeDelta> {
        self.said = None;
        let facts = &mut self.facts;
        let before = match facts.last_start {
            Some(last) if last > at => {
                // One that is told late: it comes between the others.
                let before = facts.previous_start.filter(|before| *before <= at);
                facts.previous_start = facts.previous_start.max(Some(at));
                before
            }
            last => {
                facts.previous_start = last;
                facts.last_start = Some(at);
                last
            }
        };
        let gap = at - before?;
        (gap < TimeDelta::seconds(i64::from(policy.min_gap_s?))).then_some(gap)
    }
}

impl Entry {
    /// The slot that a run at `at` answers, if none has yet.
    pub(super) fn unanswered(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let slot = answered(self.plan.as_ref()?, &self.definition.policy, at)?;
        let facts = &self.record.facts;
        let counts = facts.since.is_none_or(|since| slot >= since) && Some(slot) > facts.satisfied;
        counts.then_some(slot)
    }

    /// How late a start is, if it is after its start window.
    pub(super) fn late_by(&self, slot: DateTime<Utc>, start: DateTime<Utc>) -> Option<TimeDelta> {
        let (window, _) = windows(&self.definition.policy, self.plan.as_ref()?.interval(slot));
        (start - slot > window).then(|| start - slot)
    }
}

impl Domain {
    /// Marks the runs of a task that have come over a limit.
    pub(super) fn mark_runs(&mut self, id: &TaskId, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(id) else { return };
        let policy = entry.definition.policy;
        let mut noticed = Vec::new();
        let active = entry.active.iter().filter_map(|(_, run)| self.runs.get(run));
        for (run, asleep) in
            active.filter(|active| !active.is_excused(now)).map(|active| (&active.row.run, active.asleep))
        {
            if run.state != RunState::Running {
                continue;
            }
            let due =
                |mark: RunMark, at: Option<DateTime<Utc>>| at.filter(|at| *at <= now && !run.is_marked(mark));
            let over = due(RunMark::Overran, overrun_at(&policy, run, asleep));
            let silent = due(RunMark::HeartbeatLost, silent_at(&policy, run));
            let found = over.map(|at| Noticed::overrun(&policy, run, at)).into_iter();
            let found = found.chain(silent.map(|at| Noticed::silent(&policy, run, at)));
            noticed.extend(found.filter_map(|noticed| Some((run.id.clone()?, noticed))));
        }
        for (run, noticed) in noticed {
            self.mark_run(&run, &noticed, now);
        }
    }

    /// Marks a run that has not ended, writes it and tells of it, with the flip.
    pub(super) fn mark_run(&mut self, id: &RunId, noticed: &Noticed, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let run = &mut active.row.run;
        if run.is_marked(noticed.mark) {
            // As one that was to start, did not, and does now.
            return;
        }
        run.marks.push(noticed.mark);
        let task = run.task.clone();
        self.note_marks(id);
        self.flip_run(&task, id, noticed, now);
    }

    /// Writes what was noticed of a run that has not ended, and tells of it.
    pub(super) fn note_marks(&mut self, id: &RunId) {
        let Some(active) = self.runs.get(id) else { return };
        let run = active.row.run.clone();
        let (last_beat, marks) = (run.last_beat, run.marks.clone());
        self.out.writes.push(Write::Noted { run: id.clone(), last_beat, marks });
        self.tell_run(run);
    }

    /// The flip of a problem that leaves the state as it is.
    pub(super) fn flip_run(&mut self, task: &TaskId, run: &RunId, noticed: &Noticed, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(task) else { return };
        let state = entry.record.state;
        self.out.writes.push(Write::Flip(Flip {
            task: task.clone(),
            old: state,
            new: state,
            reason: noticed.reason.clone(),
            computed: noticed.computed.min(now),
            noticed: now,
            evidence: Evidence::Fresh,
            problem: Some(noticed.mark.alert()),
            run: Some(run.clone()),
        }));
    }

    /// Slots that came while a run of a task that is only watched was in
    /// progress were skipped by overlap: whoever starts it may not start it twice.
    /// A run of which nothing is heard excuses only the first slot after its start.
    /// Gives the next slot that will be skipped if nothing is heard until then.
    pub(super) fn cover(&mut self, id: &TaskId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let entry = self.tasks.get(id).filter(|entry| entry.definition.overlap != super::Overlap::Allow)?;
        let plan = entry.plan.as_ref()?;
        let active = entry.active.iter().filter_map(|(_, run)| self.runs.get(run));
        let spans = active.filter_map(|active| Some((active.row.run.started?, entry.excuses(active)?)));
        let slots = |(started, last): (DateTime<Utc>, DateTime<Utc>)| {
            (
                plan.previous(now.min(last)).filter(|slot| *slot > started),
                plan.next(now).filter(|slot| *slot <= last),
            )
        };
        let (covered, coming): (Vec<_>, Vec<_>) = spans.map(slots).unzip();
        let (covered, coming) = (covered.into_iter().flatten().max(), coming.into_iter().flatten().min());
        self.cover_up_to(id, covered);
        coming
    }

    /// A slot and those before it were skipped by overlap.
    pub(super) fn cover_up_to(&mut self, id: &TaskId, slot: Option<DateTime<Utc>>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        if slot > entry.record.facts.satisfied {
            entry.record.satisfy(slot);
            entry.touched = true;
        }
    }
}

impl Entry {
    /// The last slot that a run in progress excuses, as far as it is known to be alive.
    fn excuses(&self, active: &Active) -> Option<DateTime<Utc>> {
        let run = &active.row.run;
        let (plan, started, policy) = (self.plan.as_ref()?, run.started?, &self.definition.policy);
        let over = overrun_at(policy, run, active.asleep);
        let sign = silent_at(policy, run).into_iter().chain(over).min();
        match sign {
            Some(sign) => plan.previous(sign),
            None => plan.next(run.slot.map_or(started, |slot| slot.max(started))),
        }
    }
}
