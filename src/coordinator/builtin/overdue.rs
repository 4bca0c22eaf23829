//! `overdue-check`: what does the database alone say?

use crate::model::{Alert, TaskState, duration_text};
use crate::schedule::{Plan, assess};

use super::{Context, Failure, LogWriter};

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let now = context.clock.now();
    let tasks = context.reader.overview().await?;
    let before = context.reader.open_alerts().await?;
    let mut overdue = 0;
    for task in &tasks {
        let plan = match &task.schedule {
            None => None,
            Some(schedule) => match Plan::new(schedule) {
                Ok(plan) => Some(plan),
                Err(error) => {
                    log.line(&format!("{}: its schedule can't be read: {error}", task.id))?;
                    continue;
                }
            },
        };
        let verdict = assess(&task.facts, plan.as_ref(), false, &task.policy, task.paused, now);
        if !matches!(verdict.state, TaskState::Late | TaskState::Absent) {
            continue;
        }
        overdue += 1;
        let due = verdict.late_since.or(verdict.next_due).unwrap_or(now);
        let by = duration_text((now - due).num_seconds().max(0).unsigned_abs());
        log.line(&format!("{}: {}, was due {}, {by} ago", task.id, verdict.state, due.format("%F %T UTC")))?;
    }
    // What the engine holds in memory is judged anew: if it missed something, it opens now.
    context.doubt.ask().await.map_err(|()| Failure("the engine is ending".to_owned()))?;
    let after = context.reader.open_alerts().await?;
    let opened: Vec<&Alert> =
        after.iter().filter(|alert| before.iter().all(|b| b.key() != alert.key())).collect();
    for alert in &opened {
        let target = alert.task.as_ref().map(ToString::to_string);
        let target = target.or_else(|| alert.queue.as_ref().map(|queue| format!("queue {queue}")));
        log.line(&format!("opened: {} {}: {}", alert.kind, target.unwrap_or_default(), alert.summary))?;
    }
    let count = tasks.len();
    log.line(&format!("{count} tasks checked, {overdue} overdue, {} alerts opened", opened.len()))?;
    Ok(())
}
