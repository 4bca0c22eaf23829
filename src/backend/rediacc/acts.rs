//! The calls that change something. Each is sent once, whatever becomes of its answer.

use super::session::Purpose;
use super::wire::{self, Row, count, text};
use super::{Rediacc, convert, offers};
use crate::backend::{Accepted, BackendError, Call};
use crate::model::{Clean, Command, Deed, RunId, Verb};

impl Rediacc {
    /// Sends one call.
    pub(super) async fn act(&self, call: &Call) -> Result<Accepted, BackendError> {
        // What these two are sent as depends on the generation.
        let depends = call.deed == Verb::Reprioritise || call.deed == Command::RediaccCreate;
        if depends && self.memory().naming.is_none() {
            self.learn_naming().await?;
        }
        let request = offers::request(call, self.memory().naming)?;
        if call.deed == Command::RediaccRevoke {
            self.session.revoke().await?;
            let message = "vigie's own session is revoked: to go on, configure a fresh token, or start vigie \
                           again where it logs in";
            return Ok(Accepted { message: Some(message.into()), run: None, observed: true });
        }
        let body = request.full_body()?;
        // Whatever comes of it, and even if nobody waits for it: the next poll looks at everything.
        let _looked_at = Acting(self);
        let reply = self.session.call(request.procedure, body, Purpose::Act).await;
        let reply = reply.map_err(|error| plainer(error, call.deed))?;
        let answered = |column: &str| reply.sets().iter().flatten().find(|row| row.contains_key(column));
        let empty = Row::new();
        match call.deed {
            Deed::Verb(Verb::Cancel) => cancelled(answered("newStatus").unwrap_or(&empty)),
            Deed::Verb(Verb::Retry) => Ok(retried(answered("newRetryCount").unwrap_or(&empty))),
            Deed::Command(Command::RediaccCreate) => created(reply.sets()),
            Deed::Command(Command::RediaccDelete) => {
                if let Some(task) = &call.task {
                    self.memory().delete(task);
                }
                Ok(Accepted { message: Some("deleted".into()), run: None, observed: false })
            }
            _ => Ok(Accepted::default()),
        }
    }
}

/// While it lives and when it ends, something has been done from here.
struct Acting<'a>(&'a Rediacc);

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        self.0.memory().act();
    }
}

/// What only a bridge may do, and what the state forbids, under their own names.
fn plainer(error: BackendError, deed: Deed) -> BackendError {
    let words = match &error {
        BackendError::Refused { message, .. } | BackendError::Server { message, .. } => message.clone(),
        BackendError::Failed(words) | BackendError::Unauthorised(words) | BackendError::Conflict(words) => {
            words.clone()
        }
        _ => return error,
    };
    let lower = words.to_lowercase();
    if lower.contains("only bridge tokens") {
        return BackendError::Forbidden(words);
    }
    let by_state = lower.contains("can only retry")
        || (deed == Verb::Cancel
            && (lower.contains("cannot be cancel") || lower.contains("can't be cancel")));
    if by_state { BackendError::Conflict(words) } else { error }
}

/// Done at once for what waited; what runs has to be stopped by its bridge.
fn cancelled(row: &Row) -> Result<Accepted, BackendError> {
    let (before, after) = (text(row, "previousStatus"), text(row, "newStatus"));
    let message = match (&before, &after) {
        (Some(before), Some(after)) if before == after => {
            return Err(BackendError::Conflict(Clean::from(format!("nothing changed: it is {after}"))));
        }
        (Some(before), Some(after)) => Some(Clean::from(format!("{before} → {after}"))),
        _ => text(row, "result"),
    };
    Ok(Accepted { message, run: None, observed: after.is_some_and(|after| after == "CANCELLED") })
}

fn retried(row: &Row) -> Accepted {
    let retries = count(row, "newRetryCount");
    let message = retries.map(|n| format!("waits again: retry {n} of {}", convert::MAX_RETRIES).into());
    Accepted { message: message.or_else(|| text(row, "result")), run: None, observed: retries.is_some() }
}

/// The new item's id; never the bridge's credential that comes with it.
fn created(sets: &[Vec<Row>]) -> Result<Accepted, BackendError> {
    let row = wire::set(sets, &["taskId"], &[]).first();
    let Some((row, id)) = row.and_then(|row| Some((row, wire::raw(row, "taskId")?))) else {
        return Err(BackendError::Protocol {
            path: "/StoredProcedure/CreateQueueItem".into(),
            detail: "the answer does not name the new item".into(),
        });
    };
    let told = [
        Some(format!("created {id}")),
        text(row, "status").map(|status| status.to_string()),
        text(row, "priority").map(|priority| format!("priority {priority}")),
        text(row, "highPriorityInfo").map(|info| info.to_string()),
    ];
    let message = told.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Ok(Accepted { message: Some(Clean::from(message)), run: Some(RunId::new(id)), observed: false })
}
