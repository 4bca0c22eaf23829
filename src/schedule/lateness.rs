//! The rules of lateness over facts, limits and now.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{AlertKind, Clean, Facts, Policy, RunId, TaskState, duration_text};

use super::{Plan, satisfied, windows};

/// What the rules say of a task now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// Its state, by precedence. Never `archived`: that is no matter of time.
    pub state: TaskState,
    /// When it came into it, by computed time, where the facts tell.
    pub since: Option<DateTime<Utc>>,
    /// The earliest unsatisfied slot: in the past while due (also in a queue), late or absent.
    pub next_due: Option<DateTime<Utc>>,
    /// The slot that lateness counts from, while late or absent.
    pub late_since: Option<DateTime<Utc>>,
    /// Open problems, at most one of a kind; an assumed schedule makes its lateness a warning and says so.
    pub problems: Vec<Problem>,
    /// When the answer will be another without any new fact; `None`: never.
    pub next_change: Option<DateTime<Utc>>,
}

/// One open problem of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: AlertKind,
    /// Since when, by computed time. Of a failure that nothing dates: the
    /// `now` of this assessment, so keep the first.
    pub since: DateTime<Utc>,
    /// One line for the operator.
    pub summary: Clean,
    /// It rests on an assumed schedule: a warning, whatever the kind.
    pub assumed: bool,
}

/// Judges a task by the rules. `plan` is the read form of its schedule, `None` without one.
#[must_use]
pub fn assess(
    facts: &Facts,
    plan: Option<&Plan>,
    assumed: bool,
    policy: &Policy,
    paused: bool,
    now: DateTime<Utc>,
) -> Assessment {
    let case = Case::new(facts, plan, assumed, policy, paused, now);
    let mut answer = case.answer(now);
    let mut moments: Vec<_> = case.moments().filter(|&moment| moment > now).collect();
    moments.sort_unstable();
    answer.next_change = moments.into_iter().find(|&moment| case.answer(moment) != answer);
    answer
}

/// A task with all that its deadlines need, so that it can be judged at several moments.
struct Case<'a> {
    facts: &'a Facts,
    plan: Option<&'a Plan>,
    assumed: bool,
    policy: &'a Policy,
    paused: bool,
    /// Stands in for the date of a failure that has none.
    now: DateTime<Utc>,
    /// The earliest slot that nothing has answered yet, where the past is known.
    open: Option<Open>,
    /// Whether an open slot can be late: not while a run that will answer it waits or runs.
    judged: bool,
    /// The next slot to come, where the past is not known.
    coming: Option<DateTime<Utc>>,
    /// When a task without history should have shown its first run.
    first_sign: Option<DateTime<Utc>>,
}

/// An unsatisfied slot and its deadlines.
#[derive(Clone, Copy)]
struct Open {
    slot: DateTime<Utc>,
    late: DateTime<Utc>,
    absent: DateTime<Utc>,
}

impl<'a> Case<'a> {
    fn new(
        facts: &'a Facts,
        plan: Option<&'a Plan>,
        assumed: bool,
        policy: &'a Policy,
        paused: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let (open, judged, coming, first_sign) = (None, false, None, None);
        let mut case = Self { facts, plan, assumed, policy, paused, now, open, judged, coming, first_sign };
        let Some(plan) = plan.filter(|_| !paused) else { return case };
        let satisfied = satisfied(facts, plan, policy);
        // Where a system does not tell what it did with a slot, one that came
        // while a run is in progress may have been skipped by overlap.
        let overlapped = facts.satisfied.is_none() && !facts.running.is_empty();
        match facts.since {
            Some(since) if !facts.undated_failure && !overlapped => {
                let from = since - TimeDelta::nanoseconds(1);
                // A slot in a blackout is none, and time in one does not make late.
                let slot = plan.next_open(satisfied.map_or(from, |slot| slot.max(from)));
                case.open = slot.map(|slot| {
                    let (start, lateness) = windows(policy, plan.interval(slot));
                    let after = |time| plan.blackouts().after(slot, time);
                    Open { slot, late: after(start), absent: after(start + lateness) }
                });
                // A run that waits for its place is queued, not late.
                case.judged = facts.queued.is_none();
            }
            _ => {
                case.coming = plan.next_open(satisfied.map_or(now, |slot| slot.max(now)));
                case.first_sign = facts.scheduled_since.and_then(|since| plan.next(since)).map(|slot| {
                    let (start, lateness) = windows(policy, plan.interval(slot));
                    slot + start + lateness
                });
            }
        }
        case
    }

    /// Whether nothing is known of the past but, at most, that it is scheduled.
    fn is_blank(&self) -> bool {
        *self.facts == Facts { scheduled_since: self.facts.scheduled_since, ..Facts::default() }
    }

    /// The instants at which the answer may change.
    fn moments(&self) -> impl Iterator<Item = DateTime<Utc>> {
        let slots = self.open.map(|open| [open.slot, open.late, open.absent]).into_iter().flatten();
        let runs = self.facts.running.iter();
        let overruns = runs.clone().filter_map(|run| self.overrun_at(run.started));
        let deaths = runs.filter_map(|run| self.dead_at(run.last_beat));
        slots.chain(self.coming).chain(self.first_sign).chain(overruns).chain(deaths)
    }

    /// The answer at `at`, without its `next_change`.
    fn answer(&self, at: DateTime<Utc>) -> Assessment {
        let (state, since) = self.state(at);
        Assessment {
            state,
            since,
            next_due: self.next_due(at),
            late_since: self.late(at).map(|_| self.open.map(|open| open.slot)).unwrap_or_default(),
            problems: self.problems(at),
            next_change: None,
        }
    }

    fn next_due(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match (self.open, self.coming) {
            (Some(open), _) => Some(open.slot),
            (None, Some(coming)) if coming > at => Some(coming),
            (None, Some(_)) => self.plan?.next_open(at),
            (None, None) => None,
        }
    }

    /// Late or absent at `at`, and since when.
    fn late(&self, at: DateTime<Utc>) -> Option<(TaskState, DateTime<Utc>)> {
        let open = self.open.filter(|_| self.judged)?;
        if at >= open.absent {
            Some((TaskState::Absent, open.absent))
        } else if at >= open.late {
            Some((TaskState::Late, open.late))
        } else {
            None
        }
    }

    /// The first state in [`TaskState::PRECEDENCE`] that holds.
    fn state(&self, at: DateTime<Utc>) -> (TaskState, Option<DateTime<Utc>>) {
        let facts = self.facts;
        if self.paused {
            return (TaskState::Paused, None);
        }
        if let Some(started) = facts.running.iter().map(|run| run.started).min() {
            return (TaskState::Running, Some(started));
        }
        if let Some(queued) = &facts.queued {
            return (TaskState::Queued, Some(queued.since));
        }
        if let Some((state, since)) = self.late(at) {
            return (state, Some(since));
        }
        // It came to rest when its newest run ended, or when it was resumed after that.
        let settled = facts.last_end.max(facts.since);
        if self.is_failing() {
            return (TaskState::Failing, settled.filter(|_| !facts.undated_failure));
        }
        if let Some(open) = self.open.filter(|open| open.slot <= at) {
            return (TaskState::Due, Some(open.slot));
        }
        if self.is_blank() {
            let to_come = self.first_sign.is_some_and(|sign| at < sign);
            return (if to_come { TaskState::Healthy } else { TaskState::Unknown }, None);
        }
        (TaskState::Healthy, settled)
    }

    fn is_failing(&self) -> bool {
        let facts = self.facts;
        facts.undated_failure
            || facts.bad_streak >= self.policy.failure_threshold.max(1)
            || (facts.was_failing && facts.good_streak < self.policy.recovery_threshold.max(1))
    }

    fn overrun_at(&self, started: DateTime<Utc>) -> Option<DateTime<Utc>> {
        started.checked_add_signed(TimeDelta::seconds(i64::from(self.policy.max_runtime_s?)))
    }

    fn dead_at(&self, last_beat: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        last_beat?.checked_add_signed(self.heartbeat_timeout())
    }

    fn heartbeat_timeout(&self) -> TimeDelta {
        let told = self.policy.heartbeat_timeout_s.map(|seconds| TimeDelta::seconds(i64::from(seconds)));
        told.unwrap_or(Policy::HEARTBEAT_TIMEOUT)
    }

    fn problems(&self, at: DateTime<Utc>) -> Vec<Problem> {
        let known = |kind, since, summary: String| Problem {
            kind,
            since,
            summary: Clean::from(summary),
            assumed: false,
        };
        let mut problems = Vec::new();
        problems.extend(self.lateness(at));
        if self.is_failing() {
            problems.push(known(AlertKind::Failed, self.failing_since(), self.failure()));
        }
        if let Some(limit) = self.policy.max_runtime_s {
            let expired = self.expired(at, |started, _| self.overrun_at(started));
            if let Some((since, runs)) = expired {
                let limit = duration_text(u64::from(limit));
                problems.push(known(AlertKind::Overrun, since, format!("{runs} not ended after {limit}")));
            }
        }
        if let Some((since, runs)) = self.expired(at, |_, beat| self.dead_at(beat)) {
            let limit = duration_text(self.heartbeat_timeout().num_seconds().unsigned_abs());
            problems.push(known(AlertKind::Dead, since, format!("{runs} without a heartbeat for {limit}")));
        }
        if let (Some(minimum), Some(last), Some(before)) =
            (self.policy.min_gap_s, self.facts.last_start, self.facts.previous_start)
            && last >= before
            && last - before < TimeDelta::seconds(i64::from(minimum))
        {
            let gap = duration_text((last - before).num_seconds().unsigned_abs());
            let minimum = duration_text(u64::from(minimum));
            let summary = format!("started {gap} after the start before, less than {minimum}");
            problems.push(known(AlertKind::TooOften, last, summary));
        }
        problems
    }

    fn lateness(&self, at: DateTime<Utc>) -> Option<Problem> {
        let (state, since) = self.late(at)?;
        let clock = self.plan?.clock(self.open?.slot);
        let (kind, words) = match state {
            TaskState::Absent => (AlertKind::Absent, "never started"),
            _ => (AlertKind::Late, "not started"),
        };
        let remark = if self.assumed { " (schedule assumed)" } else { "" };
        let summary = Clean::from(format!("due {clock}, {words}{remark}"));
        Some(Problem { kind, since, summary, assumed: self.assumed })
    }

    /// Since when it fails, as well as the facts tell.
    fn failing_since(&self) -> DateTime<Utc> {
        let facts = self.facts;
        if facts.undated_failure {
            // Only the last good run is dated: it failed after that.
            return facts.last_end.or(facts.since).unwrap_or(self.now);
        }
        let told = facts.failing_since.or(facts.last_end).or(facts.last_start);
        told.or(facts.since).unwrap_or(self.now)
    }

    fn failure(&self) -> String {
        let facts = self.facts;
        if facts.undated_failure {
            return "the last run failed; when is not told".to_owned();
        }
        match facts.bad_streak {
            0 => {
                let (good, needed) = (facts.good_streak, self.policy.recovery_threshold);
                format!("failed before; {good} of {needed} good runs since")
            }
            1 => "the last run failed".to_owned(),
            runs => format!("the last {runs} runs failed"),
        }
    }

    /// The runs whose deadline has passed at `at`: since when, and their names.
    fn expired(
        &self,
        at: DateTime<Utc>,
        deadline: impl Fn(DateTime<Utc>, Option<DateTime<Utc>>) -> Option<DateTime<Utc>>,
    ) -> Option<(DateTime<Utc>, String)> {
        let expired = self.facts.running.iter().filter_map(|run| {
            let deadline = deadline(run.started, run.last_beat)?;
            (deadline <= at).then_some((deadline, run.id.as_ref().map(RunId::shown)))
        });
        let (since, ids): (Vec<_>, Vec<_>) = expired.unzip();
        let since = since.into_iter().min()?;
        let names: Vec<&str> = ids.iter().flatten().map(Clean::as_str).collect();
        let runs = match (ids.len(), names.as_slice()) {
            (1, []) => "a run".to_owned(),
            (1, [name, ..]) => format!("run {name}"),
            (count, []) => format!("{count} runs"),
            (count, _) => format!("{count} runs ({})", names.join(", ")),
        };
        Some((since, runs))
    }
}
