//! `self-backup`: a whole copy of the database, and of the vault beside it, somewhere else.

use crate::coordinator::{db, shell};
use crate::vault;

use super::{Context, Failure, LogWriter};

pub(super) async fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let now = context.clock.now();
    let folder = context.data.join(super::super::engine::BACKUPS);
    let (reader, vault) = (context.reader.clone(), context.data.join(vault::FILE));
    let backup = shell::blocking(move || db::back_up(&reader, &vault, &folder, now))
        .await
        .ok_or_else(|| Failure("the backup broke off".to_owned()))??;
    for old in &backup.deleted {
        log.line(&format!("deleted {}", old.display()))?;
    }
    if let Some(vault) = &backup.vault {
        log.line(&format!("{} written, as encrypted as the vault is; its key is not here", vault.display()))?;
    }
    log.line(&format!("{} written and verified, {} bytes", backup.path.display(), backup.bytes))?;
    Ok(())
}
