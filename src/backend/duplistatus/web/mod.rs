//! The web application of duplistatus 1.4, beside its cron service: servers and
//! backup jobs, their history, the audit log, the settings, and what only a
//! signed-in user may do.
//!
//! `session` (cookie, token, login; `account`: what is kept of it on disk) → `wire` (its JSON) → `convert` (pure) → the calls below.

mod account;
pub mod convert;
mod session;
pub mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::super::http::{Answer, Http, shown_path};
use super::super::{Accepted, BackendError, BuildError, LogChunk, Now, RunsQuery, Surroundings};
use crate::model::{AuditEntry, Clean, Command, EndpointSpec, Run, TaskId, Trace};
pub use session::Known;
use session::Session;
pub use wire::User;
use wire::{
    ApplicationLog, AuditLog, Collected, CronConfig, Dashboard, Done, DryRun, History, Job, Ping, Retention,
    Server, ServerName, Tolerance,
};

/// The dashboard is computed anew for each reader, charts and all: not more
/// often than this. In between it is only asked whether it is there.
const DASHBOARD: TimeDelta = TimeDelta::seconds(30);
/// The settings are read as often as this.
const SETTINGS: TimeDelta = TimeDelta::minutes(5);
/// The overdue check takes up to 15 s per overdue backup while the notifier is
/// down, a collection as long as Duplicati needs.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// Where an overdue check is asked for.
const CHECK_NOW: &[&str] = &["api", "notifications", "check-overdue"];
/// Where it is told to tell again.
const RESET: &[&str] = &["api", "notifications", "clear-overdue-timestamps"];
/// Where a server's logs are fetched.
const COLLECT: &[&str] = &["api", "backups", "collect"];
/// So many lines of the application log at a time.
const LOG_LINES: &str = "2000";
/// So many servers are asked for their history at a time.
const AT_ONCE: usize = 4;
/// So many rows of the audit log at most.
const AUDIT_ROWS: usize = 1_000;

/// What was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// Every server with its jobs.
    pub servers: Vec<Server>,
    /// When.
    pub seen: Seen,
}

impl Half {
    /// When it was read, by its own clock, which its dates are to be judged by.
    pub fn theirs(&self) -> DateTime<Utc> {
        self.seen.theirs.unwrap_or(self.seen.at)
    }

    /// When the overdue check last ran, as far as it says.
    pub fn last_check(&self) -> Option<DateTime<Utc>> {
        self.servers.iter().filter_map(|server| convert::date(server.last_overdue_check.as_ref())).max()
    }

    fn job(&self, task: &TaskId) -> Option<(&Server, &Job)> {
        let (id, name) = convert::parts(task)?;
        let server = self.servers.iter().find(|server| server.id == id)?;
        Some((server, server.backup_info.iter().find(|job| job.name == name)?))
    }
}

/// What is set there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Of the overdue check.
    pub cron: Option<CronConfig>,
    /// After what is expected, before it is overdue.
    pub tolerance: Option<Clean>,
    /// Why one of them could not be read.
    pub problem: Option<Clean>,
}

/// An answer, whatever is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When it had arrived, by our clock.
    pub at: DateTime<Utc>,
    /// When it was given, by its clock.
    pub theirs: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

impl Seen {
    fn of(answer: &Answer) -> Self {
        Self { at: answer.at, theirs: answer.server_time(), latency_ms: answer.latency_ms }
    }
}

/// What is known of the web application.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest good reading.
    pub half: Option<Half>,
    /// Its settings, as read last.
    pub settings: Settings,
    /// Its newest answer of all.
    pub seen: Option<Seen>,
    /// Why it can't be read now, and since when.
    pub failure: Option<(Clean, DateTime<Utc>)>,
}

#[derive(Debug, Default)]
struct State {
    view: View,
    settings_at: Option<DateTime<Utc>>,
    /// Something was done that the dashboard should show.
    stirred: bool,
    /// What went wrong, and until when it is not asked again.
    held_off: Option<(BackendError, DateTime<Utc>)>,
}

/// The web application.
#[derive(Debug)]
pub struct Web {
    session: Session,
    timeout: Duration,
    now: Now,
    state: Mutex<State>,
}

impl Web {
    /// At `url`.
    ///
    /// # Errors
    /// [`BuildError`] if the URL can't be used.
    pub fn new(url: &str, spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let http = Http::new(url, spec.timeout, &spec.tls, around.now)
            .map_err(|error| BuildError::new(format!("options.web_url: {error}")))?;
        let session = Session::new(http, spec.flag("plain_http_login"), around);
        Ok(Self { session, timeout: spec.timeout, now: around.now, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of it now.
    pub fn view(&self) -> View {
        self.state().view.clone()
    }

    /// Who is signed in, or why nobody is.
    pub fn known(&self) -> Known {
        self.session.known()
    }

    /// Why nothing can be asked of it; `None` if it can.
    pub fn refusal(&self) -> Option<Clean> {
        let known = self.known();
        match (known.user, known.why_not) {
            (Some(_), _) => None,
            (None, Some(why)) => Some(Clean::from(format!("not signed in to the web app: {why}"))),
            (None, None) => Some("not signed in to the web app yet".into()),
        }
    }

    /// Why what only an administrator may do can't be asked; `None` if it can.
    fn refusal_but_for_admins(&self) -> Option<Clean> {
        match self.known().user {
            Some(user) if !user.is_admin => Some(Clean::from(format!(
                "{} is no administrator of duplistatus (Administrator access required)",
                user.username
            ))),
            _ => None,
        }
    }

    /// Reads what is due, or everything, within the endpoint's limit: what it
    /// takes is nobody else's loss. Afterwards [`Web::view`] tells.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn refresh(&self, everything: bool) -> Result<(), BackendError> {
        let limit = self.timeout;
        let result = tokio::time::timeout(limit, self.read_what_is_due(everything))
            .await
            .unwrap_or(Err(BackendError::TimedOut { after: limit }));
        let now = (self.now)();
        let mut state = self.state();
        match &result {
            Ok(()) => {
                state.view.failure = None;
                state.held_off = None;
            }
            Err(error) => {
                let since = state.view.failure.take().map_or(now, |(_, since)| since);
                state.view.failure = Some((Clean::from(error.to_string()), since));
                if state.held_off.as_ref().is_none_or(|(_, until)| *until <= now) {
                    state.held_off = pause_after(error).map(|pause| (error.clone(), now + pause));
                }
            }
        }
        result
    }

    async fn read_what_is_due(&self, everything: bool) -> Result<(), BackendError> {
        let now = (self.now)();
        let (dashboard, settings) = {
            let state = self.state();
            if let Some((error, until)) = &state.held_off
                && now < *until
                && !everything
            {
                return Err(error.clone());
            }
            let is_due = |at: Option<DateTime<Utc>>, pause| at.is_none_or(|at| now < at || now - at >= pause);
            let stirred = everything || state.stirred || state.view.failure.is_some();
            let at = state.view.half.as_ref().map(|half| half.seen.at);
            (stirred || is_due(at, DASHBOARD), stirred || is_due(state.settings_at, SETTINGS))
        };
        if !dashboard {
            let answer = self.session.http().get(&["api", "ping"]).send().await?;
            if !answer.json::<Ping>()?.ok {
                return Err(BackendError::Failed("its web app says that it is not well".into()));
            }
            self.state().view.seen = Some(Seen::of(&answer));
            return Ok(());
        }
        let half = self.dashboard().await?;
        let known = if settings { Some(self.settings().await) } else { None };
        let mut state = self.state();
        state.stirred = false;
        if let Some(known) = known {
            state.settings_at = Some(half.seen.at);
            state.view.settings = known;
        }
        state.view.seen = Some(half.seen);
        state.view.half = Some(half);
        Ok(())
    }

    async fn dashboard(&self) -> Result<Half, BackendError> {
        let answer = self.session.read(|http| http.get(&["api", "dashboard"])).await?;
        let Dashboard { servers_summary: servers } = answer.json()?;
        let had_some = self.state().view.half.as_ref().is_some_and(|half| !half.servers.is_empty());
        if servers.is_empty() && had_some {
            // It says so as well where its database could not be read.
            let names = self.session.read(|http| http.get(&["api", "servers"])).await?;
            let names: Vec<ServerName> = names.json()?;
            if !names.is_empty() {
                return Err(BackendError::Failed(Clean::from(format!(
                    "its dashboard is empty though it has {} servers: its database can't be read",
                    names.len()
                ))));
            }
        }
        Ok(Half { servers, seen: Seen::of(&answer) })
    }

    /// One that can't be read costs only itself.
    async fn settings(&self) -> Settings {
        let (cron, tolerance) = tokio::join!(
            self.session.read(|http| http.get(&["api", "cron-config"])),
            self.session.read(|http| http.get(&["api", "configuration", "overdue-tolerance"])),
        );
        let cron = cron.and_then(|answer| answer.json::<CronConfig>());
        let tolerance = tolerance.and_then(|answer| answer.json::<Tolerance>());
        let problems: Vec<String> = [cron.as_ref().err(), tolerance.as_ref().err()]
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        Settings {
            cron: cron.ok(),
            tolerance: tolerance.ok().map(|told| told.overdue_tolerance),
            problem: (!problems.is_empty()).then(|| Clean::from(problems.join("; "))),
        }
    }

    /// The next poll reads everything.
    pub fn stir(&self) {
        self.state().stirred = true;
    }

    /// The history of one job, or of all of them, newest first.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] for a task of the cron service.
    pub async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        let Some(task) = &query.task else {
            let servers = self.half().await?.servers;
            let all = stream::iter(servers)
                .map(async |server| self.history(&server.id).await)
                .buffer_unordered(AT_ONCE)
                .try_concat();
            return Ok(convert::newest(all.await?, query.limit));
        };
        let Some((server, _)) = convert::parts(task) else {
            return Err(BackendError::Unsupported(super::NO_RUNS.into()));
        };
        let mut runs = self.history(&server).await?;
        runs.retain(|run| run.task == *task);
        Ok(convert::newest(runs, query.limit))
    }

    /// Every run of every job of one server: it gives no less.
    async fn history(&self, server: &str) -> Result<Vec<Run>, BackendError> {
        let answer = self
            .session
            .read(|http| http.get(&["api", "servers", server]).query("includeBackups", "true"))
            .await?;
        let History { backups } = answer.json()?;
        Ok(convert::runs(server, &backups))
    }

    /// The newest reading, or the first one.
    async fn half(&self) -> Result<Half, BackendError> {
        match self.view().half {
            Some(half) => Ok(half),
            None => self.dashboard().await,
        }
    }

    /// What is told of a task: of a job what the dashboard has, of a task of the cron service what is set.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::NotFound`] if there is no such job.
    pub async fn trace(&self, task: &TaskId) -> Result<Trace, BackendError> {
        if convert::parts(task).is_none() {
            return self.trace_of_cron(task).await;
        }
        let half = self.half().await?;
        let (server, job) = half.job(task).ok_or_else(|| {
            BackendError::NotFound(Clean::from(format!("no backup job {task} is reported")))
        })?;
        Ok(convert::trace(server, job, self.view().settings.tolerance.as_ref()))
    }

    async fn trace_of_cron(&self, task: &TaskId) -> Result<Trace, BackendError> {
        let mut facts: Vec<(&str, Clean)> = Vec::new();
        match task.as_raw() {
            super::convert::CHECK => {
                let View { half, settings, .. } = self.view();
                let checked = half.and_then(|half| half.last_check());
                let checked = checked.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
                facts.push(("last overdue check", Clean::from(checked)));
                if let Some(cron) = settings.cron {
                    facts.push(("configured", Clean::from(convert::tidy(&cron.cron_expression))));
                    facts.push(("enabled", (if cron.enabled { "yes" } else { "no" }).into()));
                }
                facts.extend(settings.tolerance.map(|tolerance| ("overdue tolerance", tolerance)));
            }
            super::convert::CLEANUP => {
                let Retention { retention_days } = self.retention().await?;
                facts.push(("retention", Clean::from(format!("{retention_days} days"))));
            }
            _ => return Err(BackendError::Unsupported(super::NO_TRACE.into())),
        }
        let facts = facts.into_iter().map(|(name, value)| (Clean::line(name), value)).collect();
        Ok(Trace { facts, events: Vec::new() })
    }

    /// The newest rows of its audit log.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        let limit = limit.clamp(1, AUDIT_ROWS).to_string();
        let answer = self.session.read(|http| http.get(&["api", "audit-log"]).query("limit", &limit)).await?;
        let AuditLog { logs } = answer.json()?;
        let mut near = answer.server_time().unwrap_or(answer.at);
        Ok(logs
            .into_iter()
            .map(|row| {
                let entry = convert::audit(row, near);
                near = entry.at;
                entry
            })
            .collect())
    }

    /// What of its application log follows line `from`.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if there is no such file.
    pub async fn log(&self, from: u64) -> Result<LogChunk, BackendError> {
        if let Some(why) = self.refusal_but_for_admins() {
            return Err(BackendError::Forbidden(why));
        }
        let answer = self
            .session
            .read(|http| {
                let request = http.get(&["api", "application-logs"]);
                request.query("file", "application.log").query("tail", LOG_LINES)
            })
            .await?;
        let log: ApplicationLog = answer.json()?;
        if let Some(error) = log.error {
            return Err(BackendError::NotFound(Clean::from(format!(
                "{error}: duplistatus writes application.log only where its container does"
            ))));
        }
        Ok(convert::log_after(&log, from))
    }

    async fn retention(&self) -> Result<Retention, BackendError> {
        self.session.read(|http| http.get(&["api", "audit-log", "retention"])).await?.json()
    }

    /// What a run of the clean-up would delete now.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::Forbidden`] for who is no administrator.
    pub async fn foresee_cleanup(&self) -> Result<Clean, BackendError> {
        if let Some(why) = self.refusal_but_for_admins() {
            return Err(BackendError::Forbidden(why));
        }
        let Retention { retention_days } = self.retention().await?;
        let body = json!({"dryRun": true, "retentionDays": retention_days});
        let path = ["api", "audit-log", "cleanup"];
        let dry: DryRun = self.session.write(|http| http.post(&path).json(&body)).await?.json()?;
        if !dry.is_dry {
            return Err(BackendError::Failed("the answer is none of a dry run".into()));
        }
        Ok(convert::foreseen(&dry))
    }

    /// Does what only this half can do.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn command(&self, command: Command, task: Option<&TaskId>) -> Result<Accepted, BackendError> {
        let message = match command {
            Command::DuplistatusCheckNow => {
                let done: Done = self.post(CHECK_NOW, None).await?.json()?;
                done.statistics.map_or(done.message, super::convert::counted)
            }
            Command::DuplistatusResetNotifications => self.post(RESET, None).await?.json::<Done>()?.message,
            Command::DuplistatusCollect => {
                let (server, _) = task.and_then(convert::parts).ok_or_else(|| {
                    BackendError::Unsupported("this is for a backup job: its server is asked".into())
                })?;
                let body = json!({"serverId": server});
                let answer = self.post(COLLECT, Some(&body)).await?;
                let collected: Collected = answer.json()?;
                convert::collected(collected).ok_or_else(|| BackendError::Protocol {
                    path: "/api/backups/collect".into(),
                    detail: "neither counts nor a message".into(),
                })?
            }
            _ => return Err(BackendError::Unsupported("this is no command of duplistatus".into())),
        };
        self.stir();
        Ok(Accepted { message: Some(message), run: None, observed: true })
    }

    async fn post(&self, path: &[&str], body: Option<&serde_json::Value>) -> Result<Answer, BackendError> {
        self.session
            .write(|http| {
                let request = http.post(path).timeout(COMMAND_LIMIT);
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
            })
            .await
    }
}

/// How long it is left alone after an error: its password's source is not
/// asked with every poll, and what it asks for itself is obeyed.
fn pause_after(error: &BackendError) -> Option<TimeDelta> {
    match error {
        BackendError::Unauthorised(_) | BackendError::Credential(_) => Some(DASHBOARD),
        error => error.retry_after().and_then(|wait| TimeDelta::from_std(wait).ok()),
    }
}

/// Where a command goes; `None` if it is none of these, or aimed at something else.
pub fn path_of(command: Command, task: Option<&TaskId>) -> Option<Clean> {
    let path = match (command, task) {
        (Command::DuplistatusCheckNow, None) => CHECK_NOW,
        (Command::DuplistatusResetNotifications, None) => RESET,
        (Command::DuplistatusCollect, Some(task)) if convert::parts(task).is_some() => COLLECT,
        _ => return None,
    };
    Some(shown_path(path))
}

#[cfg(test)]
mod tests;
