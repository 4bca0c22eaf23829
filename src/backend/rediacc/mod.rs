//! Rediacc: a queue of items that bridges take to machines.
//!
//! `session` (one call at a time, each with the token of the last) → `wire`
//! (columns) → `convert`, `trace` (pure, to the model) → the calls below.
//! `offers` says what can be asked and how, `memory` keeps what lies between
//! two polls.
//!
//! A poll asks for the dashboard alone, one call for the counts of the whole
//! fleet, and for the list of items only where a count has moved, where
//! something was done from here, or after some minutes.

mod acts;
mod convert;
mod memory;
mod offers;
mod poll;
mod session;
mod trace;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::offers::refused;
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Now, Polled, RunsQuery, Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, Deed, EndpointSpec, Kind, LogOf, Run, TaskId, Trace, Verb,
};
use memory::Memory;
use session::{Purpose, Session};
use wire::{Item, Listing, Traced};

pub use offers::OFFERS;

/// The adapter.
#[derive(Debug)]
pub struct Rediacc {
    session: Session,
    /// Only these teams; all, if none is named.
    teams: Vec<Clean>,
    cadence: std::time::Duration,
    memory: Mutex<Memory>,
    now: Now,
}

impl Rediacc {
    /// The adapter for `spec`.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL, or `options.teams` names none.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let named = spec.text("teams").map(|text| text.split(',').map(str::trim).collect::<Vec<_>>());
        let teams: Vec<Clean> =
            named.iter().flatten().filter(|name| !name.is_empty()).map(|name| Clean::line(name)).collect();
        if named.is_some() && teams.is_empty() {
            return Err(BuildError::new("options.teams names no team".to_owned()));
        }
        Ok(Self {
            session: Session::new(spec, around)?,
            teams,
            cadence: spec.poll,
            memory: Mutex::default(),
            now: around.now,
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With the teams that were chosen.
    fn of_teams(&self, mut body: Value) -> Value {
        if !self.teams.is_empty() {
            let names: Vec<&str> = self.teams.iter().map(|team| &**team).collect();
            body["teamName"] = names.join(",").into();
        }
        body
    }

    /// One item as it is now, wherever the list ends.
    async fn item(&self, task: &TaskId) -> Result<Item, BackendError> {
        let body = json!({ "taskId": task.as_raw() });
        let reply = self.session.call("GetTeamQueueItems", body, Purpose::Look).await?;
        let found = Listing::of(reply.sets()).items.into_iter().find(|item| item.id == *task);
        found.ok_or_else(|| BackendError::NotFound("there is no such item".into()))
    }
}

#[async_trait]
impl Backend for Rediacc {
    fn kind(&self) -> Kind {
        Kind::Rediacc
    }

    fn url(&self) -> Option<String> {
        Some(self.session.url())
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        offers::of_endpoint()
    }

    async fn poll(&self, since: Option<&Cursor>) -> Result<Polled, BackendError> {
        self.look(since).await
    }

    /// From what was listed, without a call; an item that is not among it is asked for.
    async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        let known = match &query.task {
            Some(task) => self.memory().items.get(task).cloned(),
            None => None,
        };
        let mut runs: Vec<Run> = match (&query.task, known) {
            (Some(_), Some(item)) => convert::run(&item).into_iter().collect(),
            (Some(task), None) => convert::run(&self.item(task).await?).into_iter().collect(),
            (None, _) => self.memory().items.values().filter_map(convert::run).collect(),
        };
        runs.sort_by_key(|run| std::cmp::Reverse(run.ended.or(run.started).or(run.queued)));
        runs.truncate(query.limit);
        Ok(runs)
    }

    async fn log(&self, _of: &LogOf, _offset: u64) -> Result<LogChunk, BackendError> {
        Err(refused(OFFERS.reads.log))
    }

    async fn trace(&self, task: &TaskId) -> Result<Trace, BackendError> {
        let body = json!({ "taskId": task.as_raw() });
        let reply = self.session.call("GetQueueItemTrace", body, Purpose::Look).await?;
        let traced = Traced::of(reply.sets())
            .ok_or_else(|| BackendError::NotFound("Rediacc has no trace of such an item".into()))?;
        let has_response = self.memory().items.get(task).and_then(|item| item.has_response);
        Ok(trace::trace(&traced, has_response))
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        if self.memory().audit_log == Some(false) {
            return Err(BackendError::Unsupported("the plan of this organisation has no audit log".into()));
        }
        let body = json!({ "maxRecords": limit });
        let reply = self.session.call("GetAuditLogs", body, Purpose::Look).await?;
        let mut entries = trace::audit(reply.with_all(&["action", "timestamp"]));
        entries.truncate(limit);
        Ok(entries)
    }

    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        self.act(call).await
    }

    fn preview(&self, call: &Call) -> Clean {
        let naming = self.memory().naming;
        match offers::request(call, naming) {
            Ok(request) => request.shown(),
            Err(BackendError::Unsupported(reason)) => reason,
            // An argument is still missing.
            Err(_) if call.deed == Deed::Verb(Verb::Reprioritise) => "UpdateQueueItemPriority".into(),
            Err(error) => Clean::from(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
