//! The one owner of the coordinator's state.
//!
//! Takes what has come in a burst, lets the domain decide, commits all rows of
//! it at once, and only then starts, shows and answers. If the disk can't be
//! written, everything stands still until it can: what was decided stays
//! decided, nothing new is, and callers hear why.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use crate::coordinator::db::{DbError, Writer};
use crate::coordinator::domain::{
    Answer, Audit, Batch, Definition, Domain, Noted, Outcome, Refused, Whose, Write,
};
use crate::coordinator::exec::{Event, Executor};
use crate::coordinator::machines::Ssh;
use crate::coordinator::metrics::{Metrics, Stopwatch};
use crate::coordinator::{SharedClock, builtin, shell, tasks_file};
use crate::model::{Clean, Run, RunId, TaskId, Verb};
use crate::vault::Vault;

use super::file::{read_file, remarks};
use super::message::{Call, Message, Output, Reply, Signal, refuse_all, same_again, take_ends};
use super::outputs::{self, Told};
use super::shared::Shared;
use super::watch_file::Watching;
use super::{Refusal, ReloadError};

/// Messages in one burst at most.
const BURST: usize = 512;
/// The clock is looked at so often at least: it may have been set, or the machine asleep.
const LOOK: Duration = Duration::from_secs(1);
/// How long the built-in tasks may take once the coordinator closes.
const DRAIN: Duration = Duration::from_secs(3);
/// The pause before the disk is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Keys that are remembered here; older ones are looked up on disk.
const REMEMBERED: usize = 2_048;

/// See the module's text.
pub(super) struct Actor {
    pub(super) domain: Domain,
    pub(super) clock: SharedClock,
    pub(super) writer: Writer,
    pub(super) thread: JoinHandle<()>,
    pub(super) executor: Executor,
    pub(super) vault: Vault,
    pub(super) ssh: Ssh,
    pub(super) events_in: mpsc::Sender<Event>,
    pub(super) context: builtin::Context,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Metrics,
    pub(super) tasks: PathBuf,
    /// What is wrong with the task file.
    pub(super) problems: Vec<Clean>,
    /// Rows of what was when nothing could be written.
    pub(super) owed: Vec<Write>,
    /// The text of a task file that was taken and is not on disk yet.
    pub(super) new_text: Option<String>,
    /// This boot of the machine, until it is on disk.
    pub(super) new_boot: Option<String>,
    /// Who waits for the end of a run.
    pub(super) waiting: HashMap<RunId, Vec<oneshot::Sender<Run>>>,
    /// The newest answers to calls with an idempotency key.
    pub(super) answered: VecDeque<Answer>,
}

/// What was decided, and is not on disk yet.
struct Decided {
    writes: Arc<Vec<Write>>,
    batch: Batch,
    at: DateTime<Utc>,
    after: Vec<After>,
    /// Output that came from elsewhere, for the logs of its runs.
    outputs: Vec<(TaskId, RunId, Output)>,
}

/// Who hears of it once it is on disk.
enum After {
    Call(Reply, Result<Option<Run>, Refusal>),
    Signal(Told, Result<Noted, Refusal>),
    /// The same, with output that has to be on disk first.
    Kept(Told, Result<Noted, Refusal>),
    Reload(oneshot::Sender<Result<(), ReloadError>>, Result<(), ReloadError>),
    Doubt(oneshot::Sender<Option<TaskId>>, Option<TaskId>),
    Recorded(oneshot::Sender<Result<(), Refusal>>),
    Retired(oneshot::Sender<usize>, usize),
    /// The end of an attempt: its folder may go.
    Attempt(RunId, u32),
    /// Waits for a run that is over: its reply is dropped once the disk knows.
    Over(oneshot::Sender<Run>),
}

/// A call that the domain has taken or refused.
struct Called {
    call: Call,
    actor: super::Actor,
    reply: Reply,
    result: Result<Option<RunId>, Refusal>,
}

impl Actor {
    /// Until the end.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut events: mpsc::Receiver<Event>,
        watching: Watching,
    ) {
        let mut watching = Some(watching);
        let mut stuck: Option<Decided> = None;
        let mut ends: Vec<oneshot::Sender<()>> = Vec::new();
        let mut orphaned = false;
        let mut drained = None;
        loop {
            let mut inbox = Vec::new();
            let mut happened = Vec::new();
            tokio::select! {
                biased;
                Some(event) = events.recv(), if stuck.is_none() => {
                    happened.push(event);
                    while let Ok(event) = events.try_recv() {
                        happened.push(event);
                    }
                }
                count = messages.recv_many(&mut inbox, BURST), if !orphaned => orphaned = count == 0,
                () = tokio::time::sleep(self.pause(stuck.is_some())) => {}
                () = elapsed(&mut drained) => {
                    tracing::warn!("the coordinator ends before its own tasks have");
                    break;
                }
            }
            let asked = orphaned || inbox.iter().any(|message| matches!(message, Message::Shutdown { .. }));
            if asked && !self.domain.is_closing() {
                self.domain.close();
                watching = None;
                drained = Some(Box::pin(tokio::time::sleep(DRAIN)));
            }
            #[cfg(test)]
            if inbox.iter().any(|message| matches!(message, Message::Crash)) {
                return;
            }
            inbox = take_ends(inbox, &mut ends);
            if let Some(decided) = stuck.take() {
                let now = self.clock.now();
                // No more is decided by it than by the passing of time.
                for news in refuse_all(inbox, self.shared.view().trouble.as_ref()) {
                    // What a supervisor left stays until the next start.
                    let _ = self.hear(news, now);
                }
                stuck = self.finish(decided).await.err().map(|(decided, _)| decided);
                if stuck.is_some() && self.domain.is_closing() {
                    tracing::error!("the coordinator ends with changes that could not be written");
                    break;
                }
                continue;
            }
            let now = self.clock.now();
            if let Some(steady) = self.clock.steady() {
                self.domain.keep_time(now, steady);
            }
            let recorded: Vec<After> =
                happened.into_iter().filter_map(|event| self.take(event, now)).collect();
            let mut decided = self.decide(inbox, now).await;
            decided.after.extend(recorded);
            stuck = self.finish(decided).await.err().map(|(decided, _)| decided);
            if self.domain.is_closing() && stuck.is_none() && !self.has_built_ins() {
                break;
            }
        }
        drop(watching);
        self.end().await;
        for end in ends {
            let _ = end.send(());
        }
    }

    /// How long there is nothing to do by itself.
    fn pause(&self, stuck: bool) -> Duration {
        if stuck {
            return TRY_AGAIN;
        }
        let until = self.domain.next_wake().map(|at| at - self.clock.now());
        until.map_or(LOOK, |until| until.to_std().unwrap_or(Duration::ZERO).min(LOOK))
    }

    /// Takes what became of a run. Gives what is to be done once that is on disk.
    fn take(&mut self, event: Event, now: DateTime<Utc>) -> Option<After> {
        let (Event::Ended(id, _) | Event::Lost(id, _) | Event::NeverStarted(id)) = &event;
        let id = id.clone();
        let active = self.domain.active(&id)?;
        let recorded = After::Attempt(id.clone(), active.row.run.attempt);
        match event {
            Event::NeverStarted(run) => {
                // Its folder is that of its next start.
                self.domain.not_started(&run, now);
                return None;
            }
            Event::Ended(run, outcome) => self.domain.finished(&run, outcome, now),
            Event::Lost(run, lost) => self.domain.lost(&run, lost, now),
        }
        Some(recorded).filter(|_| !self.domain.is_adrift(&id))
    }

    /// Whether anything runs that has no supervisor, and ends with this process.
    fn has_built_ins(&self) -> bool {
        self.domain.running().any(|active| active.definition.built_in().is_some())
    }

    /// Closes the database.
    async fn end(self) {
        let Self { writer, thread, context, .. } = self;
        drop((writer, context));
        let _ = shell::blocking(move || thread.join()).await;
    }

    /// One step: decide, write, tell. For the start, which has to hear of a bad disk.
    pub(super) async fn step(&mut self, inbox: Vec<Message>) -> Result<(), Arc<DbError>> {
        let now = self.clock.now();
        let decided = self.decide(inbox, now).await;
        self.finish(decided).await.map_err(|(_, error)| error)
    }

    async fn decide(&mut self, inbox: Vec<Message>, now: DateTime<Utc>) -> Decided {
        let mut after = Vec::new();
        let mut calls: Vec<Called> = Vec::new();
        let mut beside = Vec::new();
        let mut twins = Vec::new();
        let mut outputs = Vec::new();
        for message in inbox {
            match message {
                Message::Signal { signal, reply } => {
                    let before = outputs.len();
                    let result = self.signal(*signal, &mut outputs, now);
                    let kept = outputs.len() > before;
                    after.push(if kept { After::Kept(reply, result) } else { After::Signal(reply, result) });
                }
                Message::Call { call, actor, reply } => {
                    if let Some(result) = self.known_answer(&call, &actor) {
                        after.push(After::Call(reply, result));
                        continue;
                    }
                    if is_twin(&actor, &calls) {
                        twins.push((call, actor, reply));
                        continue;
                    }
                    let result = self.call(&call, &actor, now);
                    calls.push(Called { call, actor, reply, result });
                }
                Message::Reload { actor, reply } => {
                    let result = self.reload(now).await;
                    beside.push(self.audit_reload(actor, &result, now));
                    after.extend(reply.map(|reply| After::Reload(reply, result)));
                }
                Message::WaitEnded { run, reply } => after.extend(self.wait_ended(run, reply)),
                Message::Note { audit, reply } => {
                    beside.push(Write::Audit(Audit { at: now, ..*audit }));
                    after.push(After::Recorded(reply));
                }
                Message::Record { writes, reply } => {
                    beside.extend(writes);
                    after.push(After::Recorded(reply));
                }
                Message::Doubt { after: last, reply } => {
                    let last = self.domain.restate(last.as_ref());
                    after.push(After::Doubt(reply, last));
                }
                Message::Alive { reply } => drop(reply.send(())),
                Message::Retire { before, reply } => {
                    let count = self.domain.retire_one_offs(before, now);
                    after.push(After::Retired(reply, count));
                }
                Message::News(news) => {
                    after.extend(self.hear(news, now).map(|(run, attempt)| After::Attempt(run, attempt)));
                }
                Message::Shutdown { .. } => {}
                #[cfg(test)]
                Message::Crash => {}
            }
        }
        let mut batch = self.domain.settle(now);
        let mut writes = std::mem::take(&mut self.owed);
        writes.append(&mut batch.writes);
        writes.extend(beside);
        writes.extend(self.new_boot.take().map(Write::Boot));
        writes.extend(self.new_text.take().map(Write::TaskFile));
        for called in calls {
            let (more, answer) = self.answer(called, &batch, now);
            writes.extend(more);
            after.push(answer);
        }
        for (call, actor, reply) in twins {
            let refused = || Err(Refusal::Conflict("the same call was refused a moment ago".into()));
            let result = self.known_answer(&call, &actor).unwrap_or_else(refused);
            after.push(After::Call(reply, result));
        }
        Decided { writes: Arc::new(writes), batch, at: now, after, outputs }
    }

    /// Notes who waits for the end of a run; one that is over is not waited for.
    fn wait_ended(&mut self, run: RunId, reply: oneshot::Sender<Run>) -> Option<After> {
        if self.domain.active(&run).is_none() {
            return Some(After::Over(reply));
        }
        let waiting = self.waiting.entry(run).or_default();
        waiting.retain(|other| !other.is_closed());
        waiting.push(reply);
        None
    }

    /// Takes a ping or a report; its output waits for its run to be on disk.
    fn signal(
        &mut self,
        signal: Signal,
        outputs: &mut Vec<(TaskId, RunId, Output)>,
        now: DateTime<Utc>,
    ) -> Result<Noted, Refusal> {
        if self.domain.is_closing() {
            return Err(Refusal::Storage("it is ending".into()));
        }
        if let Whose::Task(task) = &signal.whose
            && !self.domain.is_within(task, &signal.scope)
        {
            return Err(Refusal::NoTask(task.clone()));
        }
        let noted = self.domain.hear(&signal.whose, signal.heard, now).map_err(refusal)?;
        if let (Some(run), true, false) = (&noted.run, noted.keeps_output, signal.output.is_empty()) {
            outputs.push((noted.task.clone(), run.clone(), signal.output));
        }
        Ok(noted)
    }

    /// What the same call was answered a moment ago.
    fn known_answer(&self, call: &Call, actor: &super::Actor) -> Option<Result<Option<Run>, Refusal>> {
        let key = actor.idempotency_key.as_deref()?;
        self.answered.iter().rev().find(|answer| answer.key == key).map(|answer| same_again(answer, call))
    }

    fn call(
        &mut self,
        call: &Call,
        actor: &super::Actor,
        now: DateTime<Utc>,
    ) -> Result<Option<RunId>, Refusal> {
        if self.domain.is_closing() {
            return Err(Refusal::Conflict("the coordinator is ending".into()));
        }
        if let Some(refusal) = call.on_others(&self.domain, &actor.scope) {
            return Err(refusal);
        }
        let domain = &mut self.domain;
        let result = match call {
            Call::Trigger { task, priority } => domain.trigger(task, *priority, now).map(Some),
            Call::Pause(task) => domain.pause(task, &actor.name, now).map(|()| None),
            Call::Resume(task) => domain.resume(task, &actor.name, now).map(|()| None),
            Call::Retry(run) => domain.retry(run, now).map(Some),
            Call::Cancel(run) => {
                let why = Clean::from(format!("cancelled by {}", actor.name));
                domain.cancel(run, &why, now).map(|()| Some(run.clone()))
            }
            Call::ReprioritiseRun { run, priority } => {
                domain.reprioritise_run(run, *priority).map(|()| Some(run.clone()))
            }
            Call::ReprioritiseTask { task, priority } => {
                domain.reprioritise_task(task, *priority).map(|()| None)
            }
            Call::Define { definition, text, replace } => {
                domain.define(Definition::clone(definition), text, *replace, now).map(|()| None)
            }
            Call::Handle(handle) => handle.carry_out(domain, &actor.name, now).map(|()| None),
            Call::Remove(task) => domain.remove(task, now).map(|()| None),
            Call::Archive(task) => domain.archive(task, &actor.name, now).map(|()| None),
            Call::Submit { definition, text, stem } => {
                domain.submit(Definition::clone(definition), stem, text, now).map(Some)
            }
        };
        result.map_err(refusal)
    }

    /// The rows that a call leaves, and what it is answered.
    fn answer(&mut self, called: Called, batch: &Batch, now: DateTime<Utc>) -> (Vec<Write>, After) {
        let Called { call, actor, reply, result } = called;
        let result = result.map(|run| run.and_then(|id| self.as_it_is(&id, batch)));
        let submitted = matches!(call, Call::Submit { .. });
        let target = match &result {
            Ok(Some(run)) if submitted => run.task.as_raw(),
            _ => call.target(),
        };
        let mut writes = vec![Write::Audit(Audit {
            at: now,
            actor: actor.name,
            from: actor.from,
            action: call.action(),
            target: Clean::line(target),
            detail: call.detail(),
            outcome: result.as_ref().map_or_else(|refusal| Clean::from(refusal.to_string()), |_| "ok".into()),
        })];
        if let (Some(key), Ok(run)) = (actor.idempotency_key, &result) {
            let (action, target) = (call.action().to_owned(), call.identity());
            let answer = Answer { key, action, target, run: run.clone(), at: now };
            self.answered.push_back(answer.clone());
            if self.answered.len() > REMEMBERED {
                self.answered.pop_front();
            }
            writes.push(Write::Answer(answer));
        }
        (writes, After::Call(reply, result))
    }

    fn as_it_is(&self, id: &RunId, batch: &Batch) -> Option<Run> {
        let active = self.domain.active(id).map(|active| active.row.run.clone());
        active.or_else(|| batch.runs.get(id).cloned())
    }

    async fn reload(&mut self, now: DateTime<Utc>) -> Result<(), ReloadError> {
        let problems = match read_file(&self.tasks).await {
            Err(problem) => vec![problem],
            Ok(text) => match tasks_file::parse_beside(&text, &self.domain.beside()) {
                Err(problems) => tasks_file::shown(&self.tasks, &problems),
                Ok(file) => {
                    let definitions = builtin::definitions().into_iter().chain(file.tasks).collect();
                    self.domain.set_machines(file.machines);
                    self.domain.replace(definitions, file.limits, now);
                    self.new_text = Some(text);
                    Vec::new()
                }
            },
        };
        self.domain.set_remarks(remarks(&problems));
        self.problems.clone_from(&problems);
        if problems.is_empty() {
            return Ok(());
        }
        for problem in &problems {
            tracing::warn!(%problem, "the task file is not taken");
        }
        Err(ReloadError { problems })
    }

    fn audit_reload(
        &self,
        actor: Option<super::Actor>,
        result: &Result<(), ReloadError>,
        now: DateTime<Utc>,
    ) -> Write {
        let (actor, from) =
            actor.map_or_else(|| ("file changed".into(), "here".into()), |actor| (actor.name, actor.from));
        Write::Audit(Audit {
            at: now,
            actor,
            from,
            action: Verb::ReloadConfig.word(),
            target: Clean::from(self.tasks.display().to_string()),
            detail: result
                .as_ref()
                .err()
                .and_then(|error| error.problems.first().cloned())
                .unwrap_or_else(|| "".into()),
            outcome: result.as_ref().map_or_else(|error| Clean::from(error.to_string()), |()| "ok".into()),
        })
    }

    /// Writes what was decided; once it is on disk, starts, shows and answers.
    /// If it can't be written, callers hear so, and the rest comes back.
    async fn finish(&mut self, mut decided: Decided) -> Result<(), (Decided, Arc<DbError>)> {
        if let Err(error) = self.commit(&decided.writes).await {
            tracing::error!(%error, "the database can't be written: nothing is started until it can");
            self.shared.set_trouble(Some(Clean::from(error.to_string())), self.clock.now());
            for after in std::mem::take(&mut decided.after) {
                let why = Clean::from(format!(
                    "{error}; what was asked for stays asked for, and is tried again by itself"
                ));
                match after {
                    After::Call(reply, _) => drop(reply.send(Err(Refusal::Storage(why)))),
                    After::Signal(reply, _) | After::Kept(reply, _) => {
                        drop(reply.send(Err(Refusal::Storage(why))));
                    }
                    After::Reload(reply, _) => drop(reply.send(Err(ReloadError { problems: vec![why] }))),
                    After::Recorded(reply) => drop(reply.send(Err(Refusal::Storage(why)))),
                    After::Doubt(..) | After::Retired(..) | After::Over(_) => {}
                    after @ After::Attempt(..) => decided.after.push(after),
                }
            }
            return Err((decided, error));
        }
        let Decided { writes, batch, at, after, outputs } = decided;
        if let Some(alert) = self.shared.set_trouble(None, self.clock.now()) {
            tracing::info!("the database can be written again");
            // The history tells of it too.
            let key = alert.key();
            self.owed = vec![Write::AlertRestated(alert), Write::AlertClosed(key, self.clock.now())];
        }
        self.metrics.count(&batch, &writes, at);
        // Before anybody hears that a run has ended, all of its output is there.
        let logs = self.context.logs.clone();
        let of = if outputs.is_empty() {
            Vec::new()
        } else {
            shell::blocking(move || outputs::keep(&logs, outputs)).await.unwrap_or_default()
        };
        for effect in &batch.effects {
            self.carry_out(effect.clone());
        }
        for run in batch.runs.values().filter(|run| run.state.is_ended()) {
            for reply in run.id.as_ref().and_then(|id| self.waiting.remove(id)).into_iter().flatten() {
                let _ = reply.send(run.clone());
            }
        }
        self.shared.publish(batch, &self.domain, &self.problems, at);
        let mut kept = Vec::new();
        for after in after {
            match after {
                After::Call(reply, result) => drop(reply.send(result)),
                After::Signal(reply, result) => drop(reply.send(result)),
                After::Kept(reply, result) => kept.push((reply, result)),
                After::Reload(reply, result) => drop(reply.send(result)),
                After::Recorded(reply) => drop(reply.send(Ok(()))),
                After::Doubt(reply, last) => drop(reply.send(last)),
                After::Retired(reply, count) => drop(reply.send(count)),
                After::Over(reply) => drop(reply),
                After::Attempt(run, attempt) => self.executor.forget(&run, attempt),
            }
        }
        if !kept.is_empty() {
            outputs::acknowledge(self.context.logs.clone(), of, kept);
        }
        Ok(())
    }

    async fn commit(&self, writes: &Arc<Vec<Write>>) -> Result<(), Arc<DbError>> {
        if writes.is_empty() {
            return Ok(());
        }
        let stopwatch = Stopwatch::start();
        let result = self.writer.write(writes.clone()).await;
        self.metrics.committed(stopwatch.seconds(), result.is_ok());
        result
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::NoTask(task) => Refusal::NoTask(task),
        Refused::NoRun(run) => Refusal::NoRun(run),
        Refused::NoSilence(id) => Refusal::NoSilence(id),
        Refused::Conflict(why) => Refusal::Conflict(why),
        Refused::Invalid(problems) => Refusal::Invalid(problems),
        Refused::Unfit(problems) => Refusal::Unfit(problems),
    }
}

/// Returns when a limit that is set has passed.
async fn elapsed(limit: &mut Option<Pin<Box<tokio::time::Sleep>>>) {
    match limit {
        Some(limit) => limit.await,
        None => std::future::pending().await,
    }
}

/// Whether a call with its key is among those that are being answered.
fn is_twin(actor: &super::Actor, calls: &[Called]) -> bool {
    let key = actor.idempotency_key.as_deref();
    key.is_some() && calls.iter().any(|called| called.actor.idempotency_key.as_deref() == key)
}

/// An outcome that is bad for a reason of the coordinator's own.
pub(super) fn bad(message: &str) -> Outcome {
    Outcome { message: Some(Clean::line(message)), ..Outcome::default() }
}
