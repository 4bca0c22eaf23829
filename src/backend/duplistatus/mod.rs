//! The cron service of duplistatus 1.4: two known tasks, no history, no
//! authentication, and a few traps that its calls here avoid.
//!
//! `wire` (its JSON) → `convert` (pure, to the model) → the calls below.
//! `memory` keeps what only a second look at `/health` shows.

mod convert;
mod memory;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_NONE_MATCH};

use super::http::{self, Http};
use super::offers::{self, Offer, Offers, Reads};
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery, Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, Deed, EndpointSpec, Kind, LogOf, OptionValue, Part, Run, Snapshot,
    TaskId, Trace, Verb,
};
use crate::schedule::Plan;
use convert::Given;
use memory::Memory;
use wire::{Done, Status, Triggered};

/// A trigger answers when the run has ended: up to 15 s per overdue backup while the notifier is down.
const TRIGGER_LIMIT: Duration = Duration::from_secs(120);
/// More names than this are no answer of a service that has two tasks.
const MAX_NAMES: usize = 10_000;
/// Stopping and starting live in the service's memory only.
const NOT_KEPT: &str = "until duplistatus restarts or reloads its configuration";

/// What duplistatus offers.
pub const OFFERS: Offers = Offers {
    reads: Reads {
        runs: Offer::No("duplistatus keeps no run history: only each task's last success and newest error"),
        log: Offer::No("duplistatus keeps no log of a run"),
        queues: Offer::No("duplistatus has no queue"),
        alerts: Offer::No("duplistatus keeps no alerts of its tasks"),
        trace: Offer::No("duplistatus tells no more of a task"),
        audit: Offer::No("the cron service keeps no audit log"),
    },
    acts: convert::offer,
};

/// The adapter.
#[derive(Debug)]
pub struct Duplistatus {
    http: Http,
    given: Given,
    state: Mutex<State>,
    /// Held from looking whether a task is scheduled until its start is
    /// answered: two starts would leak a timer.
    starting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    memory: Memory,
    /// Repeated while the answer is "not modified".
    degraded: Option<Clean>,
    /// Our reload failed half-way: tasks that are stopped now are not so on purpose.
    half_loaded: Option<Clean>,
    /// Triggers that are under way: duplistatus would run them side by side.
    triggering: BTreeSet<TaskId>,
}

impl State {
    fn degraded(&self) -> Option<Clean> {
        match (&self.half_loaded, &self.degraded) {
            (Some(half), Some(unread)) => Some(Clean::from(format!("{half}; {unread}"))),
            (half, unread) => half.clone().or_else(|| unread.clone()),
        }
    }
}

impl Duplistatus {
    /// The adapter for `spec`.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL, or a cron text can't be read.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let url = spec.url.as_deref().ok_or_else(|| BuildError::new("a url is needed".to_owned()))?;
        let mut given = Given::default();
        if let Some(OptionValue::Schedules(schedules)) = spec.options.get("schedules") {
            for (task, cron) in schedules {
                let schedule = cron.as_deref().map(convert::configured);
                if let Some(schedule) = &schedule {
                    Plan::new(schedule)
                        .map_err(|e| BuildError::new(format!("options.schedules.{task}: {e}")))?;
                }
                given.schedules.insert(TaskId::new(task), schedule);
            }
        }
        Ok(Self {
            http: Http::new(url, spec.timeout, &spec.tls, around.now)?,
            given,
            state: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn trigger(&self, task: &TaskId) -> Result<Accepted, BackendError> {
        let _under_way = UnderWay::new(self, task)?;
        let request = self.http.post(&["trigger", task.as_raw()]).timeout(TRIGGER_LIMIT);
        self.state().memory.triggers(task);
        let answer: Triggered = request.send().await?.json()?;
        if answer.success {
            let message = convert::triggered(task, &answer);
            return Ok(Accepted { message, run: None, observed: true });
        }
        Err(BackendError::Failed(answer.error.or(answer.message).unwrap_or_else(|| "it failed".into())))
    }

    async fn start(&self, task: &TaskId) -> Result<Accepted, BackendError> {
        let _one_at_a_time = self.starting.lock().await;
        let status: Status = self.http.get(&["health"]).send().await?.json()?;
        if status.active_tasks.contains(task) {
            return Err(BackendError::Conflict(
                "already scheduled; a second start would leak a timer that nothing ends".into(),
            ));
        }
        if self.state().memory.of(task).leaks() {
            return Err(BackendError::Conflict(
                "it still fires though it is stopped: restart duplistatus instead of adding a timer".into(),
            ));
        }
        match self.http.post(&["start", task.as_raw()]).send().await {
            Ok(answer) => Ok(kept_for_now(&answer.json::<Done>()?)),
            Err(BackendError::NotFound(message)) => {
                self.state().memory.forget(task);
                Err(BackendError::NotFound(message))
            }
            // It throws before it schedules, so nothing was done.
            Err(BackendError::Server { status: 500, message }) => {
                Err(BackendError::Failed(Clean::from(format!(
                    "duplistatus can't schedule it ({message}): its cron expression there is probably invalid"
                ))))
            }
            Err(other) => Err(other),
        }
    }

    async fn stop(&self, task: &TaskId) -> Result<Accepted, BackendError> {
        match self.http.post(&["stop", task.as_raw()]).send().await {
            Ok(answer) => Ok(kept_for_now(&answer.json::<Done>()?)),
            Err(BackendError::NotFound(message)) => {
                Err(BackendError::Conflict(Clean::from(format!("it is not scheduled ({message})"))))
            }
            Err(other) => Err(other),
        }
    }

    async fn reload(&self) -> Result<Accepted, BackendError> {
        match self.http.post(&["reload-config"]).send().await {
            Ok(answer) => {
                let message = Some(answer.json::<Done>()?.message);
                self.state().half_loaded = None;
                Ok(Accepted { message, run: None, observed: true })
            }
            Err(BackendError::Server { status: 500, message }) => {
                self.state().half_loaded = Some(Clean::from(format!("configuration half loaded: {message}")));
                Err(BackendError::Failed(Clean::from(format!(
                    "half loaded: {message}; this task and those after it are no longer scheduled: mend its \
                     configuration in duplistatus and reload again"
                ))))
            }
            Err(other) => Err(other),
        }
    }
}

fn kept_for_now(done: &Done) -> Accepted {
    let message = Clean::from(format!("{} ({NOT_KEPT})", done.message));
    Accepted { message: Some(message), run: None, observed: false }
}

fn task_of(call: &Call) -> Result<&TaskId, BackendError> {
    call.task
        .as_ref()
        .ok_or_else(|| BackendError::Unsupported("this is for a task, not for the endpoint".into()))
}

/// A trigger that is under way, until its answer or its end.
struct UnderWay<'a>(&'a Duplistatus, &'a TaskId);

impl<'a> UnderWay<'a> {
    fn new(backend: &'a Duplistatus, task: &'a TaskId) -> Result<Self, BackendError> {
        if !backend.state().triggering.insert(task.clone()) {
            return Err(BackendError::Conflict("a trigger of it is still under way from here".into()));
        }
        Ok(Self(backend, task))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().triggering.remove(self.1);
    }
}

#[async_trait]
impl Backend for Duplistatus {
    fn kind(&self) -> Kind {
        Kind::Duplistatus
    }

    fn url(&self) -> Option<String> {
        Some(self.http.url())
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        Capabilities::by(|verb| (verb != Verb::ReloadConfig).then(|| convert::lacks(verb).into()))
    }

    async fn poll(&self, since: Option<&Cursor>) -> Result<Polled, BackendError> {
        let mut request = self.http.get(&["health"]);
        if let Some(Cursor(tag)) = since {
            request = request.header(IF_NONE_MATCH, tag).accept(StatusCode::NOT_MODIFIED);
        }
        let answer = request.send().await.map_err(|error| match error {
            BackendError::NotFound(message) => BackendError::NotFound(Clean::from(format!(
                "{message} (is this the port of the cron service, 9667, and not the web app's?)"
            ))),
            other => other,
        })?;
        let mut snapshot = Snapshot::unchanged(answer.at, answer.latency_ms);
        snapshot.server_time = answer.server_time();
        if answer.status == StatusCode::NOT_MODIFIED {
            snapshot.degraded = self.state().degraded();
            return Ok(Polled { snapshot, cursor: since.cloned() });
        }
        let status: Status = answer.json()?;
        let names = status.names().count();
        if names > MAX_NAMES {
            return Err(BackendError::Protocol {
                path: "/health".into(),
                detail: Clean::from(format!(
                    "{names} names of tasks: that is no cron service of duplistatus"
                )),
            });
        }
        let mut state = self.state();
        if state.memory.learn(&status, snapshot.server_time.unwrap_or(answer.at)) {
            state.half_loaded = None;
        }
        let told = convert::told(&status, &state.memory, &self.given);
        state.degraded = told.degraded;
        snapshot.tasks = Part::complete(told.tasks);
        snapshot.runs = Part::listed(told.runs, Vec::new());
        snapshot.degraded = state.degraded();
        let cursor = answer.header(ETAG.as_str()).map(|tag| Cursor(tag.to_owned()));
        Ok(Polled { snapshot, cursor })
    }

    async fn runs(&self, _query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        Err(offers::refused(OFFERS.reads.runs))
    }

    async fn log(&self, _of: &LogOf, _offset: u64) -> Result<LogChunk, BackendError> {
        Err(offers::refused(OFFERS.reads.log))
    }

    async fn trace(&self, _task: &TaskId) -> Result<Trace, BackendError> {
        Err(offers::refused(OFFERS.reads.trace))
    }

    async fn audit(&self, _limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        Err(offers::refused(OFFERS.reads.audit))
    }

    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        match call.deed {
            Deed::Verb(Verb::Trigger) => self.trigger(task_of(call)?).await,
            Deed::Verb(Verb::Pause) => self.stop(task_of(call)?).await,
            Deed::Verb(Verb::Resume) => self.start(task_of(call)?).await,
            Deed::Verb(Verb::ReloadConfig) if call.task.is_none() => self.reload().await,
            Deed::Verb(other) => Err(BackendError::Unsupported(convert::lacks(other).into())),
            Deed::Command(_) => Err(offers::refused(convert::offer(call.deed))),
        }
    }

    fn preview(&self, call: &Call) -> Clean {
        let Deed::Verb(verb) = call.deed else {
            return Clean::line(convert::offer(call.deed).refusal().unwrap_or_default());
        };
        let path = match (verb, &call.task) {
            (Verb::Trigger, Some(task)) => http::shown_path(&["trigger", task.as_raw()]),
            (Verb::Pause, Some(task)) => http::shown_path(&["stop", task.as_raw()]),
            (Verb::Resume, Some(task)) => http::shown_path(&["start", task.as_raw()]),
            (Verb::ReloadConfig, None) => http::shown_path(&["reload-config"]),
            (verb, _) => return Clean::line(convert::lacks(verb)),
        };
        Clean::from(format!("POST {path}"))
    }
}

#[cfg(test)]
mod tests;
