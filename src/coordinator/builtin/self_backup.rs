//! `self-backup`: a whole copy of the database, somewhere else.

use crate::coordinator::{db, shell};

use super::{Context, Failure, LogWriter};

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let stamp = context.clock.now().format("%Y%m%dT%H%M%S%3fZ").to_string();
    let folder = context.data.join(super::super::engine::BACKUPS);
    let reader = context.reader.clone();
    let backup = shell::blocking(move || db::back_up(&reader, &folder, &stamp))
        .await
        .ok_or_else(|| Failure("the backup broke off".to_owned()))??;
    for old in &backup.deleted {
        log.line(&format!("deleted {}", old.display()))?;
    }
    log.line(&format!("{} written and verified, {} bytes", backup.path.display(), backup.bytes))?;
    Ok(())
}
