//! A run from its coming to its end.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Clean, Policy, Priority, Run, RunId, RunMark, RunState, TaskId, duration_text};

use super::calls::{no_trigger, switched_off};
use super::marks::{Noticed, overrun_at};
use super::{
    Active, Bad, Claim, Definition, Domain, Effect, FailureAction, Lost, Outcome, Place, RetryOn, RetryRule,
    RunRow, Stop,
};

/// The longest pause between two attempts.
const MAX_DELAY: Duration = Duration::from_secs(86_400);

/// The pause before retry number `attempt` (from 1). `share` is from 0 to 1, for the jitter.
pub(super) fn retry_delay(rule: &RetryRule, attempt: u32, share: f64) -> TimeDelta {
    if rule.delay.is_zero() {
        // However large its factor has become.
        return TimeDelta::zero();
    }
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = rule.delay.as_secs_f64() * rule.backoff.powi(exponent) * share.mul_add(rule.jitter, 1.0);
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_DELAY).min(MAX_DELAY);
    TimeDelta::milliseconds(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
}

/// How the work of a run ended.
struct End {
    state: RunState,
    bad: Option<Bad>,
    retry_on: Option<RetryOn>,
    message: Option<Clean>,
    exit_code: Option<i32>,
}

impl End {
    fn of(active: &Active, outcome: Outcome) -> Self {
        let Outcome { good, exit_code, message, stopped, overran, .. } = outcome;
        match (&active.stopping, overran) {
            (Some(Stop::Asked(why)), _) => Self {
                state: RunState::Aborted,
                bad: Some(Bad::Failed),
                retry_on: None,
                message: Some(why.clone()),
                exit_code,
            },
            (Some(Stop::Overrun), _) | (None, Some(_)) => {
                let max = active.definition.policy.max_runtime_s.map(u64::from);
                let max = duration_text(overran.map(|limit| limit.as_secs()).or(max).unwrap_or(0));
                let message = Some(Clean::from(format!("over its max runtime of {max}")));
                Self {
                    state: RunState::Aborted,
                    bad: Some(Bad::Overrun),
                    retry_on: Some(RetryOn::Overrun),
                    message,
                    exit_code,
                }
            }
            // Somebody else told its supervisor.
            (None, None) if stopped => Self {
                state: RunState::Aborted,
                bad: Some(Bad::Failed),
                retry_on: None,
                message: Some("its supervisor was told to end it".into()),
                exit_code,
            },
            (None, None) if good => {
                Self { state: RunState::Succeeded, bad: None, retry_on: None, message, exit_code }
            }
            (None, None) => Self {
                state: RunState::Failed,
                bad: Some(Bad::Failed),
                retry_on: Some(RetryOn::Failed),
                message,
                exit_code,
            },
        }
    }

    fn lost(lost: Lost) -> Self {
        Self {
            state: RunState::Dead,
            bad: Some(Bad::Dead),
            retry_on: lost.certain.then_some(RetryOn::Dead),
            message: Some(lost.why),
            exit_code: None,
        }
    }
}

impl Domain {
    pub(super) const fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// A run comes to be: it waits, or starts at once if it is a built-in's.
    pub(super) fn enqueue(
        &mut self,
        id: &TaskId,
        priority: Option<Priority>,
        cause: &str,
        slot: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<RunId> {
        let entry = self.tasks.get_mut(id)?;
        let definition = entry.definition.clone();
        let mut run = Run::bare(id.clone(), RunState::Queued);
        let run_id = self.ids.next(now);
        run.id = Some(run_id.clone());
        run.slot = slot;
        run.queued = Some(now);
        run.priority = Some(priority.or(entry.record.priority).unwrap_or(definition.priority));
        run.cause = Some(Clean::line(cause));
        run.machine.clone_from(&definition.machine);
        let row = RunRow::here(self.take_seq(), run);
        self.note_run(&row);
        self.adopt(Active {
            row,
            definition,
            stopping: None,
            waiting_since: None,
            resting_since: None,
            asleep: TimeDelta::zero(),
            late_start: None,
            excused_until: None,
        });
        self.make_ready(&run_id, now);
        Some(run_id)
    }

    /// Takes a run that has not ended among those of its task.
    pub(super) fn adopt(&mut self, active: Active) {
        let Some(id) = active.row.run.id.clone() else { return };
        if let Some(entry) = self.tasks.get_mut(&active.row.run.task) {
            entry.active.insert((active.row.seq, id.clone()));
            self.dirty.insert(active.row.run.task.clone());
        }
        self.runs.insert(id.clone(), active);
        self.recount(&id);
    }

    /// A run waits for its place from now on.
    pub(super) fn make_ready(&mut self, run: &RunId, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(run) else { return };
        active.waiting_since = Some(now);
        if active.row.run.next_at.take().is_some() {
            let row = active.row.clone();
            self.note_run(&row);
        }
        if let Some(active) = self.runs.get(run) {
            if active.definition.built_in().is_none() {
                self.queue.push(place(active), claim(active));
            }
            let task = active.row.run.task.clone();
            self.mark(&task);
        }
    }

    /// Starts built-ins that were asked for, and as many others as may start.
    pub(super) fn start_ready(&mut self, now: DateTime<Utc>) {
        if self.closing {
            return;
        }
        let built_ins: Vec<RunId> = self
            .dirty
            .iter()
            .filter_map(|id| self.tasks.get(id))
            .filter(|entry| entry.definition.built_in().is_some())
            .flat_map(|entry| entry.active.iter().map(|(_, run)| run.clone()))
            .filter(|run| self.runs.get(run).is_some_and(|active| active.waiting_since.is_some()))
            .collect();
        for run in built_ins {
            self.start(&run, now);
        }
        while let Some(claim) = self.queue.start_next(&self.limits) {
            if !self.hold(&claim, now) {
                self.start(&claim.run, now);
            }
        }
    }

    fn start(&mut self, id: &RunId, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let run = &mut active.row.run;
        active.waiting_since = None;
        enter(run, RunState::Running);
        run.started = Some(now);
        run.message = None;
        run.machine.clone_from(&active.definition.machine);
        let (task, slot, attempt) = (run.task.clone(), run.slot, run.attempt);
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.record.satisfy(slot);
            if attempt == 0 {
                entry.record.succeeded.clear();
            }
            entry.touched = true;
            let cause = run.cause.as_deref().unwrap_or("manual");
            entry.reason = Some(Clean::from(format!("run started ({cause})")));
            if let (Some(slot), 0) = (slot, attempt)
                && entry.late_by(slot, now).is_some()
            {
                // What came into its queue in time was held up there; the rest came late itself.
                let waited = run.queued.is_none_or(|queued| entry.late_by(slot, queued).is_none());
                let cause = if waited { "queue" } else { cause };
                let late = super::judge::lapse(slot, now);
                let late = Clean::from(format!("started {late} late (cause: {cause})"));
                entry.reason = Some(late.clone());
                run.message = Some(late.clone());
                if !run.is_marked(RunMark::StartedLate) {
                    run.marks.push(RunMark::StartedLate);
                }
                active.late_start = Some(late);
            }
        }
        let effect = Effect::Start { run: id.clone(), attempt, definition: active.definition.clone() };
        let row = active.row.clone();
        self.note_run(&row);
        // A retry is the same run, however soon it comes.
        if attempt == 0 {
            self.notice_start(&task, id, now, now);
        }
        self.out.effects.push(effect);
        self.mark(&task);
    }

    /// The work of a run has ended.
    pub fn finished(&mut self, id: &RunId, outcome: Outcome, now: DateTime<Utc>) {
        if outcome.cut {
            self.cut_off(id, Outcome { cut: false, ..outcome }, now);
            return;
        }
        if let Some(active) = self.runs.get(id).filter(|active| active.row.run.state == RunState::Running) {
            // Not before it began nor after now, whatever the clocks were.
            let began = active.row.run.started.unwrap_or(now);
            let at = outcome.at.map_or(now, |at| at.max(began).min(now));
            let end = End::of(active, outcome);
            if end.bad == Some(Bad::Overrun) && !active.row.run.is_marked(RunMark::Overran) {
                // Its supervisor saw it first, or alone.
                let (policy, run) = (active.definition.policy, active.row.run.clone());
                let over = overrun_at(&policy, &run, active.asleep).map_or(at, |over| over.min(at));
                self.mark_run(id, &Noticed::overrun(&policy, &run, over), now);
            }
            self.end_attempt(id, end, at, now);
        }
    }

    /// Nobody knows how the work of a run ended, or whether it ever began. Where
    /// it was carried out elsewhere, that machine may.
    pub fn lost(&mut self, id: &RunId, lost: Lost, now: DateTime<Utc>) {
        let Some(active) = self.runs.get(id).filter(|active| active.row.run.state == RunState::Running)
        else {
            return;
        };
        if super::machines::machine_of(active) == super::HERE {
            self.give_up(id, lost, now);
        } else {
            let outcome = Outcome { message: Some(lost.why), ..Outcome::default() };
            self.cut_off(id, outcome, now);
        }
    }

    /// Nobody knows how a run ended, nor will anybody. What was cancelled is
    /// not tried again, and neither is what may still run.
    pub(super) fn give_up(&mut self, id: &RunId, lost: Lost, now: DateTime<Utc>) {
        match self.runs.get_mut(id).and_then(|active| active.stopping.as_mut()) {
            Some(Stop::Asked(by)) => {
                if !lost.certain {
                    *by = Clean::from(format!("{by}; {}", lost.why));
                }
                self.finished(id, Outcome::default(), now);
            }
            Some(Stop::Overrun) if lost.certain => self.finished(id, Outcome::default(), now),
            Some(Stop::Overrun) | None => self.end_attempt(id, End::lost(lost), now, now),
        }
    }

    /// A run that was to start has certainly not: it waits again, in its old place.
    pub fn not_started(&mut self, id: &RunId, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id).filter(|active| active.row.run.state == RunState::Running)
        else {
            return;
        };
        if let Some(Stop::Asked(_)) = active.stopping {
            self.finished(id, Outcome::default(), now);
            return;
        }
        active.stopping = None;
        let run = &mut active.row.run;
        enter(run, RunState::Queued);
        run.started = None;
        run.message = None;
        let task = run.task.clone();
        let row = active.row.clone();
        if active.definition.built_in().is_none() {
            let claim = claim(active);
            self.queue.release(&claim);
        }
        if let Some(entry) = self.tasks.get_mut(&task) {
            let facts = &mut entry.record.facts;
            facts.last_start = facts.previous_start;
            entry.touched = true;
        }
        self.note_run(&row);
        self.make_ready(id, now);
    }

    /// `at`: when it ended.
    fn end_attempt(&mut self, id: &RunId, end: End, at: DateTime<Utc>, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let definition = active.definition.clone();
        let task = active.row.run.task.clone();
        active.stopping = None;
        if definition.built_in().is_none() {
            let claim = claim(active);
            self.queue.release(&claim);
        }
        self.dirty.insert(task.clone());
        let run = &mut active.row.run;
        run.exit_code = end.exit_code;
        let retries = &definition.retry;
        let defined = self.tasks.contains_key(&task);
        let again = end.retry_on.is_some_and(|on| retries.on.contains(&on));
        if again && defined && run.attempt < retries.count {
            run.attempt += 1;
            let pause = retry_delay(retries, run.attempt, self.ids.share());
            enter(run, RunState::Queued);
            run.started = None;
            run.next_at = Some(now + pause);
            active.resting_since = Some(now);
            let why = end.message.as_deref().unwrap_or("failed");
            run.message =
                Some(Clean::from(format!("attempt {} of {}: {why}", run.attempt, retries.count + 1)));
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.reason.clone_from(&run.message);
            }
            let row = active.row.clone();
            self.note_run(&row);
            return;
        }
        let exhausted = end.bad == Some(Bad::Failed) && run.attempt > 0 && end.state == RunState::Failed;
        let bad = if exhausted { Some(Bad::Exhausted) } else { end.bad };
        run.message = match (end.message, &active.late_start) {
            (Some(message), Some(late)) => Some(Clean::from(format!("{message}; {late}"))),
            (message, late) => message.or_else(|| late.clone()),
        };
        self.end_run(id, end.state, bad, at);
        self.act_on(&task, &definition, bad, now);
    }

    /// Does what a bad run causes. Where that may not start, a missed run of it says so.
    pub(super) fn act_on(
        &mut self,
        task: &TaskId,
        definition: &Definition,
        bad: Option<Bad>,
        now: DateTime<Utc>,
    ) {
        let (Some(_), FailureAction::Run(other)) = (bad, &definition.failure_action) else { return };
        let Some(entry) = self.tasks.get(other) else { return };
        let cause = format!("failure of {task}");
        let off = || (!entry.definition.enabled).then(|| switched_off(entry));
        let paused = || entry.record.paused.is_some().then_some("it is paused");
        match no_trigger(entry).or_else(off).or_else(paused) {
            None => drop(self.enqueue(other, None, &cause, None, now)),
            Some(why) => self.pass_by(other, None, &cause, &format!("not started: {why}"), now),
        }
    }

    /// A run is over, since `at`. `bad` counts for its task; `None` with a bad state is a run that counts for nothing.
    pub(super) fn end_run(
        &mut self,
        id: &RunId,
        state: RunState,
        bad: Option<Bad>,
        at: DateTime<Utc>,
    ) -> Option<RunRow> {
        let mut active = self.runs.remove(id)?;
        let elsewhere = active.row.is_elsewhere();
        let run = &mut active.row.run;
        enter(run, state);
        run.next_at = None;
        run.ended = Some(at);
        run.duration_ms =
            run.started.and_then(|started| u64::try_from((at - started).num_milliseconds()).ok());
        let mut good = false;
        if let Some(entry) = self.tasks.get_mut(&run.task) {
            entry.active.remove(&(active.row.seq, id.clone()));
            entry.touched = true;
            entry.record.satisfy(run.slot);
            entry.reason = Some(match &run.message {
                Some(message) => Clean::from(format!("run {state}: {message}")),
                None => Clean::from(format!("run {state}")),
            });
            // What is told late of a run elsewhere does not undo what came after it.
            let newest = !elsewhere || entry.record.facts.last_end.is_none_or(|last| last <= at);
            let counts = if elsewhere {
                state == RunState::Succeeded || bad.is_some()
            } else {
                run.started.is_some() || bad.is_some()
            };
            if newest && (counts || !elsewhere) {
                entry.record.last_run = Some(Box::new(run.clone()));
            }
            good = newest && state == RunState::Succeeded;
            if newest && counts {
                let policy = entry.definition.policy;
                entry.record.count(bad, &policy, at);
            }
        }
        let row = active.row;
        self.mark(&row.run.task.clone());
        self.note_run(&row);
        // What is told of a run elsewhere may be dated back; what it starts is not.
        let now = self.latest.map_or(at, |latest| latest.max(at));
        self.ended(&row.run.task, good, now);
        Some(row)
    }
}

impl super::Record {
    /// Counts an ended run for thresholds.
    pub(super) fn count(&mut self, bad: Option<Bad>, policy: &Policy, now: DateTime<Utc>) {
        self.bad = bad.or(self.bad);
        let facts = &mut self.facts;
        facts.last_end = Some(now);
        if bad.is_some() {
            if facts.good_streak >= policy.recovery_threshold.max(1) {
                facts.was_failing = false;
            }
            facts.bad_streak = facts.bad_streak.saturating_add(1);
            facts.good_streak = 0;
            let failing = facts.was_failing || facts.bad_streak >= policy.failure_threshold.max(1);
            if failing && facts.failing_since.is_none() {
                facts.failing_since = Some(now);
            }
        } else {
            self.last_success = Some(now);
            self.snoozed = None;
            if facts.bad_streak > 0 {
                facts.was_failing |= facts.bad_streak >= policy.failure_threshold.max(1);
                facts.bad_streak = 0;
                facts.good_streak = 0;
            }
            facts.good_streak = facts.good_streak.saturating_add(1);
            if !facts.was_failing || facts.good_streak >= policy.recovery_threshold.max(1) {
                facts.failing_since = None;
            }
        }
    }
}

fn enter(run: &mut Run, state: RunState) {
    debug_assert!(super::legal(Some(run.state), state), "{} to {state}", run.state);
    run.state = state;
}

pub(super) fn place(active: &Active) -> Place {
    Place { priority: active.row.run.priority.unwrap_or_default(), seq: active.row.seq }
}

pub(super) fn claim(active: &Active) -> Claim {
    let definition: &Definition = &active.definition;
    Claim {
        run: active.row.run.id.clone().unwrap_or_else(|| RunId::new("")),
        task: active.row.run.task.clone(),
        queue: definition.queue().as_raw().to_owned(),
        machine: super::machines::machine_of(active).to_owned(),
        at_once: definition.at_once(),
    }
}
