//! Calls that are refused before they come to the engine's mailbox: they are in
//! the audit log all the same.

use tokio::sync::oneshot;

use crate::coordinator::domain::Audit;
use crate::model::Clean;

use super::message::Message;
use super::{Actor, Engine, Refusal, closed};

impl Engine {
    /// Writes a call that was refused into the audit log. Gives the refusal back.
    pub(super) async fn refused(
        &self,
        action: &'static str,
        target: &str,
        actor: &Actor,
        refusal: Refusal,
    ) -> Refusal {
        let noted = self.note_refused(action, target, "", actor, Clean::from(refusal.to_string()));
        match noted.await {
            Ok(()) => refusal,
            Err(storage) => storage,
        }
    }

    /// Writes a call that was refused into the audit log; returns once it is on disk.
    ///
    /// # Errors
    /// It can't be written.
    pub(in crate::coordinator) async fn note_refused(
        &self,
        action: &'static str,
        target: &str,
        detail: &str,
        actor: &Actor,
        why: Clean,
    ) -> Result<(), Refusal> {
        let (reply, done) = oneshot::channel();
        let audit = Audit {
            // The engine's own clock says when.
            at: chrono::DateTime::UNIX_EPOCH,
            actor: actor.name.clone(),
            from: actor.from.clone(),
            action,
            target: Clean::line(target),
            detail: Clean::line(detail),
            outcome: why,
        };
        self.mailbox.send(Message::Note { audit: Box::new(audit), reply }).await.map_err(|_| closed())?;
        done.await.map_err(|_| closed())?
    }
}
