//! The cron service: `/health`, and its four calls with the traps that they have.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_NONE_MATCH};

use super::convert::{self, Given, Told};
use super::memory::Memory;
use super::wire::{Done, Status, Triggered};
use crate::backend::http::Http;
use crate::backend::{Accepted, BackendError, BuildError, Cursor, Now, Surroundings};
use crate::model::{Clean, EndpointSpec, OptionValue, TaskId};
use crate::schedule::Plan;

/// A trigger answers when the run has ended: up to 15 s per overdue backup while the notifier is down.
const TRIGGER_LIMIT: Duration = Duration::from_secs(120);
/// More names than this are no answer of a service that has two tasks.
const MAX_NAMES: usize = 10_000;
/// Stopping lives in the service's memory only.
const STOPPED: &str = "until duplistatus restarts or reloads its configuration";
/// So does starting.
const STARTED: &str = "if it is disabled there, until duplistatus restarts or reloads its configuration";

/// The cron service.
#[derive(Debug)]
pub struct Cron {
    http: Http,
    given: Given,
    now: Now,
    state: Mutex<State>,
    /// Held from looking whether a task is scheduled until its start is
    /// answered: two starts would leak a timer.
    starting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    memory: Memory,
    /// The newest good status, when it was read, and how many there were that differed.
    status: Option<(Status, DateTime<Utc>)>,
    serial: u64,
    /// Our reload failed half-way: tasks that are stopped now are not so on purpose.
    half_loaded: Option<(Clean, DateTime<Utc>)>,
    /// What was stopped from here, on purpose.
    stopped: BTreeSet<TaskId>,
    /// Triggers that are under way: duplistatus would run them side by side.
    triggering: BTreeSet<TaskId>,
}

/// What a look at it brought.
#[derive(Debug)]
pub struct Look {
    /// When the answer had arrived.
    pub at: DateTime<Utc>,
    /// Its own clock.
    pub server_time: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// For the next look.
    pub cursor: Option<Cursor>,
}

/// What is known of it.
#[derive(Debug)]
pub struct View {
    /// Its tasks, as of `read`.
    pub told: Told,
    /// When that was read.
    pub read: DateTime<Utc>,
    /// Another number for another answer.
    pub serial: u64,
    /// What is scheduled there.
    pub active: BTreeSet<TaskId>,
    /// What was stopped from here.
    pub stopped: BTreeSet<TaskId>,
    /// Tasks that keep firing though they are stopped.
    pub leaking: Vec<TaskId>,
    /// Our reload failed half-way, and since when.
    pub half_loaded: Option<(Clean, DateTime<Utc>)>,
}

impl Cron {
    /// At the endpoint's url.
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
            now: around.now,
            state: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
        })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.http.url()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at it. Afterwards [`Cron::view`] tells.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn look(&self, since: Option<&Cursor>) -> Result<Look, BackendError> {
        let mut request = self.http.get(&["health"]);
        // Only what was understood can be "not modified".
        if let Some(Cursor(tag)) = since.filter(|_| self.state().status.is_some()) {
            request = request.header(IF_NONE_MATCH, tag).accept(StatusCode::NOT_MODIFIED);
        }
        let answer = request.send().await.map_err(|error| match error {
            BackendError::NotFound(message) => BackendError::NotFound(Clean::from(format!(
                "{message} (is this the port of the cron service, 9667, and not the web app's?)"
            ))),
            other => other,
        })?;
        let (at, latency_ms, server_time) = (answer.at, answer.latency_ms, answer.server_time());
        if answer.status == StatusCode::NOT_MODIFIED {
            if let Some((_, read)) = &mut self.state().status {
                *read = at;
            }
            return Ok(Look { at, server_time, latency_ms, cursor: since.cloned() });
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
        if state.memory.learn(&status, server_time.unwrap_or(at)) {
            state.half_loaded = None;
        }
        state.stopped.retain(|task| !status.active_tasks.contains(task));
        state.status = Some((status, at));
        state.serial += 1;
        let cursor = answer.header(ETAG.as_str()).map(|tag| Cursor(tag.to_owned()));
        Ok(Look { at, server_time, latency_ms, cursor })
    }

    /// What is known of it; `None` before the first good look. `configured` are
    /// schedules that are told elsewhere, over those of the configuration here.
    pub fn view(&self, configured: Given) -> Option<View> {
        let state = self.state();
        let (status, read) = state.status.as_ref()?;
        let mut given = self.given.clone();
        given.schedules.extend(configured.schedules);
        let leaking = status
            .names()
            .filter(|name| !status.active_tasks.contains(*name) && state.memory.of(name).leaks())
            .cloned()
            .collect::<BTreeSet<_>>();
        Some(View {
            told: convert::told(status, &state.memory, &given),
            read: *read,
            serial: state.serial,
            active: status.active_tasks.clone(),
            stopped: state.stopped.clone(),
            leaking: leaking.into_iter().collect(),
            half_loaded: state.half_loaded.clone(),
        })
    }

    /// Runs a task, and waits for its end.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::Failed`] if the run failed.
    pub async fn trigger(&self, task: &TaskId) -> Result<Accepted, BackendError> {
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

    /// Schedules a task that is not scheduled.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::Conflict`] if a timer would leak.
    pub async fn start(&self, task: &TaskId) -> Result<Accepted, BackendError> {
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
            Ok(answer) => Ok(kept_for_now(&answer.json()?, STARTED)),
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

    /// Stops a task.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn stop(&self, task: &TaskId) -> Result<Accepted, BackendError> {
        match self.http.post(&["stop", task.as_raw()]).send().await {
            Ok(answer) => {
                self.state().stopped.insert(task.clone());
                Ok(kept_for_now(&answer.json()?, STOPPED))
            }
            Err(BackendError::NotFound(message)) => {
                Err(BackendError::Conflict(Clean::from(format!("it is not scheduled ({message})"))))
            }
            Err(other) => Err(other),
        }
    }

    /// Has it read its configuration.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::Failed`] if it is half loaded now.
    pub async fn reload(&self) -> Result<Accepted, BackendError> {
        match self.http.post(&["reload-config"]).send().await {
            Ok(answer) => {
                let message = Some(answer.json::<Done>()?.message);
                self.state().half_loaded = None;
                Ok(Accepted { message, run: None, observed: true })
            }
            Err(BackendError::Server { status: 500, message }) => {
                let half = Clean::from(format!("configuration half loaded: {message}"));
                self.state().half_loaded = Some((half, (self.now)()));
                Err(BackendError::Failed(Clean::from(format!(
                    "half loaded: {message}; this task and those after it are no longer scheduled: mend its \
                     configuration in duplistatus and reload again"
                ))))
            }
            Err(other) => Err(other),
        }
    }
}

fn kept_for_now(done: &Done, how_long: &str) -> Accepted {
    let message = Clean::from(format!("{} ({how_long})", done.message));
    Accepted { message: Some(message), run: None, observed: false }
}

/// A trigger that is under way, until its answer or its end.
struct UnderWay<'a>(&'a Cron, &'a TaskId);

impl<'a> UnderWay<'a> {
    fn new(backend: &'a Cron, task: &'a TaskId) -> Result<Self, BackendError> {
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
