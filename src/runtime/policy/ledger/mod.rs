//! What was done about which failure, and what is to be done next. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Rule;
use crate::fleet::TaskRow;
use crate::model::{Evidence, Task, TaskId, TaskState, Verb};

/// A task that has been gone for so long is forgotten, with its count.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(7);
/// What had failed so long before it was first seen is left alone: where a
/// policy is switched on, nobody wants all of last month's failures again.
const OLD_AFTER: TimeDelta = TimeDelta::days(1);
/// So many tasks are kept account of; what fails beyond is left alone.
const MAX_TASKS: usize = 10_000;

/// The account of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    tasks: BTreeMap<TaskId, Case>,
}

/// The account of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Case {
    /// Automatic retries that were sent, ever.
    tries: u32,
    /// The failure that was seen last.
    failure: Failure,
    /// When that is to be answered.
    due: DateTime<Utc>,
    /// It has been: a retry was sent, or nothing more will be done.
    answered: bool,
    /// It has been seen to go on since: a failure after that is another one.
    moved: bool,
    /// The failure action was done.
    given_up: bool,
    /// Not among the tasks since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<DateTime<Utc>>,
}

/// What tells two failures of a task apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failure {
    /// The system's own count of retries.
    attempt: u32,
    /// The run's id, where each has its own.
    run: Option<String>,
    queued: Option<DateTime<Utc>>,
    ended: Option<DateTime<Utc>>,
}

impl Failure {
    fn of(task: &Task) -> Self {
        let run = task.last_run.as_ref();
        Self {
            attempt: task.retry.attempt,
            run: run.and_then(|run| run.id.as_ref()).map(|id| id.as_raw().to_owned()),
            queued: run.and_then(|run| run.queued),
            ended: run.and_then(|run| run.ended),
        }
    }
}

/// How a failure is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Retry,
    GiveUp,
}

/// One thing that is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send a retry.
    Retry {
        /// Of this task.
        task: TaskId,
        /// Which automatic one of it this is, from 1.
        number: u32,
    },
    /// The last retry has failed: do what follows then.
    GiveUp {
        /// This task's.
        task: TaskId,
        /// After so many automatic retries.
        tries: u32,
    },
}

/// What a look at the rows came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be done, once the ledger is on disk.
    pub steps: Vec<Step>,
    /// When there is more to do at the earliest, if nothing changes before.
    pub wake: Option<DateTime<Utc>>,
}

impl Ledger {
    /// Whether no task is kept account of.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Looks at all rows of the endpoint and enters what is to be done now: at
    /// most `room` steps. Rows that are not known first-hand decide nothing.
    pub fn decide<'a>(
        &mut self,
        rule: &Rule,
        rows: impl Iterator<Item = &'a TaskRow>,
        room: usize,
        now: DateTime<Utc>,
    ) -> Decision {
        let mut due: Vec<(DateTime<Utc>, TaskId, Answer)> = Vec::new();
        let mut listed = std::collections::BTreeSet::new();
        for row in rows {
            let id = &row.key.task;
            listed.insert(id);
            if let Some((at, answer)) = self.see(rule, row, now) {
                due.push((at, id.clone(), answer));
            }
        }
        self.forget(&listed, now);
        due.sort();
        let ready = due.partition_point(|(at, ..)| *at <= now);
        let wake = due.get(ready).map(|(at, ..)| *at);
        let ready = due.into_iter().take(ready.min(room));
        let steps = ready.filter_map(|(_, id, answer)| self.enter(id, answer)).collect();
        Decision { steps, wake }
    }

    /// Takes a row into account. When its failure is to be answered and how, if it is to be.
    fn see(&mut self, rule: &Rule, row: &TaskRow, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Answer)> {
        let task = &row.task;
        if !matches!(row.evidence, Evidence::Fresh | Evidence::Skewed) {
            return None;
        }
        if row.state != TaskState::Failing {
            if let Some(case) = self.tasks.get_mut(&task.id) {
                case.gone = None;
                case.moved = true;
            }
            return None;
        }
        let failure = Failure::of(task);
        let is_allowed = task.capabilities.refusal(Verb::Retry).is_none();
        if let Some(case) = self.tasks.get_mut(&task.id) {
            case.gone = None;
            if case.moved || case.failure != failure {
                case.due = due(rule, row, now);
                (case.failure, case.answered, case.moved) = (failure, false, false);
            }
        } else if is_allowed && self.has_room() {
            let case = Case {
                tries: 0,
                failure,
                due: due(rule, row, now),
                answered: ended(row).is_some_and(|ended| now - ended > OLD_AFTER),
                moved: false,
                given_up: false,
                gone: None,
            };
            self.tasks.insert(task.id.clone(), case);
        }
        let case = self.tasks.get(&task.id)?;
        let pending = row.receipts.iter().any(|receipt| !receipt.stage.is_final());
        if case.answered || case.given_up || pending {
            return None;
        }
        if case.tries >= rule.count {
            // There is nothing left to wait for.
            Some((case.due.min(now), Answer::GiveUp))
        } else if is_allowed {
            Some((case.due, Answer::Retry))
        } else {
            // It was tried again, and now its system allows no more.
            (case.tries > 0).then_some((case.due, Answer::GiveUp))
        }
    }

    /// Enters what is done about a failure that is due.
    fn enter(&mut self, task: TaskId, answer: Answer) -> Option<Step> {
        let case = self.tasks.get_mut(&task)?;
        case.answered = true;
        Some(match answer {
            Answer::Retry => {
                case.tries += 1;
                Step::Retry { task, number: case.tries }
            }
            Answer::GiveUp => {
                case.given_up = true;
                Step::GiveUp { task, tries: case.tries }
            }
        })
    }

    /// A retry was refused, so nothing was done: the failure stands, and what
    /// is left of the count may go to it.
    pub fn refused(&mut self, rule: &Rule, task: &TaskId, now: DateTime<Utc>) {
        if let Some(case) = self.tasks.get_mut(task) {
            case.answered = false;
            case.due = plus(now, rule.delay);
        }
    }

    fn forget(&mut self, listed: &std::collections::BTreeSet<&TaskId>, now: DateTime<Utc>) {
        self.tasks.retain(|id, case| {
            if listed.contains(id) {
                return true;
            }
            let gone = *case.gone.get_or_insert(now);
            now < plus(gone, FORGOTTEN_AFTER)
        });
    }

    /// Whether one more may be kept account of: those that have long been gone make place.
    fn has_room(&mut self) -> bool {
        if self.tasks.len() >= MAX_TASKS {
            let oldest = self.tasks.iter().filter_map(|(id, case)| Some((case.gone?, id.clone()))).min();
            if let Some((_, id)) = oldest {
                self.tasks.remove(&id);
            }
        }
        self.tasks.len() < MAX_TASKS
    }
}

/// When a failure is to be answered: so long after its end, where that is told
/// by a clock that can be compared with ours, else after it was first seen.
fn due(rule: &Rule, row: &TaskRow, now: DateTime<Utc>) -> DateTime<Utc> {
    plus(ended(row).map_or(now, |ended| ended.min(now)), rule.delay)
}

/// When it ended, by a clock that can be compared with ours.
fn ended(row: &TaskRow) -> Option<DateTime<Utc>> {
    row.last_ended().filter(|_| row.evidence == Evidence::Fresh)
}

fn plus(at: DateTime<Utc>, delta: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests;
