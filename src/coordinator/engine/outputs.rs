//! Output of runs that are carried out elsewhere, as it comes with pings and
//! reports: into their logs, and on disk before whoever sent it is answered.

use tokio::sync::oneshot;

use crate::coordinator::domain::Noted;
use crate::coordinator::exec::Logs;
use crate::coordinator::shell;
use crate::model::{RunId, TaskId};

use super::Refusal;
use super::message::Output;

/// Whoever told something waits for this.
pub(super) type Told = oneshot::Sender<Result<Noted, Refusal>>;

/// Writes output that came from elsewhere into the logs of its runs. That a run
/// ended counts for more than its words: what can't be written is only told of.
/// Gives whose logs there is more in.
pub(super) fn keep(logs: &Logs, outputs: Vec<(TaskId, RunId, Output)>) -> Vec<(TaskId, RunId)> {
    let mut of = Vec::with_capacity(outputs.len());
    for (task, run, output) in outputs {
        let kept = match output {
            Output::More(bytes) => logs.add(&task, &run, &bytes),
            Output::All(bytes) => logs.replace(&task, &run, &bytes),
        };
        if let Err(error) = kept {
            tracing::warn!(%task, %run, %error, "output can't be kept");
        }
        of.push((task, run));
    }
    of
}

/// Answers those whose output was written once it is on disk: nobody else waits for that.
pub(super) fn acknowledge(logs: Logs, of: Vec<(TaskId, RunId)>, kept: Vec<(Told, Result<Noted, Refusal>)>) {
    shell::spawn(async move {
        if let Some(Err(error)) = shell::blocking(move || logs.sync(&of)).await {
            tracing::warn!(%error, "output that came from elsewhere may be lost in a power cut");
        }
        for (reply, result) in kept {
            drop(reply.send(result));
        }
    });
}
