//! What a filter looks at: one view of every sort of row.

use chrono::{DateTime, Utc};

use super::term::Flag;
use super::texts::Texts;
use crate::fleet::rows::{AlertRow, EndpointRow, QueueRow, RunRow, TaskContext, TaskRow};
use crate::model::{
    AlertKind, Clean, EndpointName, Evidence, Labels, Priority, QueueName, Severity, TaskId, TaskState,
};

/// One row, as far as filters ask.
#[derive(Debug, Clone)]
pub(in crate::fleet) struct Subject {
    pub(super) texts: Texts,
    pub labels: Option<Labels>,
    /// Words that are its state: an alert's kind, and the task state that it is about.
    pub states: [Option<&'static str>; 2],
    pub kind: Option<&'static str>,
    pub severity: Option<Severity>,
    pub evidence: Option<Evidence>,
    pub priority: Option<Priority>,
    pub ended: Option<DateTime<Utc>>,
    pub late_from: Option<DateTime<Utc>>,
    pub flags: u8,
}

impl Subject {
    fn new(texts: Texts) -> Self {
        Self {
            texts,
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

    /// Of something that is about a task; `machine` is told more exactly than by the task.
    fn about(
        name: Option<&str>,
        id: Option<&str>,
        endpoint: &EndpointName,
        machine: Option<&Clean>,
        task: &TaskContext,
    ) -> Self {
        let machine = machine.or(task.machine.as_ref());
        let texts = Texts::of([
            name,
            id,
            Some(endpoint.as_raw()),
            task.team.as_deref(),
            machine.map(Clean::as_str),
            None,
            None,
        ]);
        Self { labels: Some(Labels::clone(&task.labels)), priority: task.priority, ..Self::new(texts) }
    }

    pub fn task(row: &TaskRow) -> Self {
        let assumed = row.task.schedule.as_ref().is_some_and(|schedule| schedule.assumed);
        let texts = Texts::of([
            Some(&row.task.name),
            Some(row.key.task.as_raw()),
            Some(row.key.endpoint.as_raw()),
            row.team().map(Clean::as_str),
            row.machine().map(Clean::as_str),
            row.task.class.as_deref(),
            row.task.alias.as_deref(),
        ]);
        Self {
            labels: Some(Labels::clone(&row.labels)),
            states: [Some(row.state.word()), None],
            evidence: Some(row.evidence),
            priority: row.task.priority,
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
            ..Self::new(texts)
        }
    }

    pub fn run(row: &RunRow) -> Self {
        let run = &row.run;
        let (name, id) = (Some(row.task_name.as_str()), Some(run.task.as_raw()));
        let about = Self::about(name, id, &row.endpoint, run.machine.as_ref(), &row.task);
        Self {
            states: [Some(run.state.word()), None],
            priority: run.priority.or(about.priority),
            ended: run.ended,
            flags: flags([(Flag::Problem, run.state.is_bad())]),
            ..about
        }
    }

    pub fn queue(row: &QueueRow) -> Self {
        let name = Some(row.queue.name.as_raw());
        let texts = Texts::of([name, name, Some(row.endpoint.as_raw()), None, None, None, None]);
        Self { evidence: Some(row.evidence), ..Self::new(texts) }
    }

    pub fn alert(row: &AlertRow, now: DateTime<Utc>) -> Self {
        let alert = &row.alert;
        let queue = || alert.queue.as_ref().map(QueueName::as_raw);
        let id = alert.task.as_ref().map(TaskId::as_raw).or_else(queue);
        let name = row.task_name.as_deref().or(id);
        let is_late = matches!(alert.kind, AlertKind::Late | AlertKind::Absent);
        Self {
            states: [Some(alert.kind.word()), state_of(alert.kind).map(TaskState::word)],
            kind: Some(alert.kind.word()),
            severity: Some(alert.severity),
            evidence: Some(row.evidence),
            late_from: is_late.then_some(alert.since),
            flags: flags([
                (Flag::Problem, true),
                (Flag::Acknowledged, alert.acknowledged_by.is_some()),
                (Flag::Silenced, row.is_silenced(now)),
            ]),
            ..Self::about(name, id, &row.endpoint, None, &row.task)
        }
    }

    pub fn endpoint(row: &EndpointRow) -> Self {
        let about = Self::about(None, None, &row.spec.name, None, &TaskContext::of_endpoint(row));
        Self {
            states: [Some(row.health.word()), None],
            kind: Some(row.spec.kind.word()),
            evidence: Some(row.evidence),
            flags: flags([(Flag::Pending, !row.receipts.is_empty())]),
            ..about
        }
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
