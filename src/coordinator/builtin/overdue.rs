//! `overdue-check`: what does the database alone say?

use chrono::{DateTime, Utc};

use crate::coordinator::db::Overview;
use crate::model::{Alert, AlertKind, Clean, TaskId, TaskState, duration_text};
use crate::schedule::{BadSchedule, Blackouts, Plan, assess};

use super::{Context, Failure, LogWriter};

/// What the database says of a task that is overdue.
struct Overdue {
    task: TaskId,
    state: TaskState,
    /// The slot that it counts from.
    due: DateTime<Utc>,
}

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let now = context.clock.now();
    let tasks = context.reader.overview().await?;
    let before = context.reader.open_alerts().await?;
    let (overdue, unreadable) = judge(&tasks, now);
    for (task, why) in &unreadable {
        log.line(&format!("{task}: its schedule can't be read: {why}"))?;
    }
    for Overdue { task, state, due } in &overdue {
        let by = duration_text((now - *due).num_seconds().max(0).unsigned_abs());
        log.line(&format!("{task}: {state}, was due {}, {by} ago", due.format("%F %T UTC")))?;
    }
    // What the engine holds in memory is judged anew, and what it holds open
    // is on disk after that: if anything was missed, it opens now.
    context.engine.doubt().await.map_err(|()| Failure("the engine is ending".to_owned()))?;
    let still_overdue = judge(&context.reader.overview().await?, now).0;
    let after = context.reader.open_alerts().await?;
    let opened: Vec<&Alert> =
        after.iter().filter(|alert| before.iter().all(|b| b.key() != alert.key())).collect();
    for alert in &opened {
        let target = alert.task.as_ref().map(ToString::to_string);
        let target = target.or_else(|| alert.queue.as_ref().map(|queue| format!("queue {queue}")));
        log.line(&format!("opened: {} {}: {}", alert.kind, target.unwrap_or_default(), alert.summary))?;
    }
    let silent: Vec<String> = still_overdue
        .iter()
        .filter(|overdue| !after.iter().any(|alert| tells(alert, &overdue.task)))
        .map(|overdue| overdue.task.to_string())
        .collect();
    if !silent.is_empty() {
        return Err(Failure(format!(
            "overdue by the database, and no alert opened: {}; restart the coordinator",
            silent.join(", ")
        )));
    }
    let (count, late) = (tasks.len(), overdue.len());
    log.line(&format!("{count} tasks checked, {late} overdue, {} alerts opened", opened.len()))?;
    Ok(())
}

fn tells(alert: &Alert, task: &TaskId) -> bool {
    alert.task.as_ref() == Some(task) && matches!(alert.kind, AlertKind::Late | AlertKind::Absent)
}

/// The tasks that are overdue, and those whose schedule can't be read.
fn judge(tasks: &[Overview], now: DateTime<Utc>) -> (Vec<Overdue>, Vec<(&TaskId, Clean)>) {
    let (mut overdue, mut unreadable) = (Vec::new(), Vec::new());
    for task in tasks {
        let read = |schedule| Ok(Plan::new(schedule)?.avoiding(Blackouts::new(&task.blackout)?));
        let plan = match task.schedule.as_ref().map(read).transpose() {
            Ok(plan) => plan,
            Err(BadSchedule(error)) => {
                unreadable.push((&task.id, error));
                continue;
            }
        };
        let verdict = assess(&task.facts, plan.as_ref(), false, &task.policy, task.paused, now);
        if matches!(verdict.state, TaskState::Late | TaskState::Absent) {
            let due = verdict.late_since.or(verdict.next_due).unwrap_or(now);
            overdue.push(Overdue { task: task.id.clone(), state: verdict.state, due });
        }
    }
    (overdue, unreadable)
}
