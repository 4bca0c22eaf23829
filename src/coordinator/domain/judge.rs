//! States, flips and alerts: what the rules of lateness make of the facts.

use chrono::{DateTime, Utc};

use crate::model::{
    Alert, AlertKey, AlertKind, Clean, Evidence, Facts, Flip, QueueName, QueuedFact, Run, RunId, RunMark,
    RunState, RunningFact, TaskId, TaskState, duration_text,
};
use crate::schedule::{Assessment, Problem, assess, windows};

use super::{Active, Bad, Domain, Entry, FailureAction, Work, Write};

impl Entry {
    /// The row of a task.
    pub(super) fn write(&self) -> Write {
        Write::Task {
            id: self.definition.id.clone(),
            record: self.record.clone(),
            schedule: self.definition.schedule.clone(),
            blackout: self.definition.blackout.clone(),
            policy: self.definition.policy,
            paused: self.is_paused(),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.record.paused.is_some() || self.record.archived.is_some() || !self.definition.enabled
    }
}

impl Domain {
    /// What the rules are applied to: the record, and the active runs.
    fn facts(&self, entry: &Entry) -> Facts {
        let mut facts = entry.record.facts.clone();
        let heard_of = facts.last_start.is_some() || facts.last_end.is_some();
        if entry.definition.work == Work::Watched && entry.plan.is_none() && !heard_of {
            // Nothing was ever heard of it, and nothing says when that would be strange.
            facts = Facts::default();
        }
        let mut pending: Option<QueuedFact> = None;
        for active in entry.active.iter().filter_map(|(_, run)| self.runs.get(run)) {
            let run = &active.row.run;
            match (run.state, run.started) {
                (RunState::Running, Some(started)) => {
                    let (started, last_beat) = (started + active.asleep, run.last_beat);
                    facts.running.push(RunningFact { id: run.id.clone(), started, last_beat });
                }
                _ if pending.is_none() => {
                    let since =
                        active.waiting_since.or(active.resting_since).or(run.queued).unwrap_or_default();
                    pending = Some(QueuedFact { since, slot: run.slot });
                }
                _ => {}
            }
        }
        facts.queued = pending;
        facts
    }

    /// What the rules say of a task.
    pub(super) fn assess(&self, entry: &Entry, now: DateTime<Utc>) -> Assessment {
        let mut facts = self.facts(entry);
        let mut policy = entry.definition.policy;
        let active = || entry.active.iter().filter_map(|(_, run)| self.runs.get(run));
        let told = |run: &Run| run.is_marked(RunMark::Overran) || run.is_marked(RunMark::HeartbeatLost);
        if active().any(|active| active.is_excused(now)) && !active().any(|active| told(&active.row.run)) {
            policy.max_runtime_s = None;
            facts.running.iter_mut().for_each(|run| run.last_beat = None);
        }
        let assessment = assess(&facts, entry.plan.as_ref(), false, &policy, entry.is_paused(), now);
        if entry.record.archived.is_some() { put_away(assessment.next_due) } else { assessment }
    }

    /// Judges one task: flip, alerts, and when to look again.
    pub(super) fn judge(&mut self, id: &TaskId, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(id) else { return };
        let definition = entry.definition.clone();
        let skipped = if definition.work == Work::Watched { self.cover(id, now) } else { None };
        self.mark_runs(id, now);
        let Some(entry) = self.tasks.get(id) else { return };
        let assessment = self.assess(entry, now);
        let (stall, stall_at) = self.stall(entry, now);
        match stall {
            Some(problem) => {
                self.stalled.insert(id.clone(), (definition.queue(), problem));
            }
            None => {
                self.stalled.remove(id);
            }
        }
        // What is told of a blackout is told anew when it begins and when it is over.
        let blackout = entry.blackouts.change(now);
        let dark_until = entry.blackouts.end(now).map(|end| entry.blackouts.clock(end));
        let snooze = self.snooze_of(id, now);
        self.flip(id, &assessment, now);
        self.judge_alerts(id, &assessment, now);
        let changes = assessment.next_change.into_iter().chain(stall_at).chain(skipped).chain(blackout);
        let changes = changes.chain(snooze);
        let next_change = changes.min();
        if let Some(entry) = self.tasks.get_mut(id) {
            entry.dark_until = dark_until;
            if std::mem::take(&mut entry.touched) {
                let write = entry.write();
                self.out.writes.push(write);
            }
        }
        self.schedule_wake(id, next_change, now);
        self.tell_task(id, &assessment);
    }

    fn flip(&mut self, id: &TaskId, assessment: &Assessment, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        let told = entry.reason.take();
        let (old, new) = (entry.record.state, assessment.state);
        if old == new {
            return;
        }
        entry.record.state = new;
        entry.touched = true;
        let problem = assessment.problems.first().map(|problem| problem.summary.clone());
        let reason = match new {
            TaskState::Late | TaskState::Absent => problem.or(told),
            TaskState::Due => Some("its slot has come".into()),
            TaskState::Queued if told.is_none() => Some("a run waits".into()),
            _ => told.or(problem),
        };
        let computed = assessment.since.filter(|since| *since <= now).unwrap_or(now);
        let (problem, run) = self.cause(id, (old, new), computed);
        self.out.writes.push(Write::Flip(Flip {
            task: id.clone(),
            old,
            new,
            reason: reason.unwrap_or_else(|| "by its facts".into()),
            computed,
            noticed: now,
            evidence: Evidence::Fresh,
            problem,
            run,
        }));
    }

    /// The failure that a flip tells of, unless it was told, and the run that it is about.
    fn cause(
        &mut self,
        id: &TaskId,
        (old, state): (TaskState, TaskState),
        computed: DateTime<Utc>,
    ) -> (Option<AlertKind>, Option<RunId>) {
        let Some(entry) = self.tasks.get_mut(id) else { return (None, None) };
        match state {
            TaskState::Late | TaskState::Absent => {
                let known = entry.record.last_lateness.replace((state, computed));
                let new = known != Some((state, computed));
                let kind = if state == TaskState::Late { AlertKind::Late } else { AlertKind::Absent };
                (new.then_some(kind), None)
            }
            TaskState::Failing => {
                let last = entry.record.last_run.as_ref().filter(|run| run.state.is_bad());
                let last = last.and_then(|run| run.id.clone());
                let told = last.is_some() && last == entry.record.last_failure;
                let kind = match entry.record.bad {
                    Some(Bad::Exhausted) => Some(AlertKind::RetriesExhausted),
                    Some(Bad::Dead) => Some(AlertKind::Dead),
                    // It was told when its time was over.
                    Some(Bad::Overrun) => None,
                    _ => Some(AlertKind::Failed),
                };
                entry.record.last_failure.clone_from(&last);
                (kind.filter(|_| last.is_some() && !told), last)
            }
            TaskState::Running => {
                let running = entry.active.iter().rev().filter_map(|(_, run)| self.runs.get(run));
                let newest = running.map(|active| &active.row.run).find(|run| run.state == RunState::Running);
                // That it had not started was told while it was late.
                let untold = !matches!(old, TaskState::Late | TaskState::Absent);
                let late = newest.filter(|run| untold && run.is_marked(RunMark::StartedLate));
                (late.map(|_| AlertKind::Late), newest.and_then(|run| run.id.clone()))
            }
            _ => (None, None),
        }
    }

    /// A run that waits past its lateness window: the problem, or when it will be one.
    fn stall(&self, entry: &Entry, now: DateTime<Utc>) -> (Option<Problem>, Option<DateTime<Utc>>) {
        let limit = |active: &Active| {
            let waiting = active.waiting_since?;
            let slot = active.row.run.slot.filter(|_| active.row.run.attempt == 0);
            let interval = slot.and_then(|slot| entry.plan.as_ref()?.interval(slot));
            let (start, lateness) = windows(&entry.definition.policy, interval);
            Some(slot.map_or(waiting, |slot| slot.max(waiting)) + start + lateness)
        };
        // A task that lets only so many of its own run at once holds itself up, not its queue.
        let running = entry
            .active
            .iter()
            .filter_map(|(_, run)| self.runs.get(run))
            .filter(|active| active.row.run.state == RunState::Running)
            .count();
        if running >= usize::try_from(entry.definition.at_once()).unwrap_or(usize::MAX) {
            return (None, None);
        }
        let first = entry.active.iter().filter_map(|(_, run)| self.runs.get(run)).filter_map(limit).min();
        match first {
            Some(at) if at <= now => {
                let name = &entry.definition.name;
                let what = match self.machine_remark(entry) {
                    Some(remark) => format!("past its lateness window: {remark}"),
                    None => "for a place past its lateness window".to_owned(),
                };
                let summary = Clean::from(format!("{name} waits {what}"));
                let problem = Problem { kind: AlertKind::QueueStalled, since: at, summary, assumed: false };
                (Some(problem), None)
            }
            other => (None, other),
        }
    }

    fn judge_alerts(&mut self, id: &TaskId, assessment: &Assessment, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get(id) else { return };
        let quiet = entry.definition.failure_action == FailureAction::Nothing;
        let bad = entry.record.bad;
        let last = entry.record.last_run.as_ref().and_then(|run| run.message.clone());
        let mut wanted: Vec<Alert> = Vec::new();
        for problem in &assessment.problems {
            let failed = problem.kind == AlertKind::Failed;
            if failed && quiet {
                continue;
            }
            let kind = match (failed, bad) {
                (true, Some(Bad::Exhausted)) => AlertKind::RetriesExhausted,
                (true, Some(Bad::Overrun)) => AlertKind::Overrun,
                (true, Some(Bad::Dead)) => AlertKind::Dead,
                _ => problem.kind,
            };
            let summary = match &last {
                Some(message) if failed => Clean::from(format!("{}: {message}", problem.summary)),
                _ => problem.summary.clone(),
            };
            if wanted.iter().all(|alert| alert.kind != kind) {
                wanted.push(alert(Some(id.clone()), None, kind, problem.since, summary));
            }
        }
        for key in self.alerts_on(Some(id)) {
            if wanted.iter().all(|alert| alert.kind != key.kind) {
                self.close_alert(&key, now);
            }
        }
        for alert in wanted {
            self.raise(alert, now);
        }
    }

    /// Keys of the open alerts on a task, or on what is no task. Keys are in order of their tasks.
    pub(super) fn alerts_on(&self, task: Option<&TaskId>) -> Vec<AlertKey> {
        let first = AlertKey { task: task.cloned(), queue: None, kind: AlertKind::ALL[0] };
        let keys = self.alerts.range(first..).map(|(key, _)| key);
        keys.take_while(|key| key.task.as_ref() == task).cloned().collect()
    }

    /// Opens an episode, or changes what the open one says.
    fn raise(&mut self, mut alert: Alert, now: DateTime<Utc>) {
        if let Some(open) = self.alerts.get(&alert.key()) {
            alert.since = open.since;
        }
        let alert = self.handled(alert, now);
        self.put_alert(alert);
    }

    pub(super) fn close_alert(&mut self, key: &AlertKey, now: DateTime<Utc>) {
        if self.alerts.remove(key).is_some() {
            self.out.writes.push(Write::AlertClosed(key.clone(), now));
            self.out.alerts.shift_remove(key);
            self.out.alerts_gone.push(key.clone());
        }
    }

    /// Queues as they are now, and the alerts on them.
    pub(super) fn judge_queues(&mut self, now: DateTime<Utc>) {
        self.tell_queues();
        let mut wanted: Vec<Alert> = Vec::new();
        for (queue, problem) in self.stalled.values() {
            match wanted.iter_mut().find(|alert| alert.queue.as_ref() == Some(queue)) {
                Some(known) if known.since <= problem.since => {}
                Some(known) => {
                    known.since = problem.since;
                    known.summary = problem.summary.clone();
                }
                None => wanted.push(alert(
                    None,
                    Some(queue.clone()),
                    AlertKind::QueueStalled,
                    problem.since,
                    problem.summary.clone(),
                )),
            }
        }
        for key in self.alerts_on(None) {
            if wanted.iter().all(|alert| alert.queue != key.queue) {
                self.close_alert(&key, now);
            }
        }
        for alert in wanted {
            self.raise(alert, now);
        }
    }
}

/// What is put away has no problems, and does not change by itself.
fn put_away(next_due: Option<DateTime<Utc>>) -> Assessment {
    let (state, problems) = (TaskState::Archived, Vec::new());
    Assessment { state, since: None, next_due, late_since: None, problems, next_change: None }
}

fn alert(
    task: Option<TaskId>,
    queue: Option<QueueName>,
    kind: AlertKind,
    since: DateTime<Utc>,
    summary: Clean,
) -> Alert {
    Alert {
        task,
        queue,
        kind,
        severity: kind.severity(),
        since,
        summary,
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    }
}

/// How long something took or takes, for a sentence.
pub(super) fn lapse(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    duration_text((to - from).num_seconds().max(0).unsigned_abs())
}
