//! What a filter looks at: one view of every sort of row.

use chrono::{DateTime, Utc};

use super::term::{Field, Flag};
use crate::fleet::rows::{AlertRow, EndpointRow, QueueRow, RunRow, TaskContext, TaskRow};
use crate::model::{AlertKind, Evidence, Labels, Severity, TaskState};

/// One row, as far as filters ask.
pub(super) struct Subject<'a> {
    pub now: DateTime<Utc>,
    endpoint: &'a str,
    id: Option<&'a str>,
    name: Option<&'a str>,
    team: Option<&'a str>,
    machine: Option<&'a str>,
    pub labels: Option<&'a Labels>,
    /// Words that are its state: an alert's kind, and the task state that it is about.
    pub states: [Option<&'static str>; 2],
    pub kind: Option<&'static str>,
    pub severity: Option<Severity>,
    pub evidence: Option<Evidence>,
    pub priority: Option<u8>,
    pub ended: Option<DateTime<Utc>>,
    pub late_from: Option<DateTime<Utc>>,
    pub flags: u8,
}

impl<'a> Subject<'a> {
    fn of_endpoint(endpoint: &'a str, now: DateTime<Utc>) -> Self {
        Self {
            now,
            endpoint,
            id: None,
            name: None,
            team: None,
            machine: None,
            labels: None,
            states: [None; 2],
            kind: None,
            severity: None,
            evidence: None,
            priority: None,
            ended: None,
            late_from: None,
            flags: 0,
        }
    }

    fn with_task(mut self, context: &'a TaskContext) -> Self {
        self.team = context.team.as_deref();
        self.machine = context.machine.as_deref();
        self.labels = Some(&context.labels);
        self.priority = context.priority.map(crate::model::Priority::level);
        self
    }

    pub fn task(row: &'a TaskRow, now: DateTime<Utc>) -> Self {
        let assumed = row.task.schedule.as_ref().is_some_and(|schedule| schedule.assumed);
        Self {
            id: Some(row.key.task.as_raw()),
            name: Some(&row.task.name),
            team: row.team().map(|team| &**team),
            machine: row.machine().map(|machine| &**machine),
            labels: Some(&row.labels),
            states: [Some(row.state.word()), None],
            evidence: Some(row.evidence),
            priority: row.task.priority.map(crate::model::Priority::level),
            ended: row.last_ended(),
            late_from: row.late_from(),
            flags: flags([
                (Flag::Paused, row.task.paused),
                (Flag::Archived, row.task.archived),
                (Flag::Problem, row.state.is_problem()),
                (Flag::Unverified, row.unverified_late_since.is_some()),
                (Flag::Pending, !row.receipts.is_empty()),
                (Flag::Assumed, assumed),
            ]),
            ..Self::of_endpoint(row.key.endpoint.as_raw(), now)
        }
    }

    pub fn run(row: &'a RunRow, now: DateTime<Utc>) -> Self {
        let run = &row.run;
        let mut subject = Self::of_endpoint(row.endpoint.as_raw(), now).with_task(&row.task);
        subject.id = Some(run.task.as_raw());
        subject.name = Some(&row.task_name);
        subject.machine = run.machine.as_deref().or(subject.machine);
        subject.states = [Some(run.state.word()), None];
        subject.priority = run.priority.map(crate::model::Priority::level).or(subject.priority);
        subject.ended = run.ended;
        subject.flags = flags([(Flag::Problem, run.state.is_bad())]);
        subject
    }

    pub fn queue(row: &'a QueueRow, now: DateTime<Utc>) -> Self {
        Self {
            id: Some(row.queue.name.as_raw()),
            name: Some(row.queue.name.as_raw()),
            evidence: Some(row.evidence),
            ..Self::of_endpoint(row.endpoint.as_raw(), now)
        }
    }

    pub fn alert(row: &'a AlertRow, now: DateTime<Utc>) -> Self {
        let alert = &row.alert;
        let mut subject = Self::of_endpoint(row.endpoint.as_raw(), now).with_task(&row.task);
        subject.id = alert
            .task
            .as_ref()
            .map(crate::model::TaskId::as_raw)
            .or_else(|| alert.queue.as_ref().map(crate::model::QueueName::as_raw));
        subject.name = row.task_name.as_deref().or(subject.id);
        subject.states = [Some(alert.kind.word()), state_of(alert.kind).map(TaskState::word)];
        subject.kind = Some(alert.kind.word());
        subject.severity = Some(alert.severity);
        subject.evidence = Some(row.evidence);
        if matches!(alert.kind, AlertKind::Late | AlertKind::Absent) {
            subject.late_from = Some(alert.since);
        }
        subject.flags = flags([
            (Flag::Problem, true),
            (Flag::Acknowledged, alert.acknowledged_by.is_some()),
            (Flag::Silenced, row.is_silenced(now)),
        ]);
        subject
    }

    pub fn endpoint(row: &'a EndpointRow, now: DateTime<Utc>) -> Self {
        Self {
            team: row.spec.labels.get("team").map(|team| &**team),
            machine: row.spec.labels.get("machine").map(|machine| &**machine),
            labels: Some(&row.spec.labels),
            states: [Some(row.health.word()), None],
            kind: Some(row.spec.kind.word()),
            evidence: Some(row.evidence),
            flags: flags([(Flag::Pending, !row.receipts.is_empty())]),
            ..Self::of_endpoint(row.spec.name.as_raw(), now)
        }
    }

    /// One text of it.
    pub const fn text(&self, field: Field) -> Option<&'a str> {
        match field {
            Field::Name => self.name,
            Field::Id => self.id,
            Field::Endpoint => Some(self.endpoint),
            Field::Team => self.team,
            Field::Machine => self.machine,
        }
    }

    /// Every text that a bare word is looked for in.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> {
        let id = if self.id == self.name { None } else { self.id };
        [self.name, id, Some(self.endpoint), self.team, self.machine].into_iter().flatten()
    }
}

fn flags<const N: usize>(flags: [(Flag, bool); N]) -> u8 {
    flags.into_iter().filter(|(_, set)| *set).fold(0, |bits, (flag, _)| bits | flag.bit())
}

/// The task state that an alert of this kind is about: so `state:failing` finds the alerts of failing tasks.
const fn state_of(kind: AlertKind) -> Option<TaskState> {
    match kind {
        AlertKind::Late => Some(TaskState::Late),
        AlertKind::Absent => Some(TaskState::Absent),
        AlertKind::Failed | AlertKind::RetriesExhausted => Some(TaskState::Failing),
        AlertKind::Overrun | AlertKind::Dead => Some(TaskState::Running),
        AlertKind::QueueStalled => Some(TaskState::Queued),
        AlertKind::TooOften | AlertKind::SchedulerSilent | AlertKind::EndpointDown | AlertKind::ClockSkew => {
            None
        }
    }
}
