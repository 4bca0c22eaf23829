//! duplistatus 1.4: its cron service (two known tasks, no history, no
//! authentication, and a few traps) and, where `options.web_url` is set, its
//! web application (servers and backup jobs, the audit log, the settings).
//!
//! `cron`: the service's calls; `wire` (its JSON), `convert` (pure, to the
//! model), `memory` (what only a second look shows). `web`: the application,
//! in the same parts. `join`: one snapshot out of both halves. Each may fail
//! without the other: the answer is then degraded, with the reason, and what
//! the failing half told is kept and marked. Only if both fail, the poll does.

mod convert;
mod cron;
mod join;
mod memory;
mod web;
mod wire;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::http;
use super::offers::{self, Offer, Offers, Reads};
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery, Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, Command, Deed, EndpointSpec, Kind, LogOf, Run, TaskId, Trace, Verb,
};
use convert::NEEDS_WEB;
use cron::Cron;
use join::Join;
use web::Web;

/// Of the cron service's own tasks.
const NO_RUNS: &str =
    "duplistatus keeps no run history of its own tasks: only each one's last success and newest error";
/// Of a run.
const NO_LOG: &str = "duplistatus keeps no log of a run";
/// Of a task without code.
const NO_TRACE: &str = "duplistatus tells no more of this task";

/// Of what its web application tells.
const WITH_WEB: &str = "with options.web_url";

/// What duplistatus offers.
pub const OFFERS: Offers = Offers {
    reads: Reads {
        runs: Offer::With("of backup jobs, with options.web_url"),
        log: Offer::With("its application log, for administrators, with options.web_url"),
        queues: Offer::No("duplistatus has no queue"),
        alerts: Offer::With("of its scheduler; of backups, with options.web_url"),
        trace: Offer::With(WITH_WEB),
        audit: Offer::With(WITH_WEB),
    },
    reports: Offer::No("duplistatus takes no reports of runs"),
    acts: convert::offer,
};

/// The commands of the web application on the endpoint as a whole.
const ENDPOINT_COMMANDS: [Command; 2] =
    [Command::DuplistatusCheckNow, Command::DuplistatusResetNotifications];

/// The adapter.
#[derive(Debug)]
pub struct Duplistatus {
    cron: Cron,
    web: Option<Web>,
    join: Mutex<Join>,
}

impl Duplistatus {
    /// The adapter for `spec`.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL, or a cron text can't be read.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let web = spec.text("web_url").map(|url| Web::new(url, spec, around)).transpose()?;
        Ok(Self { cron: Cron::new(spec, around)?, web, join: Mutex::default() })
    }

    /// The web application, for what only it can do.
    fn web(&self, what: &str) -> Result<&Web, BackendError> {
        self.web.as_ref().ok_or_else(|| {
            BackendError::Unsupported(Clean::from(format!("{what} needs its web app: set options.web_url")))
        })
    }
}

fn task_of(call: &Call) -> Result<&TaskId, BackendError> {
    call.task
        .as_ref()
        .ok_or_else(|| BackendError::Unsupported("this is for a task, not for the endpoint".into()))
}

/// A task of the cron service; a backup job has none of its verbs.
fn cron_task_of(call: &Call, verb: Verb, has_web: bool) -> Result<&TaskId, BackendError> {
    let task = task_of(call)?;
    if has_web && web::convert::parts(task).is_some() {
        return Err(BackendError::Unsupported(web::convert::lacks(verb).into()));
    }
    Ok(task)
}

#[async_trait]
impl Backend for Duplistatus {
    fn kind(&self) -> Kind {
        Kind::Duplistatus
    }

    fn url(&self) -> Option<String> {
        Some(self.cron.url())
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        let refusal = match &self.web {
            Some(web) => web.refusal(),
            None => Some(NEEDS_WEB.into()),
        };
        Capabilities::by(|verb| (verb != Verb::ReloadConfig).then(|| convert::lacks(verb).into()))
            .with(ENDPOINT_COMMANDS.map(|command| (command, refusal.clone())))
    }

    async fn poll(&self, since: Option<&Cursor>) -> Result<Polled, BackendError> {
        let refresh = async {
            match &self.web {
                Some(web) => Some(web.refresh(since.is_none()).await),
                None => None,
            }
        };
        let (look, refreshed) = tokio::join!(self.cron.look(since), refresh);
        let web = self.web.as_ref().map(|web| (web.view(), web.known()));
        let settings = web.as_ref().map(|(view, _)| &view.settings);
        let cron = self.cron.view(settings.map(join::schedules).unwrap_or_default());
        let mut join = self.join.lock().unwrap_or_else(PoisonError::into_inner);
        match (look, refreshed) {
            (Ok(look), _) => Ok(join.with_cron(&look, cron.as_ref(), web.as_ref(), since)),
            // The endpoint is the cron service: without it, it is at best degraded.
            (Err(why), Some(Ok(()))) => match web {
                Some((view, known)) => {
                    join.without_cron(&why, cron.as_ref(), &view, &known, since).ok_or(why)
                }
                None => Err(why),
            },
            (Err(why), _) => Err(why),
        }
    }

    async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        match &self.web {
            Some(web) => web.runs(query).await,
            None => Err(BackendError::Unsupported(NO_RUNS.into())),
        }
    }

    async fn log(&self, of: &LogOf, offset: u64) -> Result<LogChunk, BackendError> {
        match of {
            LogOf::Run { .. } => Err(BackendError::Unsupported(NO_LOG.into())),
            LogOf::Endpoint => self.web("its application log")?.log(offset).await,
        }
    }

    async fn trace(&self, task: &TaskId) -> Result<Trace, BackendError> {
        self.web("a trace")?.trace(task).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        self.web("its audit log")?.audit(limit).await
    }

    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        let has_web = self.web.is_some();
        let result = match call.deed {
            Deed::Verb(verb @ Verb::Trigger) => self.cron.trigger(cron_task_of(call, verb, has_web)?).await,
            Deed::Verb(verb @ Verb::Pause) => self.cron.stop(cron_task_of(call, verb, has_web)?).await,
            Deed::Verb(verb @ Verb::Resume) => self.cron.start(cron_task_of(call, verb, has_web)?).await,
            Deed::Verb(Verb::ReloadConfig) if call.task.is_none() => self.cron.reload().await,
            Deed::Verb(other) => Err(BackendError::Unsupported(convert::lacks(other).into())),
            Deed::Command(command) => match convert::offer(call.deed) {
                Offer::No(_) => Err(offers::refused(convert::offer(call.deed))),
                _ => self.web(command.word())?.command(command, call.task.as_ref()).await,
            },
        };
        if let (Some(web), true) = (&self.web, result.is_ok()) {
            web.stir();
        }
        result
    }

    async fn foresee(&self, call: &Call) -> Result<Option<Clean>, BackendError> {
        let cleanup = call.task.as_ref().is_some_and(|task| task.as_raw() == convert::CLEANUP);
        if !cleanup || call.deed != Verb::Trigger {
            return Ok(None);
        }
        self.web("a dry run")?.foresee_cleanup().await.map(Some)
    }

    fn preview(&self, call: &Call) -> Clean {
        if let (Deed::Verb(verb), true) = (call.deed, self.web.is_some())
            && let Some(task) = &call.task
            && web::convert::parts(task).is_some()
        {
            return Clean::line(web::convert::lacks(verb));
        }
        let path = match (call.deed, &call.task) {
            (Deed::Verb(Verb::Trigger), Some(task)) => http::shown_path(&["trigger", task.as_raw()]),
            (Deed::Verb(Verb::Pause), Some(task)) => http::shown_path(&["stop", task.as_raw()]),
            (Deed::Verb(Verb::Resume), Some(task)) => http::shown_path(&["start", task.as_raw()]),
            (Deed::Verb(Verb::ReloadConfig), None) => http::shown_path(&["reload-config"]),
            (Deed::Verb(verb), _) => return Clean::line(convert::lacks(verb)),
            (Deed::Command(command), task) => match web::path_of(command, task.as_ref()) {
                Some(path) => path,
                None => return Clean::line(convert::offer(call.deed).refusal().unwrap_or(NEEDS_WEB)),
            },
        };
        Clean::from(format!("POST {path}"))
    }
}

#[cfg(test)]
mod tests;
