//! `overdue-check`: what does the database alone say?

use chrono::{DateTime, Utc};

use crate::coordinator::db::Overview;
use crate::model::{Alert, AlertKind, Clean, TaskId, TaskState, duration_text};
use crate::schedule::{BadSchedule, Blackouts, Plan, assess};

use super::{Context, Failure, LogWriter};

/// What the database says of a task.
enum Finding {
    /// It is overdue.
    Overdue {
        task: TaskId,
        state: TaskState,
        /// The slot that it counts from.
        due: DateTime<Utc>,
    },
    /// Its schedule can't be read.
    Unreadable(TaskId, Clean),
}

impl Finding {
    const fn overdue(&self) -> Option<&TaskId> {
        match self {
            Self::Overdue { task, .. } => Some(task),
            Self::Unreadable(..) => None,
        }
    }
}

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let now = context.clock.now();
    let (count, found) = context.reader.overview(move |task| judge(task, now)).await?;
    let before = context.reader.open_alerts().await?;
    for finding in &found {
        match finding {
            Finding::Unreadable(task, why) => {
                log.line(&format!("{task}: its schedule can't be read: {why}"))?;
            }
            Finding::Overdue { task, state, due } => {
                let by = duration_text((now - *due).num_seconds().max(0).unsigned_abs());
                log.line(&format!("{task}: {state}, was due {}, {by} ago", due.format("%F %T UTC")))?;
            }
        }
    }
    // What the engine holds in memory is judged anew, and what it holds open
    // is on disk after that: if anything was missed, it opens now.
    context.engine.doubt().await.map_err(|()| Failure("the engine is ending".to_owned()))?;
    let (_, still) = context.reader.overview(move |task| judge(task, now)).await?;
    let after = context.reader.open_alerts().await?;
    let opened: Vec<&Alert> =
        after.iter().filter(|alert| before.iter().all(|b| b.key() != alert.key())).collect();
    for alert in &opened {
        let target = alert.task.as_ref().map(ToString::to_string);
        let target = target.or_else(|| alert.queue.as_ref().map(|queue| format!("queue {queue}")));
        log.line(&format!("opened: {} {}: {}", alert.kind, target.unwrap_or_default(), alert.summary))?;
    }
    let overdue = still.iter().filter_map(Finding::overdue);
    let silent: Vec<String> = overdue
        .filter(|task| !after.iter().any(|alert| tells(alert, task)))
        .map(ToString::to_string)
        .collect();
    if !silent.is_empty() {
        return Err(Failure(format!(
            "overdue by the database, and no alert opened: {}; restart the coordinator",
            silent.join(", ")
        )));
    }
    let late = found.iter().filter_map(Finding::overdue).count();
    log.line(&format!("{count} tasks checked, {late} overdue, {} alerts opened", opened.len()))?;
    Ok(())
}

fn tells(alert: &Alert, task: &TaskId) -> bool {
    alert.task.as_ref() == Some(task) && matches!(alert.kind, AlertKind::Late | AlertKind::Absent)
}

/// Whether there is anything to say of a task.
fn judge(task: Overview, now: DateTime<Utc>) -> Option<Finding> {
    let read = |schedule| Ok(Plan::new(schedule)?.avoiding(Blackouts::new(&task.blackout)?));
    let plan = match task.schedule.as_ref().map(read).transpose() {
        Ok(plan) => plan,
        Err(BadSchedule(error)) => return Some(Finding::Unreadable(task.id, error)),
    };
    let verdict = assess(&task.facts, plan.as_ref(), false, &task.policy, task.paused, now);
    let due = verdict.late_since.or(verdict.next_due).unwrap_or(now);
    let is_overdue = matches!(verdict.state, TaskState::Late | TaskState::Absent);
    is_overdue.then_some(Finding::Overdue { task: task.id, state: verdict.state, due })
}
