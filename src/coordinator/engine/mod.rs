//! The engine: the one owner of the coordinator's state. Every change goes
//! through it, is on disk before it is answered, and is seen by everybody who
//! waits for changes.

mod actor;
mod asked;
mod beside;
mod carry_out;
mod file;
mod handling;
mod listed;
mod message;
mod outputs;
mod reach;
mod refused;
mod secrets;
mod shared;
mod sight;
mod start;
#[cfg(test)]
mod tests;
mod trail;
#[cfg(test)]
mod troubles;
mod view;
mod watch_file;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::{Clean, Flip, Priority, Run, RunId, RunState, Scope, TaskId, Verb};

use super::db::Reader;
use super::domain::{Heard, Sign, Via, Whose};
use super::exec::Logs;
use super::metrics::Metrics;
use super::{Options, SharedClock, shell, tasks_file};
use crate::wire::{AuditEnds, AuditRow, Report, Reported, Submission};

use message::{Call, Message, Output, Signal};
use shared::Shared;

pub use super::domain::Noted;
pub use asked::{Actor, Ping, Refusal, ReloadError, RunFilter, StartError};
pub use listed::{Listed, Values};
pub use message::Inside;
pub use sight::Sight;
use sight::within_scope;
pub use view::{ChangesSince, HealthView, LogPiece, View};

/// The folder of logs in the data directory.
pub(super) const LOGS: &str = "logs";
/// The folder of supervisors' records in the data directory.
pub(super) const RUNS: &str = "runs";
/// The folder of backups in the data directory.
pub(super) const BACKUPS: &str = "backups";

/// Output of a report that is kept, in bytes: the newest.
const REPORTED_OUTPUT: usize = 64 * 1024;
/// The longest last line that is told of a run, in characters.
const LAST_LINE: usize = 400;

/// The last words of some output: its last line that is not empty.
fn last_line(output: &[u8]) -> Option<Clean> {
    let line = output.rsplit(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty())?;
    let text: String = String::from_utf8_lossy(line.trim_ascii()).chars().take(LAST_LINE).collect();
    Some(Clean::line(&text)).filter(|clean| !clean.is_empty())
}

/// Talks to the engine. Cheap to clone. Every mutating call returns once it is on disk.
#[derive(Debug, Clone)]
pub struct Engine {
    mailbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    reader: Reader,
    logs: Logs,
    metrics: Metrics,
}

impl Engine {
    /// Opens the database under `options.data`, migrates, recovers what a
    /// killed coordinator left, loads tasks and starts scheduling.
    ///
    /// # Errors
    /// A sentence: what could not be opened, where, what to do.
    pub async fn start(options: Options, clock: SharedClock) -> Result<Self, StartError> {
        start::start(options, clock).await
    }

    /// The current state.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// Announces each new revision.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.shared.revisions()
    }

    /// What changed after `revision`; `None` when that is no longer known: read everything.
    #[must_use]
    pub fn since(&self, revision: u64) -> Option<ChangesSince> {
        self.shared.since(revision, &Scope::All)
    }

    /// For the duplistatus surface.
    #[must_use]
    pub fn health(&self) -> Arc<HealthView> {
        self.shared.health()
    }

    /// Starts (or queues) a run.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn trigger(
        &self,
        task: &TaskId,
        priority: Option<Priority>,
        actor: Actor,
    ) -> Result<Run, Refusal> {
        self.call_for_run(Call::Trigger { task: task.clone(), priority }, actor).await
    }

    /// Takes a ping: what it tells counts now.
    ///
    /// # Errors
    /// No task has the key, or it could not be written.
    pub async fn ping(&self, ping: Ping) -> Result<Noted, Refusal> {
        let Ping { key, sign, rid, at, output } = ping;
        let known = match &rid {
            Some(rid) => self.reader.run_of_rid(None, rid).await.map_err(unreadable)?,
            None => None,
        };
        let words = last_line(&output);
        let heard = Heard { sign, via: Via::Ping, rid, at, words, machine: None, known: known.map(Box::new) };
        let whose = Whose::Key(key);
        self.signal(Signal { whose, scope: Scope::All, heard, output: Output::More(output) }).await
    }

    /// Takes a report, which has its own time.
    ///
    /// # Errors
    /// No such task, by its id or its name; its runs are only carried out here, or it could not be written.
    pub async fn report(&self, task: &TaskId, report: Report, actor: Actor) -> Result<Noted, Refusal> {
        let Report { rid, what, at, output, machine } = report;
        let task = &self.seen_by(&actor).named(task)?;
        let known = self.reader.run_of_rid(Some(task), &rid).await.map_err(unreadable)?;
        let sign = match what {
            Reported::Started => Sign::Started,
            Reported::Beat => Sign::Beat,
            Reported::Ended { exit_code } => Sign::Ended { good: exit_code == 0, exit_code: Some(exit_code) },
        };
        let mut output = output.unwrap_or_default().into_bytes();
        output.drain(..output.len().saturating_sub(REPORTED_OUTPUT));
        let words = last_line(&output);
        let known = known.map(Box::new);
        let heard = Heard { sign, via: Via::Report, rid: Some(rid), at, words, machine, known };
        let whose = Whose::Task(task.clone());
        self.signal(Signal { whose, scope: actor.scope, heard, output: Output::All(output) }).await
    }

    async fn signal(&self, signal: Signal) -> Result<Noted, Refusal> {
        let (reply, done) = oneshot::channel();
        let signal = Box::new(signal);
        self.mailbox.send(Message::Signal { signal, reply }).await.map_err(|_| closed())?;
        done.await.map_err(|_| closed())?
    }

    /// Waits until a run has ended, and returns it.
    ///
    /// # Errors
    /// There is no such run, or it can't be read.
    pub async fn ended(&self, run: &RunId) -> Result<Run, Refusal> {
        let (reply, ended) = oneshot::channel();
        let message = Message::WaitEnded { run: run.clone(), reply };
        self.mailbox.send(message).await.map_err(|_| closed())?;
        // No answer: it is over already, or the engine has ended. Either way the disk knows.
        match ended.await {
            Ok(run) => Ok(run),
            Err(_) => self.run(run).await,
        }
    }

    /// Stops scheduling a task; survives restart and reload.
    ///
    /// # Errors
    /// Why not.
    pub async fn pause(&self, task: &TaskId, actor: Actor) -> Result<(), Refusal> {
        self.call(Call::Pause(task.clone()), actor).await.map(drop)
    }

    /// Schedules it again; slots of the pause don't count.
    ///
    /// # Errors
    /// Why not.
    pub async fn resume(&self, task: &TaskId, actor: Actor) -> Result<(), Refusal> {
        self.call(Call::Resume(task.clone()), actor).await.map(drop)
    }

    /// Runs an ended run's task again, as a new run.
    ///
    /// # Errors
    /// Why not.
    pub async fn retry(&self, run: &RunId, actor: Actor) -> Result<Run, Refusal> {
        let run = match self.seen_by(&actor).run(run).await {
            Ok(run) => run,
            Err(refusal) => {
                return Err(self.refused(Verb::Retry.word(), run.as_raw(), &actor, refusal).await);
            }
        };
        self.call_for_run(Call::Retry(Box::new(run)), actor).await
    }

    /// Unqueues a pending run, or ends one in progress (SIGTERM, then SIGKILL).
    ///
    /// # Errors
    /// Why not.
    pub async fn cancel(&self, run: &RunId, actor: Actor) -> Result<Run, Refusal> {
        self.on_active(run, Call::Cancel(run.clone()), actor).await
    }

    /// Sets the priority of one pending run.
    ///
    /// # Errors
    /// Why not.
    pub async fn reprioritise_run(
        &self,
        run: &RunId,
        priority: Priority,
        actor: Actor,
    ) -> Result<Run, Refusal> {
        self.on_active(run, Call::ReprioritiseRun { run: run.clone(), priority }, actor).await
    }

    /// Sets the priority of a task's pending runs, and of those to come.
    ///
    /// # Errors
    /// Why not.
    pub async fn reprioritise_task(
        &self,
        task: &TaskId,
        priority: Priority,
        actor: Actor,
    ) -> Result<(), Refusal> {
        self.call(Call::ReprioritiseTask { task: task.clone(), priority }, actor).await.map(drop)
    }

    /// Defines a task over the API: a JSON object with the fields of the task
    /// file. `replace` takes the place of one that the API has already.
    ///
    /// # Errors
    /// Why not; everything that is wrong with the task.
    pub async fn define(
        &self,
        task: &serde_json::Map<String, serde_json::Value>,
        replace: bool,
        actor: Actor,
    ) -> Result<TaskId, Refusal> {
        let read = tasks_file::from_json(task).map_err(Refusal::Invalid);
        let definition = match read.and_then(|task| within_scope(&task, &actor).map(|()| task)) {
            Ok(definition) => definition,
            Err(refusal) => {
                let id = task.get("id").and_then(|id| id.as_str()).unwrap_or_default();
                return Err(self.refused(message::DEFINE, id, &actor, refusal).await);
            }
        };
        let id = definition.id.clone();
        let text = serde_json::to_string(task).unwrap_or_default();
        self.call(Call::Define { definition: Box::new(definition), text, replace }, actor).await?;
        Ok(id)
    }

    /// What a task of the API was defined as, as a JSON object; `None` for one that came from elsewhere.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn definition(&self, task: &TaskId) -> Result<Option<String>, Refusal> {
        self.reader.definition(task).await.map_err(unreadable)
    }

    /// Takes a task of the API out, with what waits of it.
    ///
    /// # Errors
    /// Why not.
    pub async fn remove(&self, task: &TaskId, actor: Actor) -> Result<(), Refusal> {
        self.call(Call::Remove(task.clone()), actor).await.map(drop)
    }

    /// Puts a task of the API away: nothing of it runs until it is resumed.
    ///
    /// # Errors
    /// Why not.
    pub async fn archive(&self, task: &TaskId, actor: Actor) -> Result<(), Refusal> {
        self.call(Call::Archive(task.clone()), actor).await.map(drop)
    }

    /// Work that is wanted once: becomes a task of its own, whose run this is.
    ///
    /// # Errors
    /// Why not; everything that is wrong with it.
    pub async fn submit(&self, submission: &Submission, actor: Actor) -> Result<Run, Refusal> {
        let (mut task, stem) = tasks_file::from_submission(submission);
        let text = serde_json::to_string(&task).unwrap_or_default();
        // It gets one of its own once it is taken.
        task.insert("id".to_owned(), "one-off".into());
        let read = tasks_file::from_json(&task).map_err(Refusal::Invalid);
        let definition = match read.and_then(|task| within_scope(&task, &actor).map(|()| task)) {
            Ok(definition) => Box::new(definition),
            Err(refusal) => return Err(self.refused(message::SUBMIT, &stem, &actor, refusal).await),
        };
        self.call_for_run(Call::Submit { definition, text, stem }, actor).await
    }

    /// Reads `tasks.toml` again; a bad file changes nothing.
    ///
    /// # Errors
    /// Every problem of the file.
    pub async fn reload(&self, actor: Actor) -> Result<(), ReloadError> {
        let (reply, done) = oneshot::channel();
        let gone = || ReloadError { problems: vec![closed().to_string().into()] };
        self.mailbox
            .send(Message::Reload { actor: Some(actor), reply: Some(reply) })
            .await
            .map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }

    /// Runs from disk, newest first.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<Run>, Refusal> {
        self.reader.runs(filter).await.map_err(unreadable)
    }

    /// One run.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub async fn run(&self, run: &RunId) -> Result<Run, Refusal> {
        self.reader.run(run).await.map_err(unreadable)?.ok_or_else(|| Refusal::NoRun(run.clone()))
    }

    /// A piece of a run's log, from byte `offset`, at most about `limit` bytes.
    /// Where bytes were dropped, a line in their stead says so.
    ///
    /// # Errors
    /// There is no such run, or its log can't be read.
    pub async fn log(&self, run: &RunId, offset: u64, limit: usize) -> Result<LogPiece, Refusal> {
        // Whether it has ended is asked first: what it wrote until then is all there.
        let known = self.run(run).await?;
        let ended = known.state.is_ended();
        let (logs, id) = (self.logs.clone(), run.clone());
        let read =
            shell::blocking(move || logs.read(&known.task, &id, offset, limit)).await.ok_or_else(closed)?;
        let mut piece =
            read.map_err(|error| Refusal::Storage(format!("the log can't be read: {error}").into()))?;
        piece.complete = ended && piece.bytes.len() < limit;
        Ok(piece)
    }

    /// Returns once the engine has come to its mailbox: one that hangs never does.
    pub async fn answers(&self) {
        let (reply, answered) = oneshot::channel();
        if self.mailbox.send(Message::Alive { reply }).await.is_ok() {
            // Dropped unanswered, as while the disk can't be written, is an answer too.
            let _ = answered.await;
        }
    }

    /// What is counted while it works.
    #[must_use]
    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The size of the database with its log, in bytes.
    pub(super) async fn database_size(&self) -> u64 {
        let reader = self.reader.clone();
        shell::blocking(move || reader.size()).await.unwrap_or(0)
    }

    /// A page of the audit log, newest first, before a row's number.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn audit(&self, limit: usize, before: Option<u64>) -> Result<Vec<AuditRow>, Refusal> {
        self.reader.audit(limit, before).await.map_err(unreadable)
    }

    /// A page of the audit log, oldest first, after a row's number.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn audit_after(&self, limit: usize, after: u64) -> Result<Vec<AuditRow>, Refusal> {
        self.reader.audit_after(limit, after).await.map_err(unreadable)
    }

    /// Both ends of the audit log, by which its rows are verified.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn audit_ends(&self) -> Result<AuditEnds, Refusal> {
        self.reader.audit_ends().await.map_err(unreadable)
    }

    /// Flips, newest first.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn flips(&self, limit: usize) -> Result<Vec<Flip>, Refusal> {
        self.flips_of(None, limit).await
    }

    async fn flips_of(&self, of: Option<Arc<[TaskId]>>, limit: usize) -> Result<Vec<Flip>, Refusal> {
        self.reader.flips(of, limit).await.map_err(unreadable)
    }

    /// Starts nothing more and closes the database. What runs is left to its supervisors.
    pub async fn shutdown(self) {
        let (reply, done) = oneshot::channel();
        if self.mailbox.send(Message::Shutdown { reply }).await.is_ok() {
            let _ = done.await;
        }
    }

    async fn call(&self, call: Call, actor: Actor) -> Result<Option<Run>, Refusal> {
        if let Some(key) = &actor.idempotency_key
            && let Some(answer) = self.reader.answer(key).await.map_err(unreadable)?
        {
            return message::same_again(&answer, &call);
        }
        let (reply, done) = oneshot::channel();
        self.mailbox.send(Message::Call { call, actor, reply }).await.map_err(|_| closed())?;
        done.await.map_err(|_| closed())?
    }

    async fn call_for_run(&self, call: Call, actor: Actor) -> Result<Run, Refusal> {
        self.call(call, actor).await?.ok_or_else(|| Refusal::Conflict("it started no run".into()))
    }

    /// A call on a run that has not ended; of one that has, it says how that ended.
    async fn on_active(&self, run: &RunId, call: Call, actor: Actor) -> Result<Run, Refusal> {
        let who = actor.clone();
        match self.call_for_run(call, actor).await {
            Err(Refusal::NoRun(_)) => {
                let state = self.seen_by(&who).run(run).await?.state;
                Err(Refusal::Conflict(format!("it is over: it {}", past(state)).into()))
            }
            answer => answer,
        }
    }
}

const fn past(state: RunState) -> &'static str {
    match state {
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Aborted => "was aborted",
        RunState::Dead => "was lost",
        RunState::Missed => "was never run",
        RunState::Queued | RunState::Running => "has not ended",
    }
}

fn closed() -> Refusal {
    Refusal::Storage("it is ending".into())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn unreadable(error: super::db::DbError) -> Refusal {
    Refusal::Storage(error.to_string().into())
}
