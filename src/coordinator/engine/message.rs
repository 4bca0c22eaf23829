//! What the engine is told.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::coordinator::announce::hex;
use crate::coordinator::domain::{
    Answer, Audit, Definition, Domain, Heard, Noted, Whereabouts, Whose, Write,
};
use crate::model::{Clean, Priority, Run, RunId, Scope, TaskId, Verb};
use crate::wire::FieldProblem;

use super::handling::Handle;
use super::{Actor, Refusal, ReloadError};

/// In the audit log: a task was defined over the API.
pub(super) const DEFINE: &str = "define";
/// In the audit log: work was submitted.
pub(super) const SUBMIT: &str = "submit";

/// A call that changes something.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Trigger { task: TaskId, priority: Option<Priority> },
    Pause(TaskId),
    Resume(TaskId),
    Retry(Box<Run>),
    Cancel(RunId),
    ReprioritiseRun { run: RunId, priority: Priority },
    ReprioritiseTask { task: TaskId, priority: Priority },
    Define { definition: Box<Definition>, text: String, replace: bool },
    Remove(TaskId),
    Archive(TaskId),
    Submit { definition: Box<Definition>, text: String, stem: String },
    Handle(Handle),
}

impl Call {
    /// What it does, in one word: a verb's, where there is one for it.
    pub(super) const fn action(&self) -> &'static str {
        match self {
            Self::Trigger { .. } => Verb::Trigger.word(),
            Self::Pause(_) => Verb::Pause.word(),
            Self::Resume(_) => Verb::Resume.word(),
            Self::Retry(_) => Verb::Retry.word(),
            Self::Cancel(_) => Verb::Cancel.word(),
            Self::ReprioritiseRun { .. } | Self::ReprioritiseTask { .. } => Verb::Reprioritise.word(),
            Self::Archive(_) => Verb::Archive.word(),
            Self::Define { .. } => DEFINE,
            Self::Remove(_) => "remove",
            Self::Submit { .. } => SUBMIT,
            Self::Handle(handle) => handle.action(),
        }
    }

    /// What makes it another call than one with the same action: its target,
    /// and of what was sent with a body, the body.
    pub(super) fn identity(&self) -> String {
        let with = |target: &str, text: &str| {
            let digest = Sha256::digest(text);
            format!("{target}#{}", hex(digest.get(..8).unwrap_or_default()))
        };
        match self {
            Self::Define { definition, text, .. } => with(definition.id.as_raw(), text),
            Self::Submit { text, stem, .. } => with(stem, text),
            Self::Handle(handle) => handle.identity(),
            other => other.target().to_owned(),
        }
    }

    /// The task's or the run's id.
    pub(super) fn target(&self) -> &str {
        match self {
            Self::Trigger { task, .. }
            | Self::Pause(task)
            | Self::Resume(task)
            | Self::Remove(task)
            | Self::Archive(task)
            | Self::ReprioritiseTask { task, .. } => task.as_raw(),
            Self::Define { definition, .. } => definition.id.as_raw(),
            Self::Submit { stem, .. } => stem,
            Self::Handle(handle) => handle.target(),
            Self::Cancel(run) | Self::ReprioritiseRun { run, .. } => run.as_raw(),
            Self::Retry(run) => run.id.as_ref().map_or("", RunId::as_raw),
        }
    }

    /// Why it is refused to a caller of `scope`: what is of others is not there.
    pub(super) fn on_others(&self, domain: &Domain, scope: &Scope) -> Option<Refusal> {
        if *scope == Scope::All {
            return None;
        }
        let others = |task: &TaskId| !domain.is_within(task, scope);
        match self {
            Self::Trigger { task, .. }
            | Self::Pause(task)
            | Self::Resume(task)
            | Self::Remove(task)
            | Self::Archive(task)
            | Self::ReprioritiseTask { task, .. } => others(task).then(|| Refusal::NoTask(task.clone())),
            Self::Cancel(run) | Self::ReprioritiseRun { run, .. } => {
                let active = domain.active(run)?;
                others(&active.row.run.task).then(|| Refusal::NoRun(run.clone()))
            }
            // An id is there once: that much is told.
            Self::Define { definition, .. } => {
                let taken = domain.is_within(&definition.id, &Scope::All) && others(&definition.id);
                if taken {
                    return Some(Refusal::Conflict("the id is taken: take another".into()));
                }
                // What starts others' tasks, or is started by them, is not theirs to say.
                let foreign = |(field, task): (&'static str, &TaskId)| {
                    let detail = Clean::from(format!("there is no task {:?}", task.as_raw()));
                    (*task != definition.id && others(task))
                        .then(|| FieldProblem { field: field.to_owned(), detail })
                };
                let problems: Vec<FieldProblem> = definition.names().filter_map(foreign).collect();
                (!problems.is_empty()).then_some(Refusal::Invalid(problems))
            }
            // It was looked at by itself, and comes to be under an id of its own.
            Self::Submit { .. } => None,
            Self::Handle(handle) => handle.on_others(domain, scope),
            Self::Retry(run) => {
                others(&run.task).then(|| Refusal::NoRun(run.id.clone().unwrap_or_else(|| RunId::new(""))))
            }
        }
    }

    /// What it was given, for the audit log.
    pub(super) fn detail(&self) -> Clean {
        match self {
            Self::Trigger { priority: Some(priority), .. }
            | Self::ReprioritiseRun { priority, .. }
            | Self::ReprioritiseTask { priority, .. } => Clean::from(format!("priority {priority}")),
            Self::Retry(run) => Clean::from(format!("of {}", run.task)),
            Self::Handle(handle) => handle.detail(),
            _ => Clean::from(""),
        }
    }
}

/// What somebody elsewhere tells of a run.
#[derive(Debug)]
pub(super) struct Signal {
    /// Of which task.
    pub whose: Whose,
    /// Whose tasks the sender may tell of.
    pub scope: Scope,
    /// What is told.
    pub heard: Heard,
    /// Output of the run.
    pub output: Output,
}

/// Output that comes with a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Follows what came before.
    More(Vec<u8>),
    /// All there is, in the place of what came before.
    All(Vec<u8>),
}

impl Output {
    pub(super) const fn is_empty(&self) -> bool {
        match self {
            Self::More(bytes) | Self::All(bytes) => bytes.is_empty(),
        }
    }
}

pub(super) type Reply = oneshot::Sender<Result<Option<Run>, Refusal>>;

/// What comes into the engine's mailbox.
#[derive(Debug)]
pub(super) enum Message {
    /// A call that changes something.
    Call { call: Call, actor: Actor, reply: Reply },
    /// A ping or a report.
    Signal { signal: Box<Signal>, reply: oneshot::Sender<Result<Noted, Refusal>> },
    /// The task file is to be read. Nobody in particular: it has changed on disk.
    Reload { actor: Option<Actor>, reply: Option<oneshot::Sender<Result<(), ReloadError>>> },
    /// Answered when the run ends; dropped if it is over already.
    WaitEnded { run: RunId, reply: oneshot::Sender<Run> },
    /// Rows that are no business of the domain's, such as tokens: written with everything else.
    Record { writes: Vec<Write>, reply: oneshot::Sender<Result<(), Refusal>> },
    /// A call that was refused before it came here, for the audit log; when is still to be said.
    Note { audit: Box<Audit>, reply: oneshot::Sender<Result<(), Refusal>> },
    /// Judges some tasks anew, and has their open alerts on disk. Answered with
    /// the last of them; `None`: that was all.
    Doubt { after: Option<TaskId>, reply: oneshot::Sender<Option<TaskId>> },
    /// Answered as soon as it is its turn.
    Alive { reply: oneshot::Sender<()> },
    /// Takes out what was submitted once and ended before.
    Retire { before: DateTime<Utc>, reply: oneshot::Sender<usize> },
    /// A machine has answered, or has not.
    News(News),
    /// Ends.
    Shutdown { reply: oneshot::Sender<()> },
    /// Ends without a word, like a crash.
    #[cfg(test)]
    Crash,
}

/// What was learnt of a machine.
#[derive(Debug)]
pub(super) enum News {
    /// Whether it is there.
    Probed(Clean, Result<(), Clean>),
    /// What became of a run whose connection was cut.
    Told(RunId, Whereabouts),
}

/// What the built-in tasks ask of the engine that carries them out.
#[derive(Debug, Clone)]
pub struct Inside(pub(super) mpsc::WeakSender<Message>);

impl Inside {
    /// Has every task judged anew; returns once what came of it is on disk.
    ///
    /// # Errors
    /// The engine is ending.
    pub async fn doubt(&self) -> Result<(), ()> {
        let mailbox = self.0.upgrade().ok_or(())?;
        let mut after = None;
        loop {
            let (reply, done) = oneshot::channel();
            mailbox.send(Message::Doubt { after, reply }).await.map_err(drop)?;
            after = done.await.map_err(drop)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes out the tasks that were submitted once and ended before an
    /// instant. Gives how many, once that is on disk.
    ///
    /// # Errors
    /// The engine is ending.
    pub async fn retire_one_offs(&self, before: DateTime<Utc>) -> Result<usize, ()> {
        let mailbox = self.0.upgrade().ok_or(())?;
        let (reply, done) = oneshot::channel();
        mailbox.send(Message::Retire { before, reply }).await.map_err(drop)?;
        done.await.map_err(drop)
    }
}

/// What was answered to the same call before; another call with its key is refused.
pub(super) fn same_again(answer: &Answer, call: &Call) -> Result<Option<Run>, Refusal> {
    if answer.action == call.action() && answer.target == call.identity() {
        Ok(answer.run.clone())
    } else {
        let (action, target) = (&answer.action, &answer.target);
        let why = format!("this idempotency key was used to {action} {target}: take a new one");
        Err(Refusal::Conflict(Clean::from(why)))
    }
}

/// Takes out who waits for the end.
pub(super) fn take_ends(inbox: Vec<Message>, ends: &mut Vec<oneshot::Sender<()>>) -> Vec<Message> {
    let mut rest = Vec::with_capacity(inbox.len());
    for message in inbox {
        match message {
            Message::Shutdown { reply } => ends.push(reply),
            other => rest.push(other),
        }
    }
    rest
}

/// While the disk can't be written nothing is decided. Gives what is only to be known.
pub(super) fn refuse_all(inbox: Vec<Message>, trouble: Option<&Clean>) -> Vec<News> {
    let mut all_news = Vec::new();
    let trouble = trouble.map_or("the last change could not be written yet", Clean::as_str);
    let why = || Clean::from(format!("{trouble}; nothing is taken until it can: ask again then"));
    for message in inbox {
        match message {
            Message::Call { reply, .. } => drop(reply.send(Err(Refusal::Storage(why())))),
            Message::Signal { reply, .. } => drop(reply.send(Err(Refusal::Storage(why())))),
            Message::Record { reply, .. } | Message::Note { reply, .. } => {
                drop(reply.send(Err(Refusal::Storage(why()))));
            }
            Message::Reload { reply: Some(reply), .. } => {
                let _ = reply.send(Err(ReloadError { problems: vec![why()] }));
            }
            Message::News(news) => all_news.push(news),
            // Whoever waits asks the disk, and the rest is nobody's.
            _ => {}
        }
    }
    all_news
}
