//! What state a task is in: the system's own word, or, where it does not judge
//! itself, the rules of [`crate::schedule`] on the facts that it told.
//!
//! A task turns due, late or absent only on fresh evidence. Where the evidence
//! ended, the state stays as it was then, and what would be late since is said
//! to be unverified. A system that judges itself is believed while its word
//! follows what its own windows say; where an answer shows that it has stopped
//! to, vigie judges by them, and says that this is its own finding.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::changes::plus;
use super::rows::TaskRow;
use crate::model::{
    Alert, AlertKind, Clean, Evidence, Facts, Kind, RunState, Schedule, Severity, Task, TaskState,
};
use crate::schedule::{Assessment, Plan, Problem, assess, windows};

/// A schedule as read, or why it can't be.
pub(super) type ReadPlan = Result<Plan, Clean>;

/// Schedules that have been read, shared by the tasks that have the same.
#[derive(Debug, Default)]
pub(super) struct Plans(HashMap<Schedule, Arc<ReadPlan>>);

/// So many different schedules are kept before unused ones are dropped.
const MANY_PLANS: usize = 1_024;

impl Plans {
    /// The read form of `schedule`.
    pub fn read(&mut self, schedule: &Schedule) -> Arc<ReadPlan> {
        if let Some(plan) = self.0.get(schedule) {
            return Arc::clone(plan);
        }
        if self.0.len() >= MANY_PLANS {
            self.0.retain(|_, plan| Arc::strong_count(plan) > 1);
        }
        let plan = Arc::new(Plan::new(schedule).map_err(|bad| bad.0));
        if self.0.len() < 64 * MANY_PLANS {
            self.0.insert(schedule.clone(), Arc::clone(&plan));
        }
        plan
    }
}

/// How an endpoint's evidence bears on its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Basis {
    /// What its rows carry.
    pub evidence: Evidence,
    /// When the evidence ended, while it is stale.
    pub until: Option<DateTime<Utc>>,
    /// Its clock minus ours, while they differ too much.
    pub skew: Option<TimeDelta>,
    /// When its last good answer had arrived, by our clock.
    pub answered: Option<DateTime<Utc>>,
    /// The system that it speaks.
    pub kind: Kind,
}

impl Basis {
    /// Whether it bears on its tasks as `other` does. That another answer has
    /// come bears only on those that await one.
    pub fn bears_as(self, other: Self) -> bool {
        Self { answered: other.answered, ..self } == other
    }
}

/// What a task's row shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub state: TaskState,
    pub since: Option<DateTime<Utc>>,
    pub next_due: Option<DateTime<Utc>>,
    pub late_since: Option<DateTime<Utc>>,
    pub unverified_late_since: Option<DateTime<Utc>>,
    /// It is vigie's own finding, against the system's word.
    pub own_finding: bool,
    pub problems: Vec<Alert>,
    /// When time alone makes it another.
    pub wake: Option<DateTime<Utc>>,
    /// The next answer may make it another even if it tells the same of the task.
    pub awaits_answer: bool,
}

impl Verdict {
    /// Puts it into the row, at this evidence. Whether that changed the row.
    pub fn show(&self, evidence: Evidence, row: &mut TaskRow) -> bool {
        let told = (self.state, evidence, self.since, self.next_due, self.late_since);
        let more = (self.unverified_late_since, self.own_finding);
        let changed = told != (row.state, row.evidence, row.since, row.next_due, row.late_since)
            || more != (row.unverified_late_since, row.own_finding);
        (row.state, row.evidence, row.since, row.next_due, row.late_since) = told;
        (row.unverified_late_since, row.own_finding) = more;
        changed
    }
}

/// Judges one task.
pub(super) fn judge(task: &Task, plan: Option<&ReadPlan>, basis: Basis, now: DateTime<Utc>) -> Verdict {
    let mut verdict = match (task.state, &task.facts) {
        (None, Some(facts)) if !task.archived => {
            let plan = plan.and_then(|plan| plan.as_ref().ok());
            computed(task, facts, plan, basis, now)
        }
        _ => told(task, plan.and_then(|plan| plan.as_ref().ok()), basis, now),
    };
    // A rule that names an instant that has passed must not make a busy loop.
    verdict.wake = verdict.wake.map(|wake| if wake > now { wake } else { plus(now, TimeDelta::seconds(1)) });
    verdict
}

/// As the system says; its lateness too, as long as its word follows.
fn told(task: &Task, plan: Option<&Plan>, basis: Basis, now: DateTime<Utc>) -> Verdict {
    let state = task.state.unwrap_or_else(|| state_of_runs(task));
    let is_late = matches!(state, TaskState::Late | TaskState::Absent);
    let mut verdict = Verdict {
        state,
        since: since_of_runs(task, state),
        next_due: task.next_due,
        late_since: if is_late { task.next_due } else { None },
        unverified_late_since: None,
        own_finding: false,
        problems: Vec::new(),
        wake: None,
        awaits_answer: false,
    };
    let could_turn_late =
        matches!(state, TaskState::Healthy | TaskState::Failing | TaskState::Due | TaskState::Unknown)
            && !task.paused
            && !task.archived;
    if let Some(deadlines) = Deadlines::of(task, state) {
        reckon(&mut verdict, task, plan, &deadlines, basis, now);
    }
    if basis.until.is_some() && could_turn_late && !verdict.own_finding {
        let interval =
            |due| plan.filter(|_| task.judged_within_s.is_none()).and_then(|plan| plan.interval(due));
        let limit = task.next_due.map(|due| plus(due, windows(&task.policy, interval(due)).0));
        if limit.is_some_and(|limit| limit <= now) {
            verdict.unverified_late_since = task.next_due;
        } else {
            verdict.wake = limit;
        }
    }
    verdict
}

/// What a system that judges lateness itself should come to say of a task, by
/// its own windows (never cut) after its own due time.
struct Deadlines {
    due: DateTime<Utc>,
    late: DateTime<Utc>,
    absent: DateTime<Utc>,
    /// How far its word may lag behind.
    lag: TimeDelta,
    /// It has said "late": only "absent" can be missing.
    said_late: bool,
}

impl Deadlines {
    /// Those of a task whose system's word is `word`; `None` where lateness can add nothing to it.
    fn of(task: &Task, word: TaskState) -> Option<Self> {
        let open = matches!(word, TaskState::Healthy | TaskState::Failing | TaskState::Due | TaskState::Late);
        let lag = TimeDelta::seconds(i64::from(task.judged_within_s?));
        let due = task.next_due.filter(|_| open && !task.paused && !task.archived)?;
        let (start, lateness) = windows(&task.policy, None);
        let late = plus(due, start);
        Some(Self { due, late, absent: plus(late, lateness), lag, said_late: word == TaskState::Late })
    }

    /// What an answer of `answered`, by the system's clock, should have said and did not, and since when.
    fn unsaid(&self, answered: DateTime<Utc>) -> Option<(TaskState, DateTime<Utc>)> {
        let by_then = |instant| plus(instant, self.lag) <= answered;
        if by_then(self.absent) {
            Some((TaskState::Absent, self.absent))
        } else if by_then(self.late) && !self.said_late {
            Some((TaskState::Late, self.late))
        } else {
            None
        }
    }

    /// The instants from which on an answer that does not say so shows that the system has stopped judging.
    fn decisions(&self) -> impl Iterator<Item = DateTime<Utc>> + use<> {
        let late = (!self.said_late).then(|| plus(self.late, self.lag));
        late.into_iter().chain([plus(self.absent, self.lag)])
    }
}

/// vigie's own finding: the system has not judged what its windows say. Only
/// an answer from after the instant shows that: one from before proves nothing.
fn reckon(
    verdict: &mut Verdict,
    task: &Task,
    plan: Option<&Plan>,
    deadlines: &Deadlines,
    basis: Basis,
    now: DateTime<Utc>,
) {
    let skew = basis.skew.unwrap_or_default();
    let answered = basis.answered.map(|at| plus(at, skew));
    let unsaid = answered.and_then(|answered| deadlines.unsaid(answered));
    match unsaid {
        // Times that can't be compared find nothing.
        Some(_) if basis.skew.is_some() => verdict.unverified_late_since = Some(deadlines.due),
        Some((state, since)) => {
            verdict.state = state;
            verdict.since = Some(since);
            verdict.late_since = Some(deadlines.due);
            verdict.own_finding = true;
            verdict.problems = vec![finding(task, plan, deadlines, (state, since), basis.kind)];
        }
        None => {}
    }
    if basis.until.is_none() {
        let now = plus(now, skew);
        verdict.wake = deadlines.decisions().filter(|&at| at > now).min().map(|at| plus(at, -skew));
        verdict.awaits_answer =
            deadlines.decisions().any(|at| at <= now && answered.is_none_or(|answered| answered < at));
    }
}

/// The alert on what the system should have said.
fn finding(
    task: &Task,
    plan: Option<&Plan>,
    deadlines: &Deadlines,
    (state, since): (TaskState, DateTime<Utc>),
    kind: Kind,
) -> Alert {
    let due = plan.map_or_else(
        || deadlines.due.format("%Y-%m-%d %H:%M UTC").to_string(),
        |plan| plan.clock(deadlines.due).to_string(),
    );
    let (alert, words) = match state {
        TaskState::Absent => (AlertKind::Absent, "never started"),
        _ => (AlertKind::Late, "not started"),
    };
    let assumed = task.schedule.as_ref().is_some_and(|schedule| schedule.assumed);
    Alert {
        task: Some(task.id.clone()),
        queue: None,
        kind: alert,
        severity: if assumed { Severity::Warning } else { alert.severity() },
        since,
        summary: Clean::from(format!(
            "due {due}, {words}; by vigie's own reckoning: {kind} has not judged it"
        )),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    }
}

/// What runs and flags alone tell, where neither a word nor facts were told.
fn state_of_runs(task: &Task) -> TaskState {
    let active = |state| task.active_runs.iter().any(|run| run.state == state);
    if task.archived {
        TaskState::Archived
    } else if task.paused {
        TaskState::Paused
    } else if active(RunState::Running) {
        TaskState::Running
    } else if active(RunState::Queued) {
        TaskState::Queued
    } else {
        match &task.last_run {
            Some(run) if run.state.is_bad() => TaskState::Failing,
            Some(run) if run.state == RunState::Succeeded => TaskState::Healthy,
            _ => TaskState::Unknown,
        }
    }
}

/// Since when the state holds, as far as runs and slots tell.
fn since_of_runs(task: &Task, state: TaskState) -> Option<DateTime<Utc>> {
    let first = |state| task.active_runs.iter().find(|run| run.state == state);
    match state {
        TaskState::Running => first(RunState::Running).and_then(|run| run.started),
        TaskState::Queued => first(RunState::Queued).and_then(|run| run.queued),
        TaskState::Healthy | TaskState::Failing => task.last_run.as_ref().and_then(|run| run.ended),
        TaskState::Due => task.next_due,
        _ => None,
    }
}

/// By the rules.
fn computed(task: &Task, facts: &Facts, plan: Option<&Plan>, basis: Basis, now: DateTime<Utc>) -> Verdict {
    let assumed = task.schedule.as_ref().is_some_and(|schedule| schedule.assumed);
    let skew = basis.skew.unwrap_or_default();
    // A skewed clock's facts are compared with that clock.
    let assess_at = |plan: Option<&Plan>, at: DateTime<Utc>| {
        assess(facts, plan, assumed, &task.policy, task.paused, plus(at, skew))
    };
    let seen = assess_at(plan, basis.until.unwrap_or(now));
    let mut wake = seen.next_change;
    let mut unverified = None;
    let mut next_due = seen.next_due;
    let mut shown = seen;
    if basis.skew.is_some() && shown.late_since.is_some() {
        unverified = shown.late_since;
        shown = without_lateness(shown, || assess_at(None, basis.until.unwrap_or(now)));
    }
    if basis.until.is_some() {
        let meanwhile = assess_at(plan, now);
        next_due = meanwhile.next_due;
        wake = meanwhile.next_change;
        if shown.late_since.is_none() {
            unverified = unverified.or(meanwhile.late_since);
        }
    }
    Verdict {
        state: shown.state,
        since: shown.since,
        next_due,
        late_since: shown.late_since,
        unverified_late_since: unverified,
        own_finding: false,
        problems: shown.problems.into_iter().map(|problem| alert(task, problem)).collect(),
        wake: wake.map(|wake| plus(wake, -skew)),
        awaits_answer: false,
    }
}

/// What is left of `late` when its lateness can't be relied on.
fn without_lateness(late: Assessment, unscheduled: impl FnOnce() -> Assessment) -> Assessment {
    let by_schedule = |kind| matches!(kind, AlertKind::Late | AlertKind::Absent);
    let problems = late.problems.into_iter().filter(|problem| !by_schedule(problem.kind)).collect();
    let (state, since) = if matches!(late.state, TaskState::Due | TaskState::Late | TaskState::Absent) {
        let rest = unscheduled();
        (rest.state, rest.since)
    } else {
        (late.state, late.since)
    };
    Assessment { state, since, late_since: None, problems, ..late }
}

/// A problem as an alert: an assumed schedule makes it a warning; a failure tells its words.
fn alert(task: &Task, problem: Problem) -> Alert {
    let words = task.last_run.as_ref().and_then(|run| run.message.as_ref());
    let summary = match (problem.kind, words) {
        (AlertKind::Failed | AlertKind::RetriesExhausted, Some(words)) => {
            Clean::from(format!("{} · {words}", problem.summary))
        }
        _ => problem.summary,
    };
    Alert {
        task: Some(task.id.clone()),
        queue: None,
        kind: problem.kind,
        severity: if problem.assumed { Severity::Warning } else { problem.kind.severity() },
        since: problem.since,
        summary,
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    }
}
