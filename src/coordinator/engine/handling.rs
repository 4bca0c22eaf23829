//! What operators say of alerts, as calls: taking them, putting them off, silencing them.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::coordinator::announce::hex;
use crate::coordinator::domain::{Domain, Refused, SILENCE, Subject, fits, fits_task};
use crate::model::{Alert, Clean, Scope, Task, TaskId, Verb};
use crate::wire::{Matcher, NewSilence, PutOff, Silence, SilencePreview};

use super::message::Call;
use super::{Actor, Engine, Refusal, View};

/// A call about alerts.
#[derive(Debug, Clone)]
pub(super) enum Handle {
    /// Takes the alerts of a task.
    Acknowledge { task: TaskId, note: Option<Clean> },
    /// Puts them off.
    Snooze { task: TaskId, until: Option<DateTime<Utc>>, note: Option<Clean> },
    /// Silences what a matcher matches. Who and when is still to be said; `until`: for an hour, if absent.
    Silence { id: String, matcher: Matcher, until: Option<DateTime<Utc>>, comment: Option<Clean> },
    /// Ends a silence.
    EndSilence(String),
}

impl Handle {
    /// As in the audit log.
    pub(super) const fn action(&self) -> &'static str {
        match self {
            Self::Acknowledge { .. } => Verb::Acknowledge.word(),
            Self::Snooze { .. } => Verb::Snooze.word(),
            Self::Silence { .. } => Verb::Silence.word(),
            Self::EndSilence(_) => "end-silence",
        }
    }

    /// The task's or the silence's id.
    pub(super) fn target(&self) -> &str {
        match self {
            Self::Acknowledge { task, .. } | Self::Snooze { task, .. } => task.as_raw(),
            Self::Silence { id, matcher, .. } => matcher.task.as_ref().map_or(id, |task| task.as_raw()),
            Self::EndSilence(id) => id,
        }
    }

    /// What was said, for the audit log.
    pub(super) fn detail(&self) -> Clean {
        let text = |of: Option<String>, until: &Option<DateTime<Utc>>, note: &Option<Clean>| {
            let until = until.map(|until| format!("until {}", until.format("%Y-%m-%d %H:%M:%S UTC")));
            let note = note.as_ref().map(ToString::to_string);
            Clean::from([of, until, note].into_iter().flatten().collect::<Vec<_>>().join(", "))
        };
        match self {
            Self::Acknowledge { note, .. } => text(None, &None, note),
            Self::Snooze { until, note, .. } => text(None, until, note),
            Self::Silence { matcher, until, comment, .. } => text(Some(matcher.to_string()), until, comment),
            Self::EndSilence(_) => Clean::from(""),
        }
    }

    /// What makes it another call than one with the same action.
    pub(super) fn identity(&self) -> String {
        format!("{}#{}", self.target(), digest(&self.detail()))
    }

    /// Why it is refused to a caller of some teams.
    pub(super) fn on_others(&self, domain: &Domain, scope: &Scope) -> Option<Refusal> {
        match self {
            Self::Acknowledge { task, .. } | Self::Snooze { task, .. } => {
                (!domain.is_within(task, scope)).then(|| Refusal::NoTask(task.clone()))
            }
            Self::Silence { matcher, .. } if domain.is_matcher_within(matcher, scope) => None,
            Self::Silence { matcher: Matcher { task: Some(task), .. }, .. } => {
                Some(Refusal::NoTask(task.clone()))
            }
            Self::Silence { .. } => Some(Refusal::OtherTeam(
                "this would silence alerts of other teams: name one of your own".into(),
            )),
            Self::EndSilence(id) => {
                let theirs = |silence: &Silence| domain.is_matcher_within(&silence.matcher, scope);
                let known =
                    domain.silences().into_iter().any(|silence| silence.id == *id && theirs(&silence));
                (!known).then(|| Refusal::NoSilence(id.clone()))
            }
        }
    }

    /// Has the domain do it.
    pub(super) fn carry_out(
        &self,
        domain: &mut Domain,
        by: &Clean,
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        match self {
            Self::Acknowledge { task, note } => domain.acknowledge(task, by, note.as_ref(), now),
            Self::Snooze { task, until, note } => domain.snooze(task, by, *until, note.as_ref(), now),
            Self::Silence { id, matcher, until, comment } => {
                let silence = Silence {
                    id: id.clone(),
                    matcher: matcher.clone(),
                    by: by.clone(),
                    at: now,
                    until: until.unwrap_or(now + SILENCE),
                    comment: comment.clone(),
                };
                domain.silence(silence, now)
            }
            Self::EndSilence(id) => domain.end_silence(id, now),
        }
    }
}

fn digest(text: &str) -> String {
    hex(Sha256::digest(text).get(..8).unwrap_or_default())
}

impl Engine {
    /// Takes the open alerts of a task.
    ///
    /// # Errors
    /// Why not.
    pub async fn acknowledge(&self, task: &TaskId, note: Option<Clean>, actor: Actor) -> Result<(), Refusal> {
        self.handle(Handle::Acknowledge { task: task.clone(), note }, actor).await
    }

    /// Puts the alerts of a task off.
    ///
    /// # Errors
    /// Why not.
    pub async fn snooze(&self, task: &TaskId, wish: PutOff, actor: Actor) -> Result<(), Refusal> {
        let PutOff { until, note } = wish;
        self.handle(Handle::Snooze { task: task.clone(), until, note }, actor).await
    }

    /// Silences the alerts of a task.
    ///
    /// # Errors
    /// Why not.
    pub async fn silence_task(&self, task: &TaskId, wish: PutOff, actor: Actor) -> Result<(), Refusal> {
        let matcher = Matcher { task: Some(task.clone()), ..Matcher::default() };
        let id = silence_id(&actor);
        self.handle(Handle::Silence { id, matcher, until: wish.until, comment: wish.note }, actor).await
    }

    /// Silences what a matcher matches.
    ///
    /// # Errors
    /// Why not.
    pub async fn silence(&self, wish: NewSilence, actor: Actor) -> Result<Silence, Refusal> {
        let NewSilence { matcher, until, comment } = wish;
        let (id, by) = (silence_id(&actor), actor.name.clone());
        let (told, note, until_then) = (matcher.clone(), comment.clone(), Some(until));
        self.handle(Handle::Silence { id: id.clone(), matcher, until: until_then, comment }, actor).await?;
        let view = self.view();
        let known = view.silences.iter().find(|silence| silence.id == id);
        // Another one may have taken its place already.
        Ok(known.cloned().unwrap_or_else(|| Silence {
            id,
            matcher: told,
            by,
            at: view.at,
            until,
            comment: note,
        }))
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// There is none of that id, or it is another team's.
    pub async fn end_silence(&self, id: &str, actor: Actor) -> Result<(), Refusal> {
        self.handle(Handle::EndSilence(id.to_owned()), actor).await
    }

    async fn handle(&self, handle: Handle, actor: Actor) -> Result<(), Refusal> {
        self.call(Call::Handle(handle), actor).await.map(drop)
    }
}

/// An id for a silence: the same again for a call that comes again.
fn silence_id(actor: &Actor) -> String {
    match &actor.idempotency_key {
        Some(key) => digest(&format!("silence {key}")),
        None => hex(&rand::random::<[u8; 8]>()),
    }
}

fn subject(task: &Task) -> Subject<'_> {
    Subject { id: &task.id, team: task.team.as_deref(), machine: task.machine.as_deref() }
}

impl Actor {
    /// The silences of their tasks and teams, oldest first.
    #[must_use]
    pub fn silences(&self, view: &View) -> Vec<Silence> {
        let theirs = |silence: &&Silence| {
            let Matcher { task, team, .. } = &silence.matcher;
            let task = task.as_ref().and_then(|task| view.tasks.get(task));
            self.sees_all()
                || task.is_some_and(|task| self.sees(task))
                || team.as_ref().is_some_and(|team| self.scope.holds(Some(team)))
        };
        view.silences.iter().filter(theirs).cloned().collect()
    }

    /// What a silence would do to what they see.
    #[must_use]
    pub fn silence_preview(&self, view: &View, matcher: &Matcher) -> SilencePreview {
        let tasks = view.tasks.iter().filter(|task| self.sees(task));
        let tasks = tasks.filter(|task| fits_task(matcher, subject(task))).map(|task| task.id.clone());
        let fit = |alert: &Alert| {
            let task = alert.task.as_ref().and_then(|task| view.tasks.get(task));
            fits(matcher, alert, task.map(|task| subject(task)))
        };
        let alerts = self.alerts(view).into_iter().filter(fit).collect();
        SilencePreview { tasks: tasks.collect(), alerts }
    }
}
