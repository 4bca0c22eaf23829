//! `audit-log-cleanup`: what is past its retention goes.

use chrono::TimeDelta;

use super::{Context, Failure, LogWriter};

/// How long rows of the audit log are kept.
const RETENTION: TimeDelta = TimeDelta::days(90);

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let before = context.clock.now() - RETENTION;
    let deleted = context
        .writer
        .clean_audit(before.timestamp_millis())
        .await
        .map_err(|error| Failure(error.to_string()))?;
    let rows = if deleted == 1 { "row" } else { "rows" };
    log.line(&format!("{deleted} {rows} from before {} deleted", before.format("%F %T UTC")))?;
    Ok(())
}
