//! vigie's own coordinator: polled by cursor, driven with idempotency keys.
//!
//! `session` (where it is, and the token) · `convert` (pure: coverage) → the
//! calls below. The protocol is [`crate::wire`].

mod audit;
mod convert;
mod session;
mod submit;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderName;
use serde::Serialize;

use super::http::{self, Answer};
use super::offers::{self, Offer, Offers, Reads};
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery, Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, Command, Deed, EndpointSpec, Kind, LogOf, Role, Run, RunId, RunState,
    Snapshot, Task, TaskId, Trace, Verb,
};
use crate::wire;
use session::Locator;

pub use audit::AuditCalls;
pub use tokens::TokenCalls;

/// The longest that a poll waits at the coordinator for the next change.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Pages that one look at the runs takes at most.
const MAX_PAGES: usize = 50;
/// A coordinator that honours it answers the same key the same again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a coordinator offers.
pub const OFFERS: Offers = Offers {
    reads: Reads {
        runs: Offer::Yes,
        log: Offer::Yes,
        queues: Offer::Yes,
        alerts: Offer::Yes,
        trace: Offer::No("a coordinator tells all of a task in its row and its runs"),
        audit: Offer::Yes,
    },
    reports: Offer::Yes,
    acts,
};

/// What a coordinator can be asked.
const fn acts(deed: Deed) -> Offer {
    match deed {
        Deed::Verb(
            Verb::Trigger
            | Verb::Pause
            | Verb::Resume
            | Verb::Retry
            | Verb::Cancel
            | Verb::Reprioritise
            | Verb::ReloadConfig
            | Verb::Acknowledge,
        )
        | Deed::Command(Command::VigieSubmit) => Offer::Yes,
        Deed::Verb(Verb::Archive) => {
            Offer::With("tasks of the API and one-off tasks; resume takes them back")
        }
        Deed::Verb(Verb::Snooze) => Offer::With("until a time or the next good run, whichever comes first"),
        Deed::Verb(Verb::Silence) => {
            Offer::With("of a task; by team, machine or kind through its API: /api/v1/silences")
        }
        Deed::Command(_) => Offer::No("a coordinator has no such command"),
    }
}

/// The adapter.
#[derive(Debug)]
pub struct Vigie {
    locator: Locator,
    wait: Duration,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The latency of the newest answer that did not wait for a change.
    latency_ms: u64,
    /// What the last full poll could not read; deltas leave it as it was.
    unread: Option<Clean>,
    /// Who we are there, as of the last full poll.
    you: Option<wire::Caller>,
    /// The last poll brought nothing, or is still under way.
    lost: bool,
}

impl Vigie {
    /// The adapter for `spec`; without url, for the coordinator of the data directory.
    ///
    /// # Errors
    /// [`BuildError`] for a URL or TLS file that can't be used, or without both url and directory.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let (credentials, data) = (Arc::clone(&around.credentials), around.data.clone());
        Ok(Self {
            locator: Locator::new(spec, credentials, data, around.now)?,
            wait: Duration::from_secs(spec.poll.as_secs().max(1)).min(LONGEST_WAIT),
            timeout: spec.timeout,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn full(&self) -> Result<Polled, BackendError> {
        let answer = self.locator.send(|session| session.get(&path(&["tasks"]))).await?;
        let base = Snapshot::unchanged(answer.at, answer.latency_ms);
        let mut you = None;
        let (told, unread) = match answer.json::<wire::Tasks>() {
            Ok(mut tasks) => {
                you = tasks.you.take();
                (convert::full(tasks, base), None)
            }
            Err(error) => convert::rough(&answer.body, base).ok_or(error)?,
        };
        let mut state = self.state();
        state.latency_ms = answer.latency_ms;
        state.unread = unread;
        state.you = you.or_else(|| state.you.take());
        Ok(told.polled(state.unread.as_ref()))
    }

    /// What changed; `None` if there is a gap that only a full poll closes.
    async fn changes(&self, since: &Cursor, wait: Duration) -> Result<Option<Polled>, BackendError> {
        let answer = match self.ask_for_changes(since, wait).await {
            // Too many wait there already: wait here, and take what there is then.
            Err(BackendError::RateLimited { after: Some(after), .. }) if after <= wait => {
                tokio::time::sleep(wait).await;
                self.ask_for_changes(since, Duration::ZERO).await
            }
            other => other,
        };
        let answer = match answer {
            Ok(answer) => answer,
            // Too old, or of another version's making.
            Err(BackendError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Something that we can't read: a full poll finds out what.
        let Ok(changes) = answer.json::<wire::Changes>() else { return Ok(None) };
        let mut state = self.state();
        state.latency_ms = latency_of(&answer, wait).unwrap_or(state.latency_ms);
        let base = Snapshot::unchanged(answer.at, state.latency_ms);
        Ok(Some(convert::delta(changes, base).polled(state.unread.as_ref())))
    }

    async fn ask_for_changes(&self, since: &Cursor, wait: Duration) -> Result<Answer, BackendError> {
        let wait_s = wait.as_secs().to_string();
        let sent = self.locator.send(|session| {
            session
                .get(&path(&["changes"]))
                .query("since", &since.0)
                .query("wait_s", &wait_s)
                .timeout(wait + self.timeout)
        });
        sent.await
    }

    async fn look(&self, since: Option<&Cursor>, wait: Duration) -> Result<Polled, BackendError> {
        if let Some(cursor) = since
            && let Some(polled) = self.changes(cursor, wait).await?
        {
            return Ok(polled);
        }
        self.full().await
    }

    /// Sends a call that changes something. After a lost answer it is sent
    /// once more: the key makes that the same call.
    async fn change(
        &self,
        segments: &[&str],
        body: Option<&(impl Serialize + Sync)>,
        key: &str,
    ) -> Result<Answer, BackendError> {
        let segments = path(segments);
        let once = || {
            self.locator.send(|session| {
                let request = session.post(&segments).header(IDEMPOTENCY_KEY, key);
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
            })
        };
        let lost = match once().await {
            Err(error @ (BackendError::Broken(_) | BackendError::TimedOut { .. })) => error,
            other => return other,
        };
        match once().await {
            // The second did not get through either: the first may have had its effect all the same.
            Err(
                BackendError::Unreachable(_)
                | BackendError::Tls(_)
                | BackendError::Unauthorised(_)
                | BackendError::Credential(_)
                | BackendError::RateLimited { .. },
            ) => Err(lost),
            other => other,
        }
    }

    async fn done(
        &self,
        segments: &[&str],
        body: Option<&(impl Serialize + Sync)>,
        key: &str,
    ) -> Result<Accepted, BackendError> {
        let done: wire::Done = self.change(segments, body, key).await?.json()?;
        Ok(Accepted { message: Some(done.message), run: None, observed: false })
    }

    async fn started(
        &self,
        segments: &[&str],
        body: Option<&(impl Serialize + Sync)>,
        key: &str,
    ) -> Result<Accepted, BackendError> {
        let accepted: wire::RunAccepted = self.change(segments, body, key).await?.json()?;
        let message = Some(Clean::from(format!("run {} accepted", accepted.run)));
        Ok(Accepted { message, run: Some(accepted.run), observed: false })
    }

    async fn task(&self, id: &TaskId) -> Result<Task, BackendError> {
        self.locator.send(|session| session.get(&path(&["tasks", id.as_raw()]))).await?.json()
    }

    async fn retry(&self, call: &Call) -> Result<Accepted, BackendError> {
        let run = match &call.run {
            Some(run) => run.clone(),
            None => self
                .task(task_of(call)?)
                .await?
                .last_run
                .filter(|run| run.state.is_bad() || run.state == RunState::Missed)
                .and_then(|run| run.id)
                .ok_or_else(|| BackendError::Conflict("its last run did not fail; use trigger".into()))?,
        };
        self.started(&["runs", run.as_raw(), "retry"], NOTHING, &key(call, Some(&run))).await
    }

    /// One run, or all that run or wait, newest first.
    async fn cancel(&self, call: &Call) -> Result<Accepted, BackendError> {
        if let Some(run) = &call.run {
            return self.done(&["runs", run.as_raw(), "cancel"], NOTHING, &key(call, Some(run))).await;
        }
        let active = self.task(task_of(call)?).await?.active_runs;
        let runs: Vec<RunId> = active.into_iter().rev().filter_map(|run| run.id).collect();
        let (mut cancelled, mut last) = (0_usize, None);
        for run in &runs {
            match self.done(&["runs", run.as_raw(), "cancel"], NOTHING, &key(call, Some(run))).await {
                Ok(accepted) => {
                    cancelled += 1;
                    last = accepted.message;
                }
                // It has ended by itself in the meantime.
                Err(BackendError::NotFound(_) | BackendError::Conflict(_)) => {}
                Err(error) if cancelled > 0 && !error.may_have_acted() => {
                    let message = format!("{cancelled} of {} runs cancelled, then: {error}", runs.len());
                    return Err(BackendError::Failed(Clean::from(message)));
                }
                Err(error) => return Err(error),
            }
        }
        match cancelled {
            0 => Err(BackendError::Conflict("nothing of it runs or waits".into())),
            1 => Ok(Accepted { message: last, run: None, observed: false }),
            n => {
                let message = Some(Clean::from(format!("{n} runs cancelled")));
                Ok(Accepted { message, run: None, observed: false })
            }
        }
    }

    async fn reprioritise(&self, call: &Call) -> Result<Accepted, BackendError> {
        let body = wire::PriorityRequest { priority: call.priority()? };
        match &call.run {
            Some(run) => {
                self.done(&["runs", run.as_raw(), "priority"], Some(&body), &key(call, Some(run))).await
            }
            None => {
                self.done(&["tasks", task_of(call)?.as_raw(), "priority"], Some(&body), &key(call, None))
                    .await
            }
        }
    }
}

/// No body.
const NOTHING: Option<&()> = None;

/// The latency of an answer that waited its full time: what is beyond `wait`.
/// One that came before tells nothing, since nobody knows how long it waited.
fn latency_of(answer: &Answer, wait: Duration) -> Option<u64> {
    answer.latency_ms.checked_sub(u64::try_from(wait.as_millis()).ok()?)
}

/// The path under the protocol's root.
fn path<'a>(segments: &[&'a str]) -> Vec<&'a str> {
    ["api", "v1"].into_iter().chain(segments.iter().copied()).collect()
}

fn task_of(call: &Call) -> Result<&TaskId, BackendError> {
    call.task.as_ref().ok_or_else(|| BackendError::Unsupported("a task is needed".into()))
}

/// One key per intent and target. A header takes no other characters, and one key no other target.
fn key(call: &Call, run: Option<&RunId>) -> String {
    let task = call.task.as_ref().map_or("", TaskId::as_raw);
    let run = run.map_or("", RunId::as_raw);
    format!("{}/{}#{}", call.intent, task.escape_default(), run.escape_default())
}

#[async_trait]
impl Backend for Vigie {
    fn kind(&self) -> Kind {
        Kind::Vigie
    }

    fn url(&self) -> Option<String> {
        self.locator.url()
    }

    fn pushes(&self) -> bool {
        true
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        let all = Capabilities::by(|verb| {
            (verb != Verb::ReloadConfig)
                .then(|| Clean::from(format!("{verb} is for a task, not for the endpoint")))
        })
        .with([(Command::VigieSubmit, None)]);
        match &self.state().you {
            None => all,
            Some(you) if you.teams.is_some() => all.within(you.role.min(Role::Operator)),
            Some(you) => all.within(you.role),
        }
    }

    async fn poll(&self, since: Option<&Cursor>) -> Result<Polled, BackendError> {
        // Whoever was out of reach is not waited on: that it is back is news enough.
        let lost = std::mem::replace(&mut self.state().lost, true);
        let polled = self.look(since, if lost { Duration::ZERO } else { self.wait }).await?;
        self.state().lost = false;
        Ok(polled)
    }

    async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        let mut runs: Vec<Run> = Vec::new();
        if query.limit == 0 {
            return Ok(runs);
        }
        let mut before: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let limit = (query.limit - runs.len()).to_string();
            let sent = self.locator.send(|session| {
                let mut request = session.get(&path(&["runs"])).query("limit", &limit);
                if let Some(task) = &query.task {
                    request = request.query("task", task.as_raw());
                }
                match &before {
                    Some(before) => request.query("before", before),
                    None => request,
                }
            });
            let page: wire::Runs = sent.await?.json()?;
            let empty = page.runs.is_empty();
            runs.extend(page.runs);
            before = page.next;
            if runs.len() >= query.limit || before.is_none() || empty {
                break;
            }
        }
        runs.truncate(query.limit);
        Ok(runs)
    }

    async fn log(&self, of: &LogOf, offset: u64) -> Result<LogChunk, BackendError> {
        let LogOf::Run { run, .. } = of else {
            return Err(BackendError::Unsupported(
                "a coordinator shows the logs of its runs, not its own".into(),
            ));
        };
        let offset = offset.to_string();
        let segments = path(&["runs", run.as_raw(), "log"]);
        let log: wire::Log =
            self.locator.send(|session| session.get(&segments).query("offset", &offset)).await?.json()?;
        Ok(LogChunk {
            text: Clean::text(&log.text),
            next_offset: log.next_offset,
            dropped_bytes: log.dropped_bytes,
            complete: log.complete,
        })
    }

    async fn trace(&self, _task: &TaskId) -> Result<Trace, BackendError> {
        Err(offers::refused(OFFERS.reads.trace))
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        let mut before: Option<u64> = None;
        for _ in 0..MAX_PAGES {
            let left = limit.saturating_sub(entries.len());
            if left == 0 {
                break;
            }
            let (left, place) = (left.to_string(), before.map(|seq| seq.to_string()));
            let sent = self.locator.send(|session| {
                let request = session.get(&path(&["audit"])).query("limit", &left);
                match &place {
                    Some(place) => request.query("before", place),
                    None => request,
                }
            });
            let page: wire::Audit = sent.await?.json()?;
            let empty = page.rows.is_empty();
            entries.extend(page.rows.into_iter().map(convert::audit));
            before = page.next;
            if before.is_none() || empty {
                break;
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }

    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        let task = || task_of(call).map(TaskId::as_raw);
        let verb = match call.deed {
            Deed::Verb(verb) => verb,
            Deed::Command(Command::VigieSubmit) => {
                let submission = submit::submission(&call.arguments.inputs)?;
                return self.started(&["runs"], Some(&submission), &key(call, None)).await;
            }
            Deed::Command(_) => return Err(offers::refused(acts(call.deed))),
        };
        match verb {
            Verb::Trigger => {
                let body = wire::TriggerRequest { priority: call.arguments.priority };
                self.started(&["tasks", task()?, "runs"], Some(&body), &key(call, None)).await
            }
            Verb::Pause => self.done(&["tasks", task()?, "pause"], NOTHING, &key(call, None)).await,
            Verb::Resume => self.done(&["tasks", task()?, "resume"], NOTHING, &key(call, None)).await,
            Verb::Retry => self.retry(call).await,
            Verb::Cancel => self.cancel(call).await,
            Verb::Reprioritise => self.reprioritise(call).await,
            Verb::ReloadConfig => self.done(&["reload"], NOTHING, &key(call, None)).await,
            Verb::Archive => self.done(&["tasks", task()?, "archive"], NOTHING, &key(call, None)).await,
            Verb::Acknowledge => {
                let body = wire::Acknowledge { note: call.arguments.note.clone() };
                self.done(&["tasks", task()?, "acknowledge"], Some(&body), &key(call, None)).await
            }
            Verb::Snooze | Verb::Silence => {
                let path = if verb == Verb::Snooze { "snooze" } else { "silence" };
                let body = wire::PutOff { until: call.arguments.until, note: call.arguments.note.clone() };
                self.done(&["tasks", task()?, path], Some(&body), &key(call, None)).await
            }
        }
    }

    async fn report(&self, task: &TaskId, report: &wire::Report) -> Result<(), BackendError> {
        let segments = path(&["tasks", task.as_raw(), "reports"]);
        // A page of some proxy is no yes.
        let _: wire::RunAccepted =
            self.locator.send(|session| session.post(&segments).json(report)).await?.json()?;
        Ok(())
    }

    fn preview(&self, call: &Call) -> Clean {
        let task = call.task.as_ref().map_or("…", TaskId::as_raw);
        let verb = match call.deed {
            Deed::Verb(verb) => verb,
            Deed::Command(Command::VigieSubmit) => return submit::shown(&call.arguments.inputs),
            Deed::Command(_) => return Clean::line(acts(call.deed).refusal().unwrap_or_default()),
        };
        // Which run it will be is only known when it is sent.
        let run = call.run.as_ref().map(RunId::as_raw);
        let segments = match (verb, run) {
            (Verb::Trigger, _) => vec!["tasks", task, "runs"],
            (Verb::Pause, _) => vec!["tasks", task, "pause"],
            (Verb::Resume, _) => vec!["tasks", task, "resume"],
            (Verb::Archive, _) => vec!["tasks", task, "archive"],
            (Verb::Acknowledge, _) => vec!["tasks", task, "acknowledge"],
            (Verb::Snooze, _) => vec!["tasks", task, "snooze"],
            (Verb::Silence, _) => vec!["tasks", task, "silence"],
            (Verb::Retry, Some(run)) => vec!["runs", run, "retry"],
            (Verb::Cancel, Some(run)) => vec!["runs", run, "cancel"],
            (Verb::Retry, None) => return Clean::from(format!("POST /api/v1/runs/(last of {task})/retry")),
            (Verb::Cancel, None) => return Clean::from(format!("POST /api/v1/runs/(each of {task})/cancel")),
            (Verb::Reprioritise, Some(run)) => vec!["runs", run, "priority"],
            (Verb::Reprioritise, None) => vec!["tasks", task, "priority"],
            (Verb::ReloadConfig, _) => vec!["reload"],
        };
        Clean::from(format!("POST {}", http::shown_path(&path(&segments))))
    }
}
