//! `audit-log-cleanup`: what is past its retention goes, of the audit log and
//! of the history beside it.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::coordinator::db::{DbError, History, KEPT, MOST, Owner, Verdict};
use crate::coordinator::shell;

use super::{Context, Failure, LogWriter};

/// How long rows are kept.
const RETENTION: TimeDelta = TimeDelta::days(90);

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let before = context.clock.now() - RETENTION;
    let before_ms = before.timestamp_millis();
    log.line(&format!(
        "what is from before {} goes; of runs and flips each task's newest {KEPT} stay, and at most {MOST} however \
         young, of closed alerts as many in all",
        before.format("%F %T UTC")
    ))?;
    let verdict = context.reader.verify_audit().await?;
    let mut all = 0;
    if let Verdict::Broken { .. } = verdict {
        log.line("audit log: none deleted: something was done to it")?;
    } else {
        all = context.writer.clean_audit(before_ms).await.map_err(failed)?;
        log.line(&format!("audit log: {all} deleted"))?;
    }
    let retired = context.engine.retire_one_offs(before).await;
    let retired = retired.map_err(|()| Failure("the engine is ending".to_owned()))?;
    log.line(&format!("one-off tasks: {retired} taken out"))?;
    for table in History::ALL {
        let mut deleted = 0;
        for owner in context.reader.owners(table).await? {
            deleted += clean(context, table, &owner, before_ms).await?;
        }
        let with = if table == History::Runs { ", with their logs" } else { "" };
        log.line(&format!("{}: {deleted} deleted{with}", table.words()))?;
        all += deleted;
    }
    context.writer.forget().await.map_err(failed)?;
    let rows = if all == 1 { "row" } else { "rows" };
    log.line(&format!("{all} {rows} deleted"))?;
    match verdict {
        Verdict::Whole { .. } => Ok(()),
        Verdict::Broken { row, why, .. } => {
            let place = row.map_or_else(|| "its end".to_owned(), |row| format!("row {row}"));
            Err(Failure(format!("the audit log is broken at {place}: {why}; none of it was deleted")))
        }
    }
}

/// Deletes what is to go, piece by piece. Gives how many rows.
async fn clean(context: &Context, table: History, owner: &Owner, before_ms: i64) -> Result<u64, Failure> {
    let mut deleted = 0;
    while let Some(old) = context.reader.old(table, owner.clone(), before_ms).await? {
        // Logs first: if this breaks off, the rows lead to what is left of them.
        let (logs, runs) = (context.logs.clone(), old.runs.clone());
        shell::blocking(move || logs.remove(&runs))
            .await
            .ok_or_else(|| Failure("the cleanup broke off".to_owned()))?
            .map_err(|error| Failure(format!("a log can't be deleted: {error}")))?;
        let count = context.writer.delete(old).await.map_err(failed)?;
        if count == 0 {
            return Err(Failure(format!("{} that are to go do not go", table.words())));
        }
        deleted += count;
    }
    Ok(deleted)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn failed(error: Arc<DbError>) -> Failure {
    Failure(error.to_string())
}
